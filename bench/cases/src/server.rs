//! One turn of a memcache connection in the server's role: from the bytes that a read brought to those
//! that a write takes.

use bytes::Bytes;
use windhover_core::memcache::meta::MetaFlags;
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Now, Timeouts};

use crate::codec;

/// A connection whose application has one item and finds it at no cost.
#[derive(Debug)]
pub struct Server {
    connection: ServerConnection,
    now: Instant,
    item: Bytes,
}

impl Server {
    /// A connection that has just been accepted; the item has `size` bytes.
    pub fn new(size: usize) -> Self {
        let now = Instant::default();
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
        Self { connection, now, item: codec::data(size).into() }
    }

    /// Takes what came in, answers every request, and lets everything be written: the bytes that were.
    pub fn turn(&mut self, wire: &[u8]) -> usize {
        self.connection.receive(wire);
        let mut written = 0;
        loop {
            match self.connection.poll_output(Now { instant: self.now, ..Now::default() }) {
                Output::Request { request, .. } => match request {
                    Request::Get(_) => {
                        self.connection.responses_mut().respond_value(
                            codec::KEY,
                            0,
                            None,
                            &self.item,
                        );
                        self.connection.responses_mut().respond(&Response::End);
                    }
                    Request::MetaGet(_) => {
                        self.connection
                            .responses_mut()
                            .respond_meta_value(MetaFlags::new(b""), &self.item);
                    }
                    Request::Set(_) => self.connection.responses_mut().respond(&Response::Stored),
                    _ => self.connection.responses_mut().respond(&Response::Error(b"")),
                },
                Output::TooLarge { .. } => {}
                Output::Write => {
                    let mut slices = [&b""[..]; 16];
                    let filled = self.connection.unsent(&mut slices);
                    let unsent = slices.iter().take(filled).map(|slice| slice.len()).sum();
                    self.connection.wrote(unsent);
                    written += unsent;
                }
                Output::Idle(_) | Output::CloseWrite | Output::Close => return written,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Command, Reply, replies, requests};

    #[test]
    fn each_request_is_answered() {
        let mut server = Server::new(100);
        let hit = replies(Reply::Hit, 100, 1).len();
        assert_eq!(server.turn(&requests(Command::Get, 0, 1)), hit);
        assert_eq!(server.turn(&requests(Command::Get, 0, 64)), 64 * hit);
        assert_eq!(server.turn(&requests(Command::MetaGet, 0, 1)), b"VA 100\r\n\r\n".len() + 100);
        assert_eq!(server.turn(&requests(Command::Set, 100, 1)), b"STORED\r\n".len());
    }
}
