//! A client, and servers that say what a function makes of what they hear.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use windhover_client::protocol::client::ConnectionId;
use windhover_client::{Builder, Client, Driver, DriverStep};

/// What a server says to some bytes; `None` closes the connection.
pub(crate) type Say<'a> = dyn FnMut(&str, &str) -> Option<Vec<u8>> + 'a;

pub(crate) struct Script<'a> {
    driver: Driver,
    say: Box<Say<'a>>,
    /// Connections, with their servers and what is still to be read on them.
    open: BTreeMap<ConnectionId, (String, Option<Vec<u8>>)>,
}

/// A client whose calls have so long that only a test that hangs comes to their end, and servers that
/// answer what `say` makes of a server's address and the bytes that came.
pub(crate) fn script<'a>(
    builder: Builder,
    say: impl FnMut(&str, &str) -> Option<Vec<u8>> + 'a,
) -> (Client, Script<'a>) {
    let (client, driver) = builder.build().unwrap();
    (client, Script { driver, say: Box::new(say), open: BTreeMap::new() })
}

/// One cache, whose calls are sent once.
pub(crate) fn cache() -> Builder {
    let builder = Client::builder().server("a:1").timeout(Duration::from_secs(20));
    builder.options(|options| options.attempts = 1)
}

impl Script<'_> {
    /// Waits for a call, and answers meanwhile.
    #[track_caller]
    pub(crate) fn run<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut cx = Context::from_waker(Waker::noop());
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Poll::Ready(done) = call.as_mut().poll(&mut cx) {
                self.turn();
                return done;
            }
            self.turn();
        }
        panic!("the call does not ended");
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.open.len()
    }

    fn turn(&mut self) {
        while let DriverStep::Connect { connection, server } = self.driver.next(Waker::noop()) {
            self.driver.connected(connection);
            self.open.insert(connection, (server.address.to_string(), Some(Vec::new())));
        }
        let (driver, say) = (&self.driver, &mut self.say);
        self.open.retain(|&connection, (server, unread)| {
            let turn = driver.turn(connection, Waker::noop());
            if turn.is_closed {
                return false;
            }
            if turn.wants_write {
                let mut heard = Vec::new();
                let _ = driver.write(connection, |slices| {
                    heard = slices.iter().flat_map(|it| it.iter().copied()).collect();
                    Poll::Ready(Ok(heard.len()))
                });
                match (say(server, std::str::from_utf8(&heard).unwrap()), &mut *unread) {
                    (Some(said), Some(unread)) => unread.extend(said),
                    (_, unread) => *unread = None,
                }
            }
            let _ = driver.read(connection, |buffer| match unread {
                Some(unread) if unread.is_empty() => Poll::Pending,
                Some(unread) => {
                    buffer.extend_from_slice(unread);
                    Poll::Ready(Ok(std::mem::take(unread).len()))
                }
                None => Poll::Ready(Ok(0)),
            });
            true
        });
    }
}
