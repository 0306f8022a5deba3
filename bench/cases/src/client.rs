//! One turn of a memcache connection in the client's role: from a request to the end of its reply.

use core::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::memcache::request::{Prepared, Request, StoreRequest};
use windhover_core::memcache::{
    ClientConnection, ClientOutput, ClientTimeouts, Dialect, Keys, Limits,
};

use crate::codec::{self, Reply};

/// A connection whose server answers every request with the same reply.
#[derive(Debug)]
pub struct Client {
    connection: ClientConnection,
    now: Instant,
    limits: Limits,
    reply: Vec<u8>,
}

/// What a turn asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A `get` that finds its item.
    Get,
    /// A `set` of an item.
    Set,
}

impl Client {
    /// A connection that has just been opened, to a server that answers `call` about an item of `size`
    /// bytes.
    pub fn new(call: Call, size: usize) -> Self {
        let now = Instant::default();
        let (limits, timeouts) = (Limits::default(), ClientTimeouts::default());
        let connection = ClientConnection::new(Dialect::Memcached, &limits, &timeouts, now);
        let reply = match call {
            Call::Get => codec::replies(Reply::Hit, size, 1),
            Call::Set => codec::replies(Reply::Stored, 0, 1),
        };
        Self { connection, now, limits, reply }
    }

    /// Encodes and sends `count` requests in one write, takes their replies: how many requests were
    /// answered, and the bytes of data that came.
    pub fn turn(&mut self, call: Call, data: &Bytes, count: usize) -> (usize, usize) {
        let deadline = self.now + Duration::from_secs(1);
        let keys = [codec::KEY];
        for _ in 0..count {
            let (request, data) = match call {
                Call::Get => (Request::Get(Keys::new(&keys)), Bytes::new()),
                Call::Set => (Request::Set(StoreRequest::new(codec::KEY)), data.clone()),
            };
            let Ok(prepared) = Prepared::new(&request, data, Dialect::Memcached, &self.limits)
            else {
                break;
            };
            let sent = self.connection.send(&prepared, deadline);
            debug_assert!(sent.is_ok(), "{sent:?}");
        }
        let (mut answered, mut bytes) = (0, 0);
        loop {
            match self.connection.poll_output(self.now) {
                ClientOutput::Frame(frame) => bytes += frame.data.len(),
                ClientOutput::Done { outcome, .. } => answered += usize::from(outcome.is_ok()),
                ClientOutput::Write => {
                    let mut slices = [&b""[..]; 16];
                    let filled = self.connection.unsent(&mut slices);
                    let unsent = slices.iter().take(filled).map(|slice| slice.len()).sum();
                    self.connection.wrote(unsent);
                }
                ClientOutput::Idle(_) => {
                    let in_flight = self.connection.in_flight();
                    if in_flight == 0 {
                        return (answered, bytes);
                    }
                    for _ in 0..in_flight {
                        self.connection.receive(&self.reply);
                    }
                }
                ClientOutput::Oversized { .. } => {}
                ClientOutput::Close(_) => return (answered, bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_gets_its_reply() {
        let data = Bytes::from(codec::data(100));
        let mut get = Client::new(Call::Get, 100);
        assert_eq!(get.turn(Call::Get, &data, 1), (1, 100));
        assert_eq!(get.turn(Call::Get, &data, 64), (64, 6400));
        let mut set = Client::new(Call::Set, 100);
        assert_eq!(set.turn(Call::Set, &data, 1), (1, 0));
    }
}
