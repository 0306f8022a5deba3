//! One turn of a connection to the cache, in which every key is found.

use std::task::{Context, Waker};

use windhover_cache::{Cache, CacheHandler};
use windhover_core::Now;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::handler::Session;

use crate::codec::{self, Command};

/// A connection to a cache that has one item.
#[derive(Debug)]
pub struct CacheConnection {
    session: Session<CacheHandler>,
}

impl CacheConnection {
    /// A connection that has just been accepted; the item has `size` bytes.
    pub fn new(size: usize) -> Self {
        let mut connection = Self { session: Cache::default().accept(Now::default()) };
        connection.turn(&codec::requests(Command::Set, size, 1));
        connection
    }

    /// Takes what came in, answers every request, and lets everything be written: the bytes that were.
    pub fn turn(&mut self, wire: &[u8]) -> usize {
        self.session.read_buffer().extend_from_slice(wire);
        let mut cx = Context::from_waker(Waker::noop());
        let mut written = 0;
        while self.session.poll_output(Now::default(), &mut cx) == Next::Write {
            let mut slices = [&b""[..]; 16];
            let filled = self.session.unsent(&mut slices);
            let unsent = slices.iter().take(filled).map(|slice| slice.len()).sum();
            self.session.wrote(unsent);
            written += unsent;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Reply, replies};

    #[test]
    fn each_request_is_a_hit() {
        let mut connection = CacheConnection::new(100);
        let hit = replies(Reply::Hit, 100, 1).len();
        assert_eq!(connection.turn(&codec::requests(Command::Get, 0, 64)), 64 * hit);
        let meta = connection.turn(&codec::requests(Command::MetaGet, 0, 1));
        assert!(meta > 100, "{meta} bytes");
    }
}
