//! What is to happen at which instant.

use alloc::collections::BTreeSet;

use super::calls::{AttemptId, CallId};
use super::connections::ConnectionId;
use crate::Instant;
use crate::client::servers::ServerId;

/// Something that is to happen at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An attempt that waits for a connection has waited long enough.
    Attempt(AttemptId),
    /// The first server of a hedged call is slow.
    Hedge(CallId),
    /// A connection has a deadline.
    Link(ConnectionId),
    /// A server that is out of use may be asked again.
    Probe(ServerId),
}

/// Timers in their order. One that has become meaningless is taken out at once, so that there are
/// never more of them than attempts, connections and servers.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn unset(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes one out that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use bytes::Bytes;

    use crate::Instant;
    use crate::client::{Call, Cluster, ClusterOptions, ClusterOutput, Server};
    use crate::memcache::request::{Prepared, Request};
    use crate::memcache::{Dialect, Keys};

    /// Does what the cluster asks for; a server answers each request that it has a word for.
    fn settle(cluster: &mut Cluster, now: Instant, reply: &[u8]) {
        loop {
            match cluster.poll_output(now) {
                ClusterOutput::Connect { connection, .. } => cluster.connected(connection, now),
                ClusterOutput::Write { connection } => {
                    let mut slices = [&b""[..]; 4];
                    let filled = cluster.unsent(connection, &mut slices);
                    let length = slices.iter().take(filled).map(|slice| slice.len()).sum();
                    cluster.wrote(connection, length);
                    cluster.receive(connection, reply);
                }
                ClusterOutput::Idle(_) => return,
                _ => {}
            }
        }
    }

    #[test]
    fn calls_that_are_over_leave_no_timer_behind() {
        let mut now = Instant::default();
        let hedge = Some(Duration::from_millis(20));
        let options = ClusterOptions { hedge, ..ClusterOptions::default() };
        let get = Request::Get(Keys::new(&[b"k"]));
        let get = Prepared::new(&get, Bytes::new(), Dialect::Memcached, &options.limits).unwrap();
        let servers = ["a", "b", "c"].map(Server::new);
        let mut cluster = Cluster::new(&servers, options, 1, now).unwrap();
        let mut call = Call::read(get);
        call.hedged = true;
        for n in 0..50_000_u64 {
            // Ever shorter deadlines, then a long one: each of them is the earliest for a while.
            let within = Duration::from_millis(500 - n % 400);
            cluster.submit(call.clone(), now + within, now).unwrap();
            settle(&mut cluster, now, b"END\r\n");
            now = now + Duration::from_micros(300);
            assert!(cluster.timers.0.len() <= 4, "{:?}", cluster.timers);
        }
        assert_eq!(cluster.calls.len(), 0);
        assert!(cluster.outputs.capacity() < 100 && cluster.dirty.capacity() < 100);
    }
}
