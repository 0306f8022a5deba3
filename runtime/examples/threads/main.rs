//! A memcache server and a client of it, without a runtime: `get greeting` has the value `hello`.
//!
//! ```text
//! cargo run -p windhover-runtime --example threads -- 127.0.0.1:11213
//! ```
//!
//! [`threads`] is an adapter of its own: `docs/adapter.md` goes through it.
#![cfg_attr(not(unix), allow(unused))]
// Clippy's leave for tests covers test functions, not what they call.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(unix)]
mod threads;

use std::error::Error;

use windhover_core::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Dialect, Limits};
use windhover_core::{Now, Timeouts};

struct Greeter;

impl Handler for Greeter {
    fn handle(
        &mut self,
        request: Request<'_>,
        _: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        match request {
            Request::Get(keys) => {
                for key in keys.filter(|key| *key == b"greeting") {
                    reply.value(key, 0, None, "hello")?;
                }
                reply.end()
            }
            _ => reply.send(&Response::Error(b"")),
        }
    }
}

fn session(now: Now) -> Session<Greeter> {
    Session::new(Greeter, Dialect::Memcached, &Limits::default(), &Timeouts::default(), now)
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn Error>> {
    use windhover_client::{Client, block_on};
    use windhover_runtime::{ServeOptions, Shutdown, listen};

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:11213".to_owned());
    let listener = listen(address.parse()?)?;
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let server = std::thread::spawn(move || {
        threads::serve(
            [listener.into()],
            |_peer, now| session(now),
            ServeOptions::default(),
            &asked,
        )
    });
    let client = threads::connect(Client::builder().server(&address))?;
    println!("{:?}; Ctrl-C ends it", block_on(client.get("greeting"))?);
    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

#[cfg(not(unix))]
fn main() -> Result<(), Box<dyn Error>> {
    Err("this example is for Unix".into())
}

#[cfg(all(test, unix))]
mod adapter;
#[cfg(all(test, unix))]
#[path = "../../../core/tests/endpoints/echo.rs"]
mod echo;
#[cfg(all(test, unix))]
#[path = "../../../core/tests/endpoints/one.rs"]
mod one;
#[cfg(all(test, unix))]
#[path = "../../tests/serve/mod.rs"]
mod shared;
#[cfg(all(test, unix))]
mod tests;
