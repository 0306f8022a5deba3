//! A memcache server on a map.
//!
//! ```text
//! cargo run -p windhover-tokio --example map_server &
//! printf 'set k 0 0 5\r\nhello\r\nget k\r\nquit\r\n' | curl -s telnet://127.0.0.1:11211
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use windhover_core::memcache::handler::{Data, Request, Response};
use windhover_core::memcache::handler::{Handled, Handler, Reply, Session};
use windhover_tokio::{ServeOptions, Shutdown, serve};

#[derive(Clone, Default)]
struct Map(Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>);

impl Handler for Map {
    fn handle(&mut self, request: Request<'_>, data: Data<'_>, reply: &mut Reply<'_>) -> Handled {
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
                map.insert(item.key.to_vec(), data.to_vec());
                reply.send(&Response::Stored)
            }
            _ => reply.send(&Response::Error(b"")),
        }
    }
}

async fn run(listener: TcpListener, shutdown: Shutdown) {
    let map = Map::default();
    let accept = move |_, now| Session::with_defaults(map.clone(), now);
    serve([listener], accept, ServeOptions::default(), shutdown).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    run(TcpListener::bind("127.0.0.1:11211").await?, Shutdown::new()).await;
    Ok(())
}

#[cfg(test)]
mod tests;
