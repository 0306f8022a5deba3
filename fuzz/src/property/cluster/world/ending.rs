//! How a run ends, and what holds of all of it.

use std::collections::BTreeMap;

use windhover_core::client::{Call, Cluster, ClusterOptions, Retry, Server, ServerId, Target};
use windhover_core::memcache::request::{Prepared, Request};

use super::{Record, World, ms};
use crate::reference::answers::{self, Answered};

impl World {
    /// How it ends: at once, or when all is answered. Behind that everything is told.
    pub(crate) fn finish(mut self, aborts: bool) {
        self.settle();
        let last = self.calls.values().map(|record| record.deadline).max();
        if aborts {
            self.cluster.abort(self.now);
            self.settle();
            self.end_writes();
        } else {
            self.cluster.shut_down();
            self.settle();
            self.end_writes();
            self.wait_until(last.unwrap_or(self.now).max(self.now));
        }
        assert!(self.is_closed(), "it does not ended");
        let version = Prepared::new(
            &Request::Version,
            bytes::Bytes::new(),
            self.dialect,
            &self.options.limits,
        );
        let target = Call::to(version.expect("it can be sent"), self.first_server());
        let refused = self.cluster.submit(target, self.now + ms(10), self.now);
        assert!(refused.is_err_and(|error| error.had_no_effect()), "it is over");
        self.look_back();
    }

    fn first_server(&self) -> ServerId {
        let sockets = self.sockets.values().map(|socket| socket.server);
        let mut all = self.cluster.servers().map(|(id, _)| id).chain(sockets);
        // Without any there is nothing to be asked of: any call would do.
        all.next().unwrap_or_else(|| {
            let options = ClusterOptions::default();
            let other = Cluster::new(&[Server::new("a")], options, 0, self.now).expect("one");
            other.servers().next().expect("one").0
        })
    }

    /// Nothing was sent that was called not sent, to nobody whose key it was not, and not more often
    /// than was allowed.
    fn look_back(&self) {
        let mut sent: BTreeMap<&[u8], Vec<ServerId>> = BTreeMap::new();
        for socket in self.sockets.values() {
            for wire in answers::requests(&socket.sent, self.dialect) {
                sent.entry(wire).or_default().push(socket.server);
            }
        }
        let alone = |record: &&Record| self.times.get(&record.asked.wire) == Some(&1);
        for record in self.without_effect.iter().filter(alone) {
            // A second server's miss says nothing, and has changed nothing.
            let missed = |it: &Answered| record.call.hedged && it.is_miss(self.dialect);
            let sent = self.replies(&record.asked);
            assert!(sent.iter().all(missed), "{record:?} was called not sent");
        }
        for record in self.over.iter().filter(alone) {
            let servers = sent.get(&record.asked.wire[..]).map(Vec::as_slice).unwrap_or_default();
            let attempts = self.options.attempts.max(1) as usize;
            assert!(servers.len() <= attempts, "{record:?} was sent {} times", servers.len());
            let call = &record.call;
            let elsewhere = call.failover || call.hedged;
            if call.target == Target::Key && !elsewhere && record.servers == self.changes {
                let own = |server: &ServerId| Some(*server) == record.owner;
                assert!(servers.iter().all(own), "{record:?} was sent to another server");
            }
            if call.retry != Retry::AtLeastOnce && !call.hedged {
                let replies = self.replies(&record.asked);
                let done = replies.iter().filter(|it| !it.had_no_effect(self.dialect)).count();
                assert!(done <= 1, "{record:?} may have been done {done} times");
            }
        }
    }
}
