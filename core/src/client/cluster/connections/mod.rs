//! Connections: what they are for, and what is under way on them.

mod bytes;
mod close;
mod connect;

pub(in crate::client) use self::connect::greeting;

use alloc::collections::VecDeque;

use super::Cluster;
use super::calls::{AttemptId, CallId, On, Slot};
use super::timers::Timer;
use crate::Instant;
use crate::cannot_happen::cannot_happen;
use crate::client::servers::ServerId;
use crate::memcache::response::Kind;
use crate::memcache::{ClientConnection, Ticket};

/// Which connection. Ids are given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(in crate::client) at: usize,
    pub(in crate::client) sequence: u64,
}

impl ConnectionId {
    /// A number that no other connection of the cluster has or had.
    pub const fn number(self) -> u64 {
        self.sequence
    }
}

/// Which reservation: an item that a server has set aside for one connection.
///
/// ```
/// # use bytes::Bytes;
/// # use core::time::Duration;
/// # use windhover_core::Instant;
/// # use windhover_core::memcache::Dialect;
/// use windhover_core::client::{Call, Cluster, ClusterOptions, ClusterOutput, ReservationId, Server};
/// use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
/// use windhover_core::memcache::request::{EncodeError, Prepared, Request};
///
/// # let (now, options) = (Instant::default(), ClusterOptions::queues());
/// # let limits = options.limits.clone();
/// let read = |mode| -> Result<Prepared, EncodeError> {
///     let request = Request::QueueRead(QueueRead::new(b"mails", mode));
///     Prepared::new(&request, Bytes::new(), Dialect::Kestrel, &limits)
/// };
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:22133")], options, 42, now)?;
/// let deadline = now + Duration::from_secs(1);
/// cluster.submit(Call::reserve(read(ReadMode::Open)?), deadline, now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, read(ReadMode::Open)?.wire().concat().len());
/// cluster.receive(connection, b"VALUE mails 0 5\r\nhello\r\nEND\r\n");
/// let ClusterOutput::Completed(opened) = cluster.poll_output(now) else { panic!("it is answered") };
/// let reservation: Option<ReservationId> = opened.reservation;
/// let reservation = reservation.expect("an item is open");
/// // What confirms the item has to go by the same connection, which is nobody else's meanwhile.
/// cluster.submit(Call::on_reservation(read(ReadMode::Close)?, reservation), deadline, now)?;
/// assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { connection: same } if same == connection));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId {
    connection: ConnectionId,
    /// The same connection is reserved again and again: what held it before has no power over it.
    number: u64,
}

impl ReservationId {
    pub(in crate::client) const fn new(connection: ConnectionId, number: u64) -> Self {
        Self { connection, number }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Role {
    /// For every call.
    Shared,
    /// For the attempt that it was made for, or that uses it alone.
    Exclusive(AttemptId),
    /// It holds an item that is open; the reservation's number.
    Reserved(u64),
    /// Exclusive, and nobody uses it.
    Spare,
    /// To find out whether the server is there again.
    Probe,
}

impl Role {
    pub(in crate::client) const fn is_exclusive(self) -> bool {
        matches!(self, Self::Exclusive(_) | Self::Reserved(_) | Self::Spare)
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are open")]
pub(in crate::client) enum State {
    Connecting { until: Instant },
    Open(ClientConnection),
}

/// What a request on a connection was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Purpose {
    Attempt(AttemptId),
    /// The credentials.
    Greeting,
    /// Whether the server is there again.
    Probe,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::client) struct Link {
    pub(in crate::client) sequence: u64,
    pub(in crate::client) server: ServerId,
    pub(in crate::client) role: Role,
    pub(in crate::client) state: State,
    pub(in crate::client) tickets: VecDeque<(Ticket, Purpose)>,
    /// The credentials were accepted, or are not asked for.
    pub(in crate::client) is_greeted: bool,
    /// What the server said to the credentials or to a probe.
    pub(in crate::client) heard: Option<Kind>,
    pub(in crate::client) is_dirty: bool,
    /// A request was given to it, which its writer has not fetched yet: until then it is looked at as one to
    /// which something has happened.
    pub(in crate::client) has_sent: bool,
    /// Its writer was told to fetch what waits, and has not come yet: what is sent meanwhile it fetches
    /// too.
    pub(in crate::client) awaits_writer: bool,
    /// Its bytes are lent to who writes them, so that a fetch may add to them.
    pub(in crate::client) is_lent: bool,
    /// The earliest instant that a timer of it is set to.
    pub(in crate::client) armed: Option<Instant>,
    pub(in crate::client) retires_at: Option<Instant>,
    pub(in crate::client) is_retiring: bool,
    /// The old connection whose place it takes once it may be used.
    pub(in crate::client) replaces: Option<ConnectionId>,
    /// When a call on it ran into its deadline and that counted against the server's health, since it
    /// answered last: what fails together counts once.
    pub(in crate::client) failed_at: Option<Instant>,
    /// A request on it was answered.
    pub(in crate::client) answered: bool,
    /// Calls ended with an error because it ended.
    pub(in crate::client) killed: bool,
    /// It has an item open, as far as its answers tell.
    pub(in crate::client) holds: bool,
}

impl Link {
    pub(in crate::client) fn in_flight(&self) -> usize {
        match &self.state {
            State::Open(open) => open.in_flight(),
            State::Connecting { .. } => 0,
        }
    }

    /// Whether a call could be given to it.
    pub(in crate::client) fn takes_calls(&self) -> bool {
        match &self.state {
            State::Open(open) => self.is_greeted && !self.is_retiring && open.takes_requests(),
            State::Connecting { .. } => false,
        }
    }

    /// Whether it may take calls soon.
    pub(in crate::client) fn is_coming(&self) -> bool {
        let over = matches!(&self.state, State::Open(open) if open.end().is_some());
        !self.is_greeted && !self.is_retiring && !over
            || matches!(self.state, State::Connecting { .. })
    }

    /// Notes a frame that is not a call's.
    pub(in crate::client) fn hear(&mut self, frame: Kind) {
        self.heard = Some(frame);
    }
}

impl Cluster {
    pub(in crate::client) fn link_at(&self, connection: ConnectionId) -> Option<usize> {
        let link = self.links.get(connection.at)?;
        (link.sequence == connection.sequence).then_some(connection.at)
    }

    pub(in crate::client) fn link_mut(&mut self, connection: ConnectionId) -> Option<&mut Link> {
        let link = self.links.get_mut(connection.at);
        link.filter(|link| link.sequence == connection.sequence)
    }

    /// The connection of a reservation that has not ended, and its server.
    pub(in crate::client) fn reserved_link(
        &self,
        reservation: ReservationId,
    ) -> Option<(usize, ServerId)> {
        let ConnectionId { at, sequence } = reservation.connection;
        let role = Role::Reserved(reservation.number);
        let reserved = |link: &&Link| link.sequence == sequence && link.role == role;
        self.links.get(at).filter(reserved).map(|link| (at, link.server))
    }

    pub(in crate::client) fn connection_id(&self, at: usize) -> Option<ConnectionId> {
        self.links.get(at).map(|link| ConnectionId { at, sequence: link.sequence })
    }

    /// The connection that a call was given to, where it is under way, and how many requests are on that; of a
    /// hedged call that of its first attempt.
    pub fn sent_on(&self, call: CallId) -> Option<(ConnectionId, usize)> {
        let active = self.calls.get(call.at()).filter(|it| it.sequence == call.sequence())?;
        let On::Sent(connection, ..) = active.attempts.get(Slot::First)?.on else { return None };
        Some((connection, self.links.get(connection.at)?.in_flight()))
    }

    /// The first call that waits for an answer on a connection, and its [token](crate::client::Call::token).
    pub fn first_on(&self, connection: ConnectionId) -> Option<(CallId, usize)> {
        let link = self.links.get(self.link_at(connection)?)?;
        link.tickets.iter().find_map(|(_, purpose)| {
            let Purpose::Attempt(AttemptId { call, .. }) = *purpose else { return None };
            let active = self.calls.get(call.at()).filter(|it| it.sequence == call.sequence())?;
            Some((call, active.call.token))
        })
    }

    /// A request was sent on a connection: it is to be looked at, unless its writer is about to and a timer
    /// comes in time.
    pub(in crate::client) fn mark_sent(&mut self, at: usize, deadline: Instant) {
        let Some(link) = self.links.get_mut(at) else { return cannot_happen(()) };
        let in_time = link.armed.is_some_and(|armed| armed <= deadline);
        if link.awaits_writer && in_time {
            return;
        }
        if !link.is_dirty && !link.has_sent {
            self.dirty.push_back(at);
        }
        link.has_sent = true;
    }

    /// Something happened to a connection: it is to be looked at.
    pub(in crate::client) fn mark(&mut self, at: usize) {
        if let Some(link) = self.links.get_mut(at)
            && !link.is_dirty
        {
            link.is_dirty = true;
            if !link.has_sent {
                self.dirty.push_back(at);
            }
        }
    }

    pub(in crate::client) fn with_open(
        &mut self,
        connection: ConnectionId,
        change: impl FnOnce(&mut ClientConnection),
    ) {
        if let Some(at) = self.link_at(connection)
            && let Some(Link { state: State::Open(open), .. }) = self.links.get_mut(at)
        {
            change(open);
            self.mark(at);
        }
    }

    /// Changes a connection, where it is still there.
    pub(in crate::client) fn change(&mut self, at: usize, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(at) {
            change(link);
        }
    }

    /// The connections to a server, with their places.
    pub(in crate::client) fn links_to(
        &self,
        server: ServerId,
    ) -> impl Iterator<Item = (usize, &Link)> {
        let links = self.servers.get(server).map_or(&[][..], |entry| &entry.links);
        links.iter().filter_map(|&at| self.links.get(at).map(|link| (at, link)))
    }

    /// How many shared connections a server has, those being made among them.
    pub(in crate::client) fn shared_links(&self, server: ServerId) -> usize {
        let shared = |link: &Link| link.role == Role::Shared && !link.is_retiring;
        self.links_to(server).filter(|(_, link)| shared(link)).count()
    }

    /// How many shared connections a server has without those that are to take the place of another.
    pub(in crate::client) fn settled_links(&self, server: ServerId) -> usize {
        let settled =
            |link: &Link| link.role == Role::Shared && !link.is_retiring && link.replaces.is_none();
        self.links_to(server).filter(|(_, link)| settled(link)).count()
    }

    /// A timer of the connection is set to that instant, or to an earlier one already.
    pub(in crate::client) fn arm(&mut self, at: usize, until: Instant) {
        let Some(link) = self.links.get_mut(at) else {
            return cannot_happen(());
        };
        let connection = ConnectionId { at, sequence: link.sequence };
        match link.armed {
            Some(armed) if armed <= until => return,
            Some(armed) => self.timers.unset(armed, Timer::Link(connection)),
            None => {}
        }
        link.armed = Some(until);
        self.timers.set(until, Timer::Link(connection));
    }
}
