//! When a server is taken out of use, how it comes back, and how many calls are sent again.

use core::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::client::{
    Backoff, Call, CallError, Cluster, ClusterEvent, ClusterOptions, ClusterOutput, Completed,
    ConnectFailure, ConnectionId, NotSent, Retry, RetryLimit, Server, ServerId, ServerState,
};
use windhover_core::memcache::request::{Prepared, Request};
use windhover_core::memcache::{Dialect, Keys};

use crate::reference::health::{Budget, Health, longest};
use crate::{Script, Source};

/// One server is in use, out of use and on probation as a simple model says, from one failure,
/// answer and instant to the next; and calls are sent again as often as an account allows.
pub fn client_health(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut source = Source::new(first);
    let is_of_budget = source.chance(1, 3);
    let mut driver = Driver::new(&mut source, is_of_budget);
    for step in steps {
        let mut source = Source::new(step);
        if is_of_budget {
            driver.retries(&mut source);
        } else {
            driver.step(&mut source);
        }
        assert_eq!(driver.cluster.state(driver.server), Some(driver.health.state));
    }
}

struct Driver {
    cluster: Cluster,
    options: ClusterOptions,
    server: ServerId,
    health: Health,
    budget: Budget,
    now: Instant,
    idle_until: Instant,
    coming: Option<ConnectionId>,
    open: Option<ConnectionId>,
    /// On which connection a call ran late that counted, since the last answer, and when.
    late: Option<(ConnectionId, Instant)>,
    completed: Vec<Completed>,
    /// How often in a row no connection could be made, and when that was last.
    refused: (u32, Instant),
    /// It wrote since it was looked at last.
    wrote: bool,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Driver {
    fn new(source: &mut Source<'_>, is_of_budget: bool) -> Self {
        let now = Instant::from_epoch(Duration::from_secs(1));
        let mut options = ClusterOptions::default();
        options.timeouts.idle = Duration::from_secs(3600);
        options.timeouts.stall = Duration::from_secs(60);
        options.slow = ms(source.pick(&[50, 1, 200]));
        options.attempt_timeout = ms(100);
        options.connect_timeout = ms(80);
        options.attempts = 1;
        options.health.failures = source.pick(&[3, 1, 0, 2, 5]);
        let most = source.pick(&[5000, 300, 10]);
        options.health.backoff = Backoff::new(ms(source.pick(&[100, 1, 20])), ms(most));
        options.health.keep_last = source.chance(1, 4);
        if is_of_budget {
            options.attempts = 1000;
            options.health.failures = u32::MAX;
            let percent = source.pick(&[20, 0, 100, 250, 10_000]);
            options.retries = RetryLimit::new(percent, source.pick(&[10, 0, 1, 3]));
        }
        let seed = source.number();
        let cluster = Cluster::new(&[Server::new("a")], options.clone(), seed, now);
        let cluster = cluster.expect("one server");
        let server = cluster.servers().next().expect("there is one").0;
        Self {
            cluster,
            server,
            health: Health::new(options.health.clone(), now),
            budget: Budget::new(options.retries, 1000),
            options,
            now,
            idle_until: now,
            coming: None,
            open: None,
            late: None,
            completed: Vec::new(),
            refused: (0, now),
            wrote: false,
        }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(8) {
            0 | 1 => self.answered(),
            2 => self.refuse(),
            3 => self.silent(ms(source.between(1, 250) as u64)),
            4 => self.broken(),
            5 => {
                // Nobody waits for anything: that is no fault.
                if let Some(open) = self.open.take() {
                    self.cluster.end_of_stream(open);
                    self.drain();
                }
            }
            _ => {
                let wait = ms(source.between(1, 6000) as u64);
                self.wait(self.now + wait, source);
            }
        }
    }

    fn submit(&mut self, within: Duration, retry: Retry) -> bool {
        let keys: [&[u8]; 1] = [b"k"];
        let get = Request::Get(Keys::new(&keys));
        let limits = &self.options.limits;
        let get = Prepared::new(&get, Bytes::new(), Dialect::Memcached, limits);
        let mut call = Call::read(get.expect("it can be sent"));
        call.retry = retry;
        self.budget.call();
        let id = self.cluster.submit(call, self.now + within, self.now).expect("there is room");
        self.drain();
        if let Some(completed) = self.completed.pop() {
            assert_eq!(completed.call, id);
            let out = CallError::NotSent { server: Some(self.server), why: NotSent::Ejected };
            let told = completed.outcome.expect_err("nobody was asked");
            assert_eq!(told.to_string(), out.to_string());
            assert_eq!(told.server(), Some(self.server));
            // In use, but not to be connected to for a while.
            let (failures, at) = self.refused;
            let waits = failures >= self.options.health.failures.max(1)
                && self.now < at + longest(&self.options.health, failures);
            assert!(waits || self.health.state != ServerState::Healthy, "it is in use");
            return false;
        }
        assert_eq!(self.health.state, ServerState::Healthy, "it is out of use");
        true
    }

    /// The connection is there, and the call is sent.
    fn connect(&mut self) -> ConnectionId {
        if let Some(coming) = self.coming.take() {
            self.cluster.connected(coming, self.now);
            self.open = Some(coming);
            self.refused.0 = 0;
            self.drain();
        }
        assert!(core::mem::take(&mut self.wrote), "it is not sent");
        self.open.expect("there is a connection")
    }

    fn answered(&mut self) {
        if self.submit(ms(1000), Retry::Never) {
            let open = self.connect();
            self.cluster.receive(open, b"END\r\n");
            self.drain();
            let completed = self.completed.pop().expect("it is answered");
            assert!(completed.outcome.is_ok_and(|answer| answer.is_miss()));
            self.health.succeeded();
            self.late = None;
        }
    }

    fn refuse(&mut self) {
        if self.open.is_none() && self.submit(ms(1000), Retry::Never) {
            let coming = self.coming.take().expect("a connection is to be made");
            self.refused = (self.refused.0 + 1, self.now);
            self.health.failed(self.now);
            self.cluster.connect_failed(coming, ConnectFailure::Refused, self.now);
            self.drain();
            let completed = self.completed.pop().expect("it cannot be sent");
            let why = NotSent::Connect(ConnectFailure::Refused);
            assert!(
                matches!(completed.outcome, Err(CallError::NotSent { why: it, .. }) if it == why)
            );
        }
    }

    fn silent(&mut self, within: Duration) {
        if self.submit(within, Retry::Never) {
            let open = self.connect();
            self.now = self.now + within;
            if within >= self.options.slow {
                self.health.failed(self.now);
                self.late = Some((open, self.now));
            }
            self.drain();
            let completed = self.completed.pop().expect("its deadline has passed");
            assert!(matches!(completed.outcome, Err(CallError::Unknown { .. })));
            // It comes late, to nobody.
            self.cluster.receive(open, b"END\r\n");
            self.drain();
        }
    }

    fn broken(&mut self) {
        if self.submit(ms(1000), Retry::Never) {
            let open = self.connect();
            self.open = None;
            // The end of the same silence counts once.
            let stall = self.options.timeouts.stall;
            let late = self.late.filter(|(its, at)| *its == open && self.now < *at + stall);
            if late.is_none() {
                self.health.failed(self.now);
            }
            self.cluster.broke(open, None);
            self.drain();
            let completed = self.completed.pop().expect("its connection is gone");
            assert!(matches!(completed.outcome, Err(CallError::Unknown { .. })));
        }
    }

    fn wait(&mut self, until: Instant, source: &mut Source<'_>) {
        self.drain();
        while self.idle_until <= until {
            self.now = self.idle_until;
            self.drain();
            if self.health.state == ServerState::Probing {
                self.probe(source);
            }
        }
        self.now = until;
        self.drain();
        if self.health.state == ServerState::Probing {
            self.probe(source);
        }
        if self.health.state == ServerState::Ejected {
            assert!(self.now < self.health.probe_by(), "a probe is due");
        }
    }

    /// What becomes of a probe.
    fn probe(&mut self, source: &mut Source<'_>) {
        let coming = self.coming.take().expect("a probe");
        match source.below(4) {
            0 => {
                self.health.probed(true, self.now);
                self.cluster.connected(coming, self.now);
                self.drain();
                assert!(core::mem::take(&mut self.wrote), "it is asked nothing");
                self.cluster.receive(coming, b"VERSION 1\r\n");
                self.drain();
                self.refused.0 = 0;
                if let Some(old) = self.open.replace(coming) {
                    // One connection is as good as another, and one is enough here.
                    self.cluster.end_of_stream(old);
                    self.drain();
                }
            }
            1 => {
                self.refused = (self.refused.0 + 1, self.now);
                self.health.probed(false, self.now);
                self.cluster.connect_failed(coming, ConnectFailure::Other, self.now);
                self.drain();
            }
            2 => {
                self.cluster.connected(coming, self.now);
                self.drain();
                self.wrote = false;
                self.refused.0 = 0;
                self.health.probed(false, self.now);
                self.cluster.broke(coming, None);
                self.drain();
            }
            _ => {
                self.cluster.connected(coming, self.now);
                self.drain();
                self.wrote = false;
                self.refused.0 = 0;
                self.now = self.now + self.options.attempt_timeout;
                self.health.probed(false, self.now);
                self.drain();
            }
        }
    }

    /// A call is sent, and its connection breaks, so often; then it is answered.
    fn retries(&mut self, source: &mut Source<'_>) {
        let times = source.between(0, 30);
        self.now = self.now + ms(source.between(0, 1500) as u64);
        self.drain();
        assert!(self.submit(Duration::from_secs(3600), Retry::AtLeastOnce), "it is in use");
        for _ in 0..times {
            let open = self.connect();
            self.open = None;
            self.cluster.broke(open, None);
            self.drain();
            let millis = u64::try_from(self.now.since_epoch().as_millis()).expect("some hours");
            if !self.budget.take(millis) {
                let completed = self.completed.pop().expect("it may not be sent again");
                assert!(matches!(completed.outcome, Err(CallError::Unknown { .. })));
                assert!(self.coming.is_none(), "it is sent again");
                return;
            }
            assert!(self.completed.is_empty() && self.coming.is_some(), "it may be sent again");
        }
        let open = self.connect();
        self.cluster.receive(open, b"END\r\n");
        self.drain();
        assert!(self.completed.pop().is_some_and(|completed| completed.outcome.is_ok()));
    }

    fn drain(&mut self) {
        loop {
            match self.cluster.poll_output(self.now) {
                ClusterOutput::Connect { connection, server } => {
                    assert_eq!(server, self.server);
                    assert!(self.coming.is_none(), "one is being made");
                    if self.health.state == ServerState::Ejected {
                        // It is for a probe, which waits a while, and not for ever.
                        assert!(self.now >= self.health.since + ms(1), "too early");
                        assert!(self.now <= self.health.probe_by(), "too late");
                        self.health.state = ServerState::Probing;
                    }
                    assert_eq!(self.cluster.state(server), Some(self.health.state));
                    self.coming = Some(connection);
                }
                ClusterOutput::Write { connection } => {
                    let mut slices = [&b""[..]; 4];
                    let filled = self.cluster.unsent(connection, &mut slices);
                    let length = slices[..filled].iter().map(|slice| slice.len()).sum();
                    self.cluster.wrote(connection, length);
                    self.wrote = true;
                }
                ClusterOutput::Close { connection } => {
                    self.open = self.open.filter(|open| *open != connection);
                    self.coming = self.coming.filter(|coming| *coming != connection);
                }
                ClusterOutput::Completed(completed) => self.completed.push(completed),
                ClusterOutput::Event(ClusterEvent::Ejected { .. }) => {
                    assert_eq!(self.health.state, ServerState::Ejected, "it is to stay in use");
                }
                ClusterOutput::Event(ClusterEvent::Restored { .. }) => {
                    assert_eq!(self.health.state, ServerState::Healthy, "it is to stay out of use");
                }
                ClusterOutput::Idle(until) => {
                    assert!(until > self.now, "waits for an instant that has come");
                    self.idle_until = until;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
