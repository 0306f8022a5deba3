//! A memcache server without a runtime: `get <host>` has the host's address as its value.
//!
//! ```text
//! cargo run -p windhover-core --example blocking_server -- 127.0.0.1:11213
//! printf 'get localhost\r\nquit\r\n' | curl -s telnet://127.0.0.1:11213
//! ```
//!
//! [`adapter`] is built up step by step in `docs/adapter.md`.

mod adapter;

use std::collections::VecDeque;
use std::error::Error;
use std::net::{TcpListener, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Response, ValueFrame};
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Now, Timeouts};

/// A key and its address.
type Item = (Vec<u8>, String);

/// One request whose answer may take a while: a thread of its own asks the system's resolver.
#[derive(Default)]
struct Lookup {
    found: Mutex<Option<Vec<Item>>>,
    waker: Mutex<Option<Waker>>,
}

impl Lookup {
    fn of(hosts: Vec<Vec<u8>>) -> Arc<Self> {
        let lookup = Arc::new(Self::default());
        let told = Arc::clone(&lookup);
        thread::spawn(move || {
            let found = hosts.into_iter().filter_map(|host| Some((address(&host)?, host)));
            let found = found.map(|(address, host)| (host, address)).collect();
            *told.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            let waker = told.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
            waker.into_iter().for_each(Waker::wake);
        });
        lookup
    }

    /// What was found; the waker is called once there is something.
    fn poll(&self, waker: &Waker) -> Option<Vec<Item>> {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn address(host: &[u8]) -> Option<String> {
    let host = std::str::from_utf8(host).ok()?;
    Some((host, 0).to_socket_addrs().ok()?.next()?.ip().to_string())
}

/// One client's connection.
struct Names {
    memcache: ServerConnection,
    /// Requests that wait for their answer, in order; what is no `get` is refused in its place.
    asked: VecDeque<Option<Arc<Lookup>>>,
}

impl Names {
    fn new(timeouts: &Timeouts, now: Now) -> Self {
        let limits = Limits::default();
        let memcache = ServerConnection::new(Dialect::Memcached, &limits, timeouts, now.instant);
        Self { memcache, asked: VecDeque::new() }
    }

    fn answer(&mut self, waker: &Waker) {
        while let Some(lookup) = self.asked.front() {
            let last = match lookup {
                None => Response::Error(b""),
                Some(lookup) => {
                    let Some(found) = lookup.poll(waker) else { return };
                    for (key, address) in &found {
                        let data = address.as_bytes();
                        let value = ValueFrame { key, flags: 0, cas: None, data };
                        self.memcache.responses_mut().respond(&Response::Value(value));
                    }
                    Response::End
                }
            };
            self.memcache.responses_mut().respond(&last);
            self.asked.pop_front();
        }
    }
}

impl Endpoint for Names {
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

    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        loop {
            self.answer(cx.waker());
            match self.memcache.poll_output(now) {
                Output::Request { request: Request::Get(keys), .. } => {
                    self.asked.push_back(Some(Lookup::of(keys.map(<[u8]>::to_vec).collect())));
                }
                Output::Request { .. } => self.asked.push_back(None),
                // The connection refuses it itself.
                Output::TooLarge { .. } => {}
                Output::Write => return Next::Write,
                Output::Idle(until) => return Next::Idle(until),
                Output::CloseWrite => return Next::CloseWrite,
                Output::Close => return Next::Close,
            }
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

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:11213".to_owned());
    let listener = TcpListener::bind(&address)?;
    let accept = |_peer, now| Names::new(&Timeouts::default(), now);
    // Signals take more than the standard library: this one is ended by the system.
    adapter::serve(&listener, accept, 1000, &AtomicBool::new(false), Duration::from_secs(10));
    Ok(())
}

#[cfg(test)]
mod tests;
