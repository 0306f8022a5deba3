//! Which servers are in use: what takes one out, and how it comes back.

use super::Cluster;
use super::connections::Role;
use super::output::{ClusterEvent, ClusterOutput};
use super::timers::Timer;
use crate::Instant;
use crate::client::error::NotSent;
use crate::client::servers::ServerId;

impl Cluster {
    /// Something about a server failed. `why` is told to what waits for it where that takes it out
    /// of use.
    pub(super) fn fault(&mut self, server: ServerId, why: NotSent, now: Instant) {
        let is_last = self.servers.is_last(server);
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        if entry.health.failed(&self.options.health, is_last, now, &mut self.random) {
            entry.counters.ejections += 1;
            self.await_probe(server);
            self.outputs.push_back(ClusterOutput::Event(ClusterEvent::Ejected { server }));
            self.fail_waiting(server, why, now);
        }
    }

    fn await_probe(&mut self, server: ServerId) {
        if let Some(at) = self.servers.get(server).and_then(|entry| entry.health.probe_at()) {
            self.timers.set(at, Timer::Probe(server));
        }
    }

    /// A server that is out of use may be asked again.
    pub(super) fn probe(&mut self, server: ServerId, now: Instant) {
        if let Some(entry) = self.servers.get_mut(server)
            && !self.shutting_down
        {
            entry.health.begin_probe();
            self.open_link(server, Role::Probe, now);
        }
    }

    /// A probe was not answered.
    pub(super) fn probe_failed(&mut self, server: ServerId, now: Instant) {
        if let Some(entry) = self.servers.get_mut(server) {
            entry.health.probe_failed(&self.options.health, now, &mut self.random);
            self.await_probe(server);
        }
    }

    /// A probe was answered.
    pub(super) fn restored(&mut self, server: ServerId, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        entry.connect_at = None;
        if entry.health.probe_succeeded() {
            self.outputs.push_back(ClusterOutput::Event(ClusterEvent::Restored { server }));
        }
        self.open_in_advance(server, now);
    }
}
