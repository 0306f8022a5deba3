//! A memcache server on a map.
//!
//! ```text
//! cargo run -p windhover-async-std --example map_server &
//! printf 'set k 0 0 5\r\nhello\r\nget k\r\nquit\r\n' | curl -s telnet://127.0.0.1:11211
//! ```

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use windhover_async_std::{ServeOptions, Shutdown, serve};
use windhover_core::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Dialect, Limits};
use windhover_core::{Now, Timeouts};

#[derive(Clone, Default)]
struct Map(Arc<Mutex<HashMap<Vec<u8>, Bytes>>>);

impl Map {
    fn accept(&self, now: Now) -> Session<Self> {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        Session::new(self.clone(), Dialect::Memcached, &limits, &timeouts, now)
    }
}

impl Handler for Map {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Request::Get(keys) => {
                for key in keys {
                    if let Some(value) = map.get(key) {
                        reply.value(key, 0, None, value)?;
                    }
                }
                reply.end()
            }
            Request::Set(item) => {
                map.insert(item.key.to_vec(), data.to_bytes());
                reply.send(&Response::Stored)
            }
            _ => reply.send(&Response::Error(b"")),
        }
    }
}

async fn run(listener: TcpListener, shutdown: Shutdown) -> std::io::Result<()> {
    let map = Map::default();
    let accept = move |_, now| map.accept(now);
    serve(listener, accept, ServeOptions::default(), shutdown).await.map(drop)
}

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:11211")?;
    async_std::task::block_on(run(listener, Shutdown::new()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_was_set_is_got_until_the_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let asked = shutdown.clone();
        let server = std::thread::spawn(move || {
            async_std::task::block_on(run(listener, asked)).unwrap();
        });

        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"set k 0 0 5\r\nhello\r\nget a k\r\ntouch k 0\r\nquit\r\n").unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers, "STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\nERROR\r\n");

        shutdown.trigger();
        server.join().unwrap();
    }
}
