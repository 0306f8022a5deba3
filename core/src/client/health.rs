//! Whether a server is in use.

use super::backoff::Backoff;
use super::random::Random;
use crate::Instant;

/// When a server is taken out of use, and how it comes back.
///
/// ```
/// use core::time::Duration;
/// use windhover_core::client::{Backoff, ClusterOptions, HealthOptions};
///
/// let mut options = ClusterOptions::default();
/// options.health.failures = 5;
/// options.health.backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
/// assert_ne!(options.health, HealthOptions::default());
/// // Where the items of a queue have nowhere else to go, the last server is tried on and on.
/// assert!(ClusterOptions::queues().health.keep_last);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthOptions {
    /// So many failures in a row (connects that failed, calls without an answer, connections that
    /// broke) take a server out of use. What fails together on one connection counts once: calls that
    /// were sent before another one's failure was counted, and the end of the connection within
    /// [`ClientTimeouts::stall`](crate::memcache::ClientTimeouts::stall) of it.
    pub failures: u32,
    /// How long it then stays out before a probe; longer each time the probe fails.
    pub backoff: Backoff,
    /// Whether the last server that is in use stays so whatever happens: for queues, where trying
    /// beats giving up.
    pub keep_last: bool,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self { failures: 3, backoff: Backoff::default(), keep_last: false }
    }
}

/// The state of a server, as statistics tell it.
///
/// ```
/// use windhover_core::Instant;
/// use windhover_core::client::{Cluster, ClusterOptions, Server, ServerState};
///
/// let servers = [Server::new("10.0.0.1:11211"), Server::new("10.0.0.2:11211")];
/// let cluster = Cluster::new(&servers, ClusterOptions::default(), 42, Instant::default())?;
/// // Until it is known otherwise.
/// let healthy =
///     cluster.servers().filter(|(id, _)| cluster.state(*id) == Some(ServerState::Healthy));
/// assert_eq!(healthy.count(), 2);
/// # Ok::<(), windhover_core::client::ClusterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerState {
    /// In use.
    Healthy,
    /// Out of use, until a probe is due.
    Ejected,
    /// Out of use, and a probe is under way.
    Probing,
}

#[derive(Debug)]
pub(super) struct Health {
    state: ServerState,
    /// Failures in a row while healthy.
    failures: u32,
    /// Ejections and failed probes in a row.
    strikes: u32,
    /// When the probe is due.
    until: Instant,
}

impl Health {
    pub(super) const fn new(now: Instant) -> Self {
        Self { state: ServerState::Healthy, failures: 0, strikes: 0, until: now }
    }

    pub(super) const fn state(&self) -> ServerState {
        self.state
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.state == ServerState::Healthy
    }

    /// When the next probe is due, where one is.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        (self.state == ServerState::Ejected).then_some(self.until)
    }

    pub(super) fn begin_probe(&mut self) {
        if self.state == ServerState::Ejected {
            self.state = ServerState::Probing;
        }
    }

    /// A call was answered. While the server is out of use that says little, since the call may be
    /// from before: the probe decides.
    pub(super) fn succeeded(&mut self) {
        if self.is_healthy() {
            self.failures = 0;
            self.strikes = 0;
        }
    }

    /// Something failed; whether that takes the server out of use. `is_last` is whether no other
    /// is in use.
    pub(super) fn failed(
        &mut self,
        options: &HealthOptions,
        is_last: bool,
        now: Instant,
        random: &mut Random,
    ) -> bool {
        if !self.is_healthy() {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < options.failures.max(1) || (is_last && options.keep_last) {
            return false;
        }
        self.eject(options, now, random);
        true
    }

    /// The probe was answered; whether that brings the server back into use.
    pub(super) fn probe_succeeded(&mut self) -> bool {
        let restored = self.state == ServerState::Probing;
        if restored {
            self.failures = 0;
            self.state = ServerState::Healthy;
        }
        restored
    }

    pub(super) fn probe_failed(
        &mut self,
        options: &HealthOptions,
        now: Instant,
        random: &mut Random,
    ) {
        if self.state == ServerState::Probing {
            self.eject(options, now, random);
        }
    }

    fn eject(&mut self, options: &HealthOptions, now: Instant, random: &mut Random) {
        self.strikes = self.strikes.saturating_add(1);
        self.state = ServerState::Ejected;
        self.until = now + options.backoff.draw(self.strikes, random);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const NOW: Instant = Instant::from_epoch(Duration::from_secs(1));

    fn fail(health: &mut Health, options: &HealthOptions, is_last: bool) -> bool {
        health.failed(options, is_last, NOW, &mut Random::new(1))
    }

    #[test]
    fn failures_in_a_row_take_it_out_and_a_probe_brings_it_back() {
        let options = HealthOptions::default();
        let mut health = Health::new(NOW);
        assert_eq!([0, 0].map(|_| fail(&mut health, &options, false)), [false; 2]);
        health.succeeded();
        assert_eq!([0, 0, 0].map(|_| fail(&mut health, &options, false)), [false, false, true]);
        assert_eq!(health.state(), ServerState::Ejected);
        let due = health.probe_at().unwrap();
        assert!(due > NOW && due < NOW + options.backoff.first);
        health.succeeded();
        assert_eq!(health.state(), ServerState::Ejected, "a late answer is no probe");
        health.begin_probe();
        health.succeeded();
        assert!(!fail(&mut health, &options, false));
        assert_eq!(health.state(), ServerState::Probing, "calls from before do not end a probe");
        health.probe_failed(&options, NOW, &mut Random::new(1));
        assert_eq!(health.state(), ServerState::Ejected);
        health.begin_probe();
        assert!(health.probe_succeeded());
        assert!(!health.probe_succeeded(), "once");
        assert!(health.is_healthy());
        // It has not shown yet that it stays: the next ejection is longer.
        assert_eq!(health.strikes, 2);
        health.succeeded();
        assert_eq!(health.strikes, 0);
    }

    #[test]
    fn the_last_one_stays_where_that_is_asked_for() {
        let mut options = HealthOptions::default();
        let mut health = Health::new(NOW);
        options.keep_last = true;
        assert!((0..9).all(|_| !fail(&mut health, &options, true)));
        assert!(fail(&mut health, &options, false), "another one is in use now");
        options.keep_last = false;
        let mut health = Health::new(NOW);
        assert!((0..3).any(|_| fail(&mut health, &options, true)));
    }
}
