//! An application with a tokio runtime of its own answers memcache's clients from it.
//!
//! It counts datagrams, and serves its count as an item.
//!
//! ```text
//! cargo run -p windhover-tokio --example server_in_your_runtime -- 127.0.0.1:11212 127.0.0.1:11213
//! echo -n x | nc -u -w 1 127.0.0.1 11212
//! printf 'get datagrams\r\nquit\r\n' | curl -s telnet://127.0.0.1:11213
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use bytes::BytesMut;
use tokio::net::{TcpListener, UdpSocket};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Response, ValueFrame};
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Now, Timeouts};
use windhover_tokio::{ServeOptions, Shutdown, serve, shut_down_on_signal};

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
async fn run(datagrams: UdpSocket, listener: TcpListener, shutdown: Shutdown) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    // The application's own work, beside that of the server and on the same threads.
    let counting = tokio::spawn(async move {
        while datagrams.recv_from(&mut [0; 1500]).await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let accept = move |_peer, now| Peer::new(&count, now);
    serve([listener], accept, ServeOptions::default(), shutdown).await;
    counting.abort();
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut address = |default: &str| -> Result<SocketAddr, Box<dyn Error>> {
        Ok(arguments.next().unwrap_or_else(|| default.to_owned()).parse()?)
    };
    let (datagrams, memcache) = (address("127.0.0.1:11212")?, address("127.0.0.1:11213")?);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown)?;
        let listener = TcpListener::bind(memcache).await?;
        run(UdpSocket::bind(datagrams).await?, listener, shutdown).await;
        Ok(())
    })
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use std::time::{Duration, Instant};

    use windhover_tokio::{Client, connect};

    use super::*;

    #[tokio::test]
    async fn datagrams_are_counted_and_the_count_is_served() {
        let datagrams = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (here, there) = (datagrams.local_addr().unwrap(), listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let application = tokio::spawn(run(datagrams, listener, shutdown.clone()));

        let client = connect(Client::builder().server(&there.to_string())).unwrap();
        let client = client.with_timeout(Duration::from_secs(10));
        let count = async || client.get("datagrams").await.unwrap().unwrap().data;
        assert_eq!(count().await, "0");
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..3 {
            sender.send_to(b"x", here).await.unwrap();
        }
        let begun = Instant::now();
        while count().await != "3" {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(client.get("other").await.unwrap(), None);
        assert!(client.set("datagrams", "0").await.is_err());

        shutdown.trigger();
        application.await.unwrap();
    }
}
