//! Many servers as one: which of them is asked, on which connection, and what becomes of a call
//! when one of them fails.

mod calls;
mod connections;
mod health;
mod output;
mod timers;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use slab::Slab;

use self::calls::Active;
pub(super) use self::calls::AttemptId;
use self::connections::{Link, State};
use self::timers::{Timer, Timers};
use super::answer::Answer;
use super::budget::Budget;
use super::call::Call;
use super::error::{CallError, ConnectFailure, NotSent};
use super::health::ServerState;
use super::options::ClusterOptions;
use super::random::Random;
use super::ring::RingError;
use super::servers::{Server, ServerId, Servers};
use super::statistics::ServerStatistics;
use crate::Instant;
use crate::memcache::request::Prepared;

pub use self::calls::CallId;
pub use self::connections::{ConnectionId, ReservationId};
pub use self::output::{ClusterEvent, ClusterOutput, Completed};

/// A set of servers, the connections to them, and the calls under way: a client without its
/// sockets.
///
/// It asks for connections, and for bytes to be written on them, and is told what happened.
/// **The rule:** after every input, call [`poll_output`](Self::poll_output) until it says
/// [`ClusterOutput::Idle`] or [`ClusterOutput::Closed`].
///
/// Every call that was taken completes once, at its deadline at the latest, with an answer or with
/// an error that says whether it may have had an effect ([`CallError`]). A miss is an answer, and a
/// server that cannot be reached never looks like one.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::client::{Answer, Call, Cluster, ClusterOptions, ClusterOutput, Server};
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::{Dialect, Keys};
///
/// let now = Instant::default();
/// let options = ClusterOptions::default();
/// let get = Request::Get(Keys::new(&[b"greeting"]));
/// let get = Prepared::new(&get, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
///
/// let call = cluster.submit(Call::read(get), now + Duration::from_millis(250), now)?;
/// let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// cluster.connected(connection, now);
/// assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// cluster.wrote(connection, 14); // `get greeting\r\n`
/// cluster.receive(connection, b"END\r\n");
/// let ClusterOutput::Completed(completed) = cluster.poll_output(now) else { panic!() };
/// assert_eq!(completed.call, call);
/// assert!(completed.outcome?.is_miss());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    servers: Servers,
    links: Slab<Link>,
    calls: Slab<Active>,
    /// Numbers calls and connections, so that an old id is no newer one's.
    sequence: u64,
    random: Random,
    budget: Budget,
    /// Connections that something happened to.
    dirty: VecDeque<usize>,
    timers: Timers,
    outputs: VecDeque<ClusterOutput>,
    /// What a new connection is asked first.
    greeting: Option<Prepared>,
    probe: Prepared,
    shutting_down: bool,
}

impl Cluster {
    /// A cluster of these servers. `seed` decides on jitter and random choice: give it from a
    /// random source, or fixed to repeat a course of events.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn new(
        servers: &[Server],
        options: ClusterOptions,
        seed: u64,
        now: Instant,
    ) -> Result<Self, ClusterError> {
        let (greeting, probe) =
            connections::greeting(&options).map_err(ClusterError::Credentials)?;
        let mut cluster = Self {
            servers: Servers::new(options.selection, options.rotation),
            links: Slab::new(),
            calls: Slab::new(),
            sequence: 0,
            random: Random::new(seed),
            budget: Budget::new(options.retries, now),
            dirty: VecDeque::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            greeting,
            probe,
            shutting_down: false,
            options,
        };
        cluster.set_servers(servers, now)?;
        Ok(cluster)
    }

    /// Changes the set of servers while calls are under way. Servers that stay (by name and
    /// address) keep their connections and their health; what is under way with one that goes is
    /// still answered, what waits for it goes elsewhere where it may.
    ///
    /// # Errors
    /// [`ClusterError::TooManyServers`]; the set is as it was.
    pub fn set_servers(&mut self, servers: &[Server], now: Instant) -> Result<(), ClusterError> {
        let changes = self.servers.set(servers, now).map_err(ClusterError::TooManyServers)?;
        for entry in changes.removed {
            for at in entry.links {
                self.retire_link(at, now);
            }
            for attempt in entry.waiting.into_values() {
                self.not_sent(attempt, NotSent::NoServer, now);
            }
            if let Some(probe_at) = entry.health.probe_at() {
                self.timers.unset(probe_at, Timer::Probe(entry.id));
            }
        }
        for id in changes.added {
            self.open_in_advance(id, now);
        }
        Ok(())
    }

    /// The servers, in the order in which they were given.
    pub fn servers(&self) -> impl Iterator<Item = (ServerId, &Server)> {
        self.servers.iter().map(|entry| (entry.id, &entry.server))
    }

    /// A server of the set.
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(id).map(|entry| &entry.server)
    }

    /// The server that owns a key, whether or not it is in use; `None` where no server has a
    /// weight.
    pub fn owner(&self, key: &[u8]) -> Option<ServerId> {
        self.servers.owner(key)
    }

    /// How the cluster was made.
    pub const fn options(&self) -> &ClusterOptions {
        &self.options
    }

    /// Takes a call. It completes with a [`ClusterOutput::Completed`], at `deadline` at the latest.
    ///
    /// # Errors
    /// [`CallError::NotSent`] when it was not taken: too many are under way
    /// ([`ClusterOptions::waiting`]), or the client is shutting down.
    pub fn submit(
        &mut self,
        call: Call,
        deadline: Instant,
        now: Instant,
    ) -> Result<CallId, CallError> {
        let refused = |why| Err(CallError::NotSent { server: None, why });
        if self.shutting_down {
            return refused(NotSent::ShuttingDown);
        }
        if self.calls.len() >= self.options.waiting {
            return refused(NotSent::Overloaded);
        }
        self.budget.call();
        Ok(self.begin(call, deadline, now))
    }

    /// Whether a call is under way.
    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Gives a call up: nothing is told of it afterwards. What it asked for may still be done. An
    /// item that it has opened is put back.
    pub fn cancel(&mut self, call: CallId) {
        if self.call(call).is_some()
            && let Some(mut active) = self.calls.try_remove(call.at())
        {
            return self.drop_attempts(call, &mut active);
        }
        // It may be over, with nobody told so yet.
        let told = |output: &ClusterOutput| matches!(output, ClusterOutput::Completed(completed) if completed.call == call);
        if let Some(at) = self.outputs.iter().position(told)
            && let Some(ClusterOutput::Completed(completed)) = self.outputs.remove(at)
            && let Some(reservation) = completed.reservation
        {
            self.abandon_reservation(reservation);
        }
    }

    /// The item that a reservation holds is confirmed or put back: its connection may be used by others.
    /// (What makes it so is a call with [`Call::on_reservation`]; where one is still under way, the
    /// connection is closed, and so it is where the item is open still.) A reservation that has ended
    /// changes nothing.
    pub fn release_reservation(&mut self, reservation: ReservationId, now: Instant) {
        if let Some((at, _)) = self.reserved_link(reservation) {
            self.return_link(at, now);
        }
    }

    /// Closes the connection of a reservation: the server puts the item back. A reservation that has ended
    /// changes nothing.
    pub fn abandon_reservation(&mut self, reservation: ReservationId) {
        if let Some((at, _)) = self.reserved_link(reservation) {
            self.close_link(at);
        }
    }

    /// Asks for an orderly end: calls under way are waited for, none is taken any more.
    pub fn shut_down(&mut self) {
        self.shutting_down = true;
    }

    /// Ends everything at once: every connection counts as broken, and every call completes with
    /// what is known of its effect. For an adapter that cannot go on.
    pub fn abort(&mut self, now: Instant) {
        self.shutting_down = true;
        // Nothing is sent once more.
        self.options.attempts = 0;
        let servers: Vec<ServerId> = self.servers.iter().map(|entry| entry.id).collect();
        for server in servers {
            self.fail_waiting(server, NotSent::ShuttingDown, now);
        }
        let id = |(at, link): (usize, &Link)| ConnectionId { at, sequence: link.sequence };
        let links: Vec<ConnectionId> = self.links.iter().map(id).collect();
        for connection in links {
            if let Some(Link { state: State::Connecting { .. }, .. }) = self.link_mut(connection) {
                self.tell_close(connection.at);
                self.link_refused(connection.at, ConnectFailure::Other, now);
            } else {
                self.broke(connection, None);
            }
        }
    }

    /// Tells that a connection was made.
    pub fn connected(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(at) = self.link_at(connection) {
            self.link_connected(at, now);
        }
    }

    /// Tells that a connection could not be made.
    pub fn connect_failed(&mut self, connection: ConnectionId, why: ConnectFailure, now: Instant) {
        match self.link_mut(connection) {
            Some(Link { state: State::Connecting { .. }, .. }) => {
                self.link_refused(connection.at, why, now);
            }
            _ => self.broke(connection, None),
        }
    }

    /// What was counted, and the state of each server.
    pub fn statistics(&self) -> Vec<ServerStatistics> {
        let mut all = Vec::new();
        for entry in self.servers.iter() {
            let links = entry.links.iter().filter_map(|&at| self.links.get(at));
            all.push(ServerStatistics {
                server: entry.id,
                name: entry.server.name.clone(),
                state: entry.health.state(),
                connections: entry.links.len(),
                in_flight: links.map(Link::in_flight).sum(),
                waiting: entry.waiting.len(),
                counters: entry.counters,
            });
        }
        all
    }

    /// Whether a server is in use.
    pub fn state(&self, server: ServerId) -> Option<ServerState> {
        self.servers.get(server).map(|entry| entry.health.state())
    }

    fn complete(
        &mut self,
        call: CallId,
        answered_by: Option<ServerId>,
        outcome: Result<Answer, CallError>,
        reservation: Option<ReservationId>,
    ) {
        let mut token = 0;
        if let Some(mut active) = self.calls.try_remove(call.at()) {
            token = active.call.token;
            if active.is_to_be_ended() {
                self.drop_attempts(call, &mut active);
            }
        }
        let completed = Completed { call, token, outcome, answered_by, reservation };
        self.outputs.push_back(ClusterOutput::Completed(completed));
    }
}

/// Why a cluster cannot be as it is asked to be.
///
/// ```
/// use windhover_core::Instant;
/// use windhover_core::client::{Cluster, ClusterError, ClusterOptions, Credentials, Server};
///
/// let mut options = ClusterOptions::default();
/// options.credentials = Some(Credentials { user: "two words".into(), password: "secret".into() });
/// assert!(!format!("{options:?}").contains("secret"));
/// let refused = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, Instant::default());
/// assert!(matches!(refused, Err(ClusterError::Credentials(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterError {
    /// There are too many servers for the ring.
    TooManyServers(RingError),
    /// Name or password cannot be sent.
    Credentials(crate::memcache::request::EncodeError),
}

impl core::fmt::Display for ClusterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooManyServers(error) => error.fmt(f),
            Self::Credentials(_) => f.write_str("the credentials cannot be sent"),
        }
    }
}

impl core::error::Error for ClusterError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::TooManyServers(error) => error.source(),
            Self::Credentials(error) => Some(error),
        }
    }
}
