//! An application with an executor of its own, smol's here, answers memcache's clients from it.
//!
//! It counts datagrams, and serves its count as an item.
//!
//! ```text
//! cargo run -p windhover-async-std --example server_in_your_runtime -- 127.0.0.1:11212 127.0.0.1:11213
//! echo -n x | nc -u -w 1 127.0.0.1 11212
//! printf 'get datagrams\r\nquit\r\n' | curl -s telnet://127.0.0.1:11213
//! ```

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use bytes::BytesMut;
use smol::{Async, Executor};
use windhover_async_std::{ServeOptions, Shutdown, serve_on};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Response, ValueFrame};
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Now, Timeouts};

/// One client, answered from the count.
struct Peer {
    memcache: ServerConnection,
    count: Arc<AtomicU64>,
}

impl Peer {
    fn new(count: &Arc<AtomicU64>, now: Now) -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let memcache = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
        Self { memcache, count: Arc::clone(count) }
    }
}

impl Endpoint for Peer {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.memcache.read_buffer()
    }

    fn wants_read(&self) -> bool {
        self.memcache.wants_read()
    }

    fn end_of_stream(&mut self) {
        self.memcache.end_of_stream();
    }

    fn shut_down(&mut self) {
        self.memcache.shut_down();
    }

    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        loop {
            let (answer, asks) = match self.memcache.poll_output(now) {
                Output::Request { request: Request::Get(mut keys), .. } => {
                    (Response::End, keys.any(|key| key == b"datagrams"))
                }
                Output::Request { .. } => (Response::Error(b""), false),
                // The connection refuses it itself.
                Output::TooLarge { .. } => continue,
                Output::Write => return Next::Write,
                Output::Idle(until) => return Next::Idle(until),
                Output::CloseWrite => return Next::CloseWrite,
                Output::Close => return Next::Close,
            };
            if asks {
                let count = self.count.load(Ordering::Relaxed).to_string();
                let (key, data) = (&b"datagrams"[..], count.as_bytes());
                self.memcache.responses_mut().respond(&Response::Value(ValueFrame {
                    key,
                    flags: 0,
                    cas: None,
                    data,
                }));
            }
            self.memcache.responses_mut().respond(&answer);
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.memcache.unsent(into)
    }

    fn wrote(&mut self, n: usize) {
        self.memcache.wrote(n);
    }

    fn release(&mut self) {
        self.memcache.release();
    }
}

/// Runs until the shutdown is triggered, and its connections have had their end.
async fn run(
    executor: &Arc<Executor<'static>>,
    datagrams: UdpSocket,
    listener: TcpListener,
    shutdown: Shutdown,
) -> io::Result<()> {
    let datagrams = Async::new(datagrams)?;
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    // The application's own work, beside that of the server and on the same threads. Dropped at the
    // end, and with it the task.
    let _counting = executor.spawn(async move {
        while datagrams.recv_from(&mut [0; 1500]).await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let accept = move |_peer, now| Peer::new(&count, now);
    let tasks = Arc::clone(executor);
    let spawn = move |connection| tasks.spawn(connection).detach();
    serve_on(spawn, [listener], accept, ServeOptions::default(), shutdown).await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut address = |default: &str| -> Result<SocketAddr, Box<dyn Error>> {
        Ok(arguments.next().unwrap_or_else(|| default.to_owned()).parse()?)
    };
    let datagrams = UdpSocket::bind(address("127.0.0.1:11212")?)?;
    let listener = TcpListener::bind(address("127.0.0.1:11213")?)?;
    let executor = Arc::new(Executor::new());
    // What the application catches signals with triggers it; the default ends the process at once.
    let shutdown = Shutdown::new();
    smol::block_on(executor.run(run(&executor, datagrams, listener, shutdown)))?;
    Ok(())
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use std::time::{Duration, Instant};

    use windhover_async_std::{Client, connect_on};

    use super::*;

    #[test]
    fn datagrams_are_counted_and_the_count_is_served() {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (here, there) = (datagrams.local_addr().unwrap(), listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let executor = Arc::new(Executor::new());
        let (its, asked) = (Arc::clone(&executor), shutdown.clone());
        let application =
            executor.spawn(async move { run(&its, datagrams, listener, asked).await });
        smol::block_on(executor.run(async {
            let tasks = Arc::clone(&executor);
            let spawn = move |connection| tasks.spawn(connection).detach();
            let client = connect_on(spawn, Client::builder().server(&there.to_string())).unwrap();
            let client = client.with_timeout(Duration::from_secs(10));
            let count = async || client.get("datagrams").await.unwrap().unwrap().data;
            assert_eq!(count().await, "0");
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..3 {
                sender.send_to(b"x", here).unwrap();
            }
            let begun = Instant::now();
            while count().await != "3" {
                assert!(begun.elapsed() < Duration::from_secs(10));
            }
            assert_eq!(client.get("other").await.unwrap(), None);
            assert!(client.set("datagrams", "0").await.is_err());

            shutdown.trigger();
            application.await.unwrap();
        }));
    }
}
