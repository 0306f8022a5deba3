//! A cluster, its sockets and its callers: everything about it that a step may change, and what
//! must hold behind every step.

mod ending;
mod given;
mod lending;
mod read;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use windhover_core::Instant;
use windhover_core::client::{
    Answer, Call, CallError, CallId, Cluster, ClusterEvent, ClusterOptions, ClusterOutput,
    Completed, ConnectFailure, ConnectionId, NotSent, ReservationId, Server, ServerId,
    ServerSelection, ServerState, Target,
};
use windhover_core::memcache::command::{self, Command};
use windhover_core::memcache::{Dialect, OsError};

use crate::Source;
use crate::generate::calls;
use crate::property::splits;
use crate::reference::answers::{self, Answered};
use crate::reference::replies::Asked;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A connection as its socket sees it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) server: ServerId,
    pub(crate) is_connected: bool,
    /// The client has closed it.
    is_closed: bool,
    /// The server's end was told.
    is_ended: bool,
    /// What the client has sent.
    pub(crate) sent: Vec<u8>,
    /// What has come from the server.
    said: Vec<u8>,
    /// What the server has said and has not come yet.
    pub(crate) queued: Vec<u8>,
    /// How many requests the server has answered.
    pub(crate) answered: usize,
}

/// A call that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    asked: Rc<Asked>,
    call: Call,
    since: Instant,
    deadline: Instant,
    /// Whose key it was, as long as the servers are these.
    owner: Option<ServerId>,
    servers: usize,
}

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) dialect: Dialect,
    options: ClusterOptions,
    pub(crate) now: Instant,
    pub(crate) sockets: BTreeMap<ConnectionId, Socket>,
    pub(crate) calls: BTreeMap<CallId, Record>,
    /// Calls that had no effect, as they were told.
    without_effect: Vec<Record>,
    over: Vec<Record>,
    pub(crate) reservations: Vec<ReservationId>,
    known: BTreeMap<Vec<u8>, Rc<Asked>>,
    /// How many calls had these bytes.
    times: BTreeMap<Vec<u8>, usize>,
    serial: usize,
    /// How often the servers were changed.
    changes: usize,
    out_of_use: BTreeSet<ServerId>,
    idle_until: Option<Instant>,
    /// Bytes that a write takes; 0 blocks.
    pub(crate) write: usize,
    /// Connections are made at once.
    pub(crate) prompt: bool,
    /// The adapter was late: a call may be told later than its deadline.
    late: bool,
    /// The adapter moves bytes while the cluster goes on.
    pub(crate) lends: bool,
    lent: BTreeMap<ConnectionId, lending::Lent>,
}

impl World {
    pub(crate) fn new(
        options: ClusterOptions,
        servers: &[Server],
        seed: u64,
        prompt: bool,
    ) -> Self {
        let now = Instant::from_epoch(Duration::from_secs(1));
        let dialect = options.dialect;
        let cluster = Cluster::new(servers, options.clone(), seed, now).expect("few servers");
        let choice =
            if options.selection == ServerSelection::Rendezvous { "Rendezvous" } else { "Ketama" };
        assert!(format!("{cluster:?}").contains(choice));
        let mut known = BTreeMap::new();
        let mut know = |command: Command, wire: &[u8]| {
            let row = command::row(command, dialect).expect("its dialect has it");
            known.insert(wire.to_vec(), Rc::new(Asked::new(row, wire.to_vec())));
        };
        know(Command::Version, b"version\r\n");
        if options.credentials.is_some() {
            know(Command::Authenticate, GREETING);
        }
        // What the world asks by itself.
        let times = BTreeMap::from([(b"version\r\n".to_vec(), 2)]);
        Self {
            cluster,
            dialect,
            options,
            now,
            sockets: BTreeMap::new(),
            calls: BTreeMap::new(),
            without_effect: Vec::new(),
            over: Vec::new(),
            reservations: Vec::new(),
            known,
            times,
            serial: 0,
            changes: 0,
            out_of_use: BTreeSet::new(),
            idle_until: Some(now),
            write: usize::MAX,
            prompt,
            late: false,
            lends: false,
            lent: BTreeMap::new(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.idle_until.is_none()
    }

    /// A number that no other call has in its key.
    pub(crate) fn serial(&mut self) -> usize {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn submit(&mut self, call: Call, asked: Asked, timeout: Duration) {
        let asked = Rc::new(asked);
        *self.times.entry(asked.wire.clone()).or_default() += 1;
        self.known.entry(asked.wire.clone()).or_insert_with(|| Rc::clone(&asked));
        let deadline = self.now + timeout;
        let owner = self.cluster.owner(call.prepared.key());
        let (since, servers) = (self.now, self.changes);
        let record = Record { asked, call: call.clone(), since, deadline, owner, servers };
        match self.cluster.submit(call, deadline, self.now) {
            Ok(id) => {
                let same = |it: &CallId| it.number() == id.number();
                assert!(!self.calls.keys().any(same), "a number was given twice");
                let before = self.calls.insert(id, record);
                assert!(before.is_none(), "an id was given twice");
                if let Some((connection, in_flight)) = self.cluster.sent_on(id) {
                    let socket = self.sockets.get(&connection).expect("it is there");
                    assert!(socket.is_connected && !socket.is_closed, "nobody can send it");
                    assert!(in_flight > 0, "it is not on its way");
                    self.write_ahead(connection);
                }
            }
            Err(error) => {
                let CallError::NotSent { why, .. } = &error else {
                    panic!("it was not taken, but {error}");
                };
                match why {
                    NotSent::Overloaded => assert!(self.calls.len() >= self.options.waiting),
                    NotSent::ShuttingDown => {}
                    other => panic!("it was not taken: {other}"),
                }
                self.without_effect.push(record);
            }
        }
    }

    pub(crate) fn cancel(&mut self, at: usize) {
        let id = self.calls.keys().nth(at % self.calls.len().max(1)).copied();
        if let Some(id) = id {
            self.over.extend(self.calls.remove(&id));
            self.cluster.cancel(id);
            assert_eq!(self.cluster.sent_on(id), None, "it is nobody's");
        }
    }

    pub(crate) fn set_servers(&mut self, servers: &[Server]) {
        self.cluster.set_servers(servers, self.now).expect("few servers");
        self.changes += 1;
        let there: BTreeSet<_> = self.cluster.servers().map(|(id, _)| id).collect();
        self.out_of_use.retain(|id| there.contains(id));
        assert_eq!(there.len(), servers.len());
        for (id, server) in self.cluster.servers() {
            assert_eq!(self.cluster.server(id), Some(server));
        }
    }

    /// The connections that are there, or are being made, or wait for an answer.
    pub(crate) fn some(&self, wanted: impl Fn(&Socket) -> bool) -> Vec<ConnectionId> {
        let wanted = |socket: &Socket| !socket.is_closed && wanted(socket);
        self.sockets.iter().filter(|(_, it)| wanted(it)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn connect(&mut self, id: ConnectionId, failure: Option<ConnectFailure>) {
        let socket = self.sockets.get_mut(&id).expect("it is there");
        match failure {
            None => {
                socket.is_connected = true;
                self.cluster.connected(id, self.now);
            }
            Some(failure) => {
                socket.is_closed = true;
                self.cluster.connect_failed(id, failure, self.now);
            }
        }
    }

    /// The requests on a connection that the server has read and not answered.
    pub(crate) fn unanswered(&self, id: ConnectionId) -> Vec<Rc<Asked>> {
        let socket = &self.sockets[&id];
        let wires = answers::requests(&socket.sent, self.dialect);
        let asked = |wire: &[u8]| Rc::clone(self.known.get(wire).expect("nobody asked for that"));
        wires.into_iter().skip(socket.answered).map(asked).collect()
    }

    /// The server answers the next requests of a connection, as it should.
    pub(crate) fn answer(&mut self, id: ConnectionId, count: usize, source: &mut Source<'_>) {
        let due = self.unanswered(id);
        for asked in due.iter().take(count) {
            let answer = calls::answer(asked, source);
            let socket = self.sockets.get_mut(&id).expect("it is there");
            socket.queued.extend_from_slice(&answer);
            socket.answered += usize::from(!asked.is_endless());
        }
    }

    /// So many bytes that the server has said come in.
    pub(crate) fn deliver(&mut self, id: ConnectionId, most: usize) {
        let socket = self.sockets.get_mut(&id).expect("it is there");
        let rest = socket.queued.split_off(most.min(socket.queued.len()));
        let piece = core::mem::replace(&mut socket.queued, rest);
        if !socket.is_ended {
            socket.said.extend_from_slice(&piece);
            if self.lends {
                self.end_write(id);
                // A reader finds its own pieces, which are no choice: see `os`.
                let pieces = match self.serial % 4 {
                    0 => vec![&piece[..]],
                    _ if piece.len() > 10_000 => piece.chunks(16 * 1024 + 1).collect(),
                    _ => splits::pieces(&piece, self.serial as u64),
                };
                return pieces.into_iter().for_each(|piece| self.deliver_lent(id, piece));
            }
            self.cluster.receive(id, &piece);
        }
    }

    /// Bytes come in that the server has no reason to send.
    pub(crate) fn say(&mut self, id: ConnectionId, bytes: &[u8]) {
        let socket = self.sockets.get_mut(&id).expect("it is there");
        socket.queued.extend_from_slice(bytes);
        self.deliver(id, usize::MAX);
    }

    pub(crate) fn end(&mut self, id: ConnectionId, broken: bool) {
        self.end_write(id);
        let socket = self.sockets.get_mut(&id).expect("it is there");
        socket.is_ended = true;
        if broken {
            self.cluster.broke(id, self.os());
        } else {
            self.cluster.end_of_stream(id);
        }
    }

    /// What the operating system says of a connection now, which is no choice of its own: the inputs of the
    /// corpora keep their meaning.
    fn os(&self) -> Option<OsError> {
        (self.serial % 2 == 1).then_some(OsError(104))
    }

    /// Why a connection could not be made.
    pub(crate) fn failure(&self) -> ConnectFailure {
        self.os().map_or(ConnectFailure::Other, ConnectFailure::Os)
    }

    /// A connection that was made could not be used after all.
    pub(crate) fn break_late(&mut self, id: ConnectionId) {
        self.end_write(id);
        self.sockets.get_mut(&id).expect("it is there").is_ended = true;
        self.cluster.connect_failed(id, ConnectFailure::Other, self.now);
    }

    /// Sockets take bytes again.
    pub(crate) fn unblock(&mut self) {
        for id in self.some(|socket| socket.is_connected) {
            // Of one connection, one write is under way.
            self.end_write(id);
            if self.write > 0 && !self.unsent(id).is_empty() {
                self.write(id);
            }
        }
    }

    fn unsent(&self, id: ConnectionId) -> Vec<u8> {
        let mut slices = [&b""[..]; 256];
        let filled = self.cluster.unsent(id, &mut slices);
        slices[..filled].concat()
    }

    fn write(&mut self, id: ConnectionId) {
        if self.lends {
            return self.begin_write(id);
        }
        let mut unsent = self.unsent(id);
        assert!(!unsent.is_empty(), "nothing to write");
        unsent.truncate(self.write);
        let socket = self.sockets.get_mut(&id).expect("it is there");
        socket.sent.extend_from_slice(&unsent);
        self.cluster.wrote(id, unsent.len());
    }

    /// Time passes: as the cluster wants it, from instant to instant, or all at once.
    pub(crate) fn wait(&mut self, source: &mut Source<'_>) {
        let until = match (source.below(8), self.idle_until) {
            (0..=2, Some(at)) => at,
            (3, Some(at)) => {
                Instant::from_epoch(at.since_epoch().saturating_sub(Duration::from_nanos(1)))
            }
            (4, _) => {
                self.late = true;
                self.now = self.now + ms(source.between(1, 1000) as u64);
                self.settle();
                self.late = false;
                return;
            }
            _ => self.now + ms(source.between(1, 1000) as u64),
        };
        // Connections that are opened in advance and soon too old would be made again for as long as it takes.
        self.wait_until(until.min(self.now + ms(6000)));
    }

    pub(crate) fn wait_until(&mut self, until: Instant) {
        self.settle();
        let mut wakes = 0;
        while let Some(at) = self.idle_until.filter(|at| *at <= until) {
            self.now = at;
            self.settle();
            wakes += 1;
            assert!(wakes < 5000, "it wakes again and again");
        }
        self.now = self.now.max(until);
        self.settle();
    }

    /// Does what the cluster asks for, until it has nothing to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..20_000 {
            if self.output() {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Does one thing that the cluster asks for; whether there is nothing to do.
    pub(crate) fn output(&mut self) -> bool {
        match self.cluster.poll_output(self.now) {
            ClusterOutput::Connect { connection, server } => {
                assert!(self.cluster.server(server).is_some(), "a server that is gone");
                let socket = Socket {
                    server,
                    is_connected: false,
                    is_closed: false,
                    is_ended: false,
                    sent: Vec::new(),
                    said: Vec::new(),
                    queued: Vec::new(),
                    answered: 0,
                };
                let same = |id: &ConnectionId| id.number() == connection.number();
                assert!(!self.sockets.keys().any(same), "a connection was asked for twice");
                self.sockets.insert(connection, socket);
                if self.prompt {
                    self.connect(connection, None);
                }
            }
            ClusterOutput::Write { connection } => {
                let socket = self.sockets.get(&connection).expect("it is there");
                assert!(socket.is_connected && !socket.is_closed, "it is not to be written to");
                self.write(connection);
            }
            ClusterOutput::Close { connection } => {
                let socket = self.sockets.get_mut(&connection).expect("it is there");
                let before = core::mem::replace(&mut socket.is_closed, true);
                // It may not have known yet that the connection could not be made.
                assert!(!before || !socket.is_connected, "closed twice");
            }
            ClusterOutput::Completed(completed) => self.completed(&completed),
            ClusterOutput::Event(ClusterEvent::Ejected { server }) => {
                let gone = self.cluster.server(server).is_none();
                assert!(self.out_of_use.insert(server) || gone, "it was out of use already");
            }
            ClusterOutput::Event(ClusterEvent::Restored { server }) => {
                let gone = self.cluster.server(server).is_none();
                assert!(self.out_of_use.remove(&server) || gone, "it was in use already");
            }
            ClusterOutput::Idle(until) => {
                assert!(until > self.now, "waits for an instant that has come");
                self.idle_until = Some(until);
                self.rest(until);
                return true;
            }
            ClusterOutput::Closed => {
                self.idle_until = None;
                assert!(self.calls.is_empty(), "closed, and calls are under way");
                assert!(self.some(|_| true).is_empty(), "closed, and connections are open");
                return true;
            }
            other => panic!("{other:?}"),
        }
        false
    }

    /// What holds while nothing is to be done.
    fn rest(&self, until: Instant) {
        assert!(self.calls.len() <= self.options.waiting, "more calls than may be");
        for (id, record) in &self.calls {
            assert!(record.deadline > self.now, "{id:?} has outlived its deadline: {record:?}");
            assert!(until <= record.deadline, "{id:?} would outlive its deadline: {record:?}");
            if let Some((connection, in_flight)) = self.cluster.sent_on(*id) {
                let socket = self.sockets.get(&connection).expect("it was sent there");
                assert!(socket.is_connected && in_flight > 0, "{id:?} is under way nowhere");
                let first = self.cluster.first_on(connection).map(|(first, _)| first);
                let waits = first.is_some_and(|first| self.calls.contains_key(&first));
                assert!(waits, "{first:?} is the first that waits there");
            }
        }
        assert_eq!(self.cluster.has_calls(), !self.calls.is_empty(), "a call is forgotten");
        for it in self.cluster.statistics() {
            let here = self.some(|socket| socket.server == it.server).len();
            assert_eq!(it.connections, here, "connections are not what was asked for");
            // As many again while they are replaced, and a probe.
            let most = 2 * self.options.connections.max(1) + self.options.exclusive + 1;
            assert!(here <= most, "{here} connections, and {most} at most");
            let pipelines = here * self.options.limits.pipeline.max(1);
            assert!(it.in_flight <= pipelines && it.waiting <= 2 * self.calls.len());
            let counted = it.counters;
            let ends = counted.answered + counted.refused + counted.timed_out + counted.broken;
            assert!(ends <= counted.sent, "more ended than were sent: {counted:?}");
            assert_eq!(counted.latency.count(), counted.answered + counted.refused);
            let buckets: u64 = counted.latency.buckets().map(|(_, count)| count).sum();
            assert_eq!(buckets, counted.latency.count());
            assert_eq!(it.state, self.cluster.state(it.server).expect("it is there"));
            let out = it.state != ServerState::Healthy;
            assert_eq!(out, self.out_of_use.contains(&it.server), "nobody was told: {it:?}");
            if counted.latency.count() > 0 {
                let (half, all) = (counted.latency.percentile(50), counted.latency.percentile(100));
                assert!(half <= all && half > Some(Duration::ZERO), "{counted:?}");
                assert!(counted.latency.sum() <= self.now.since_epoch() * 1000);
            }
        }
    }

    fn replies(&self, asked: &Asked) -> Vec<Answered> {
        let mut all = Vec::new();
        for socket in self.sockets.values() {
            let read = answers::read(
                &socket.sent,
                &socket.said,
                self.dialect,
                self.options.limits.value,
                &self.known,
            );
            all.extend(read.into_iter().filter(|it| it.asked.wire == asked.wire));
        }
        all
    }

    fn completed(&mut self, completed: &Completed) {
        let record = self.calls.remove(&completed.call).expect("it was not under way");
        assert!(self.late || self.now <= record.deadline.max(record.since), "after its deadline");
        let asked = &record.asked;
        let replies = self.replies(asked);
        match &completed.outcome {
            Ok(Answer::Closed) => assert!(asked.is_answered_by_the_end(), "{asked:?}"),
            Ok(answer) => {
                let told = replies.iter().any(|reply| reply.is(answer, self.dialect));
                assert!(told, "no server has answered {answer:?} to {asked:?}: {replies:?}");
                match answer {
                    Answer::Meta(meta) => read::reads_its_flags(meta),
                    Answer::Items(items) => read::are_taken_out(items),
                    _ => {}
                }
            }
            Err(error) => {
                assert!(crate::property::tells(error));
                let certain =
                    matches!(error, CallError::NotSent { .. } | CallError::Refused { .. });
                assert_eq!(error.had_no_effect(), certain);
                assert!(error.server().is_some() || matches!(error, CallError::NotSent { .. }));
                let had_found = error.clone().take_found();
                match error {
                    CallError::Refused { server, refusal } => {
                        let told = |it: &Answered| it.is_refusal(refusal, self.dialect);
                        assert!(replies.iter().any(told), "{server:?} has not refused: {refusal}");
                        assert!(had_found.is_empty());
                    }
                    CallError::Unknown { found, .. } => {
                        let told = |it: &Answered| it.begins_with(found, self.dialect);
                        assert!(found.is_empty() || replies.iter().any(told), "{found:?}");
                        assert!(read::are_same(&had_found, found));
                    }
                    CallError::Keys { found, failed, .. } => {
                        assert!(!failed.is_empty());
                        assert!(read::are_same(&had_found, found));
                        let told = |it: &Answered| it.has_failed_beside(found, self.dialect);
                        assert!(replies.iter().any(told), "{found:?} beside {failed:?}");
                    }
                    CallError::NotSent { .. } => self.without_effect.push(record.clone()),
                    other => panic!("{other}"),
                }
            }
        }
        let prepared = &record.call.prepared;
        given::reads_the_same(prepared, &completed.outcome, asked, self.dialect);
        self.reserved(completed, &record);
        self.over.push(record);
    }

    /// An item that is open has a reservation, and nothing else has one.
    fn reserved(&mut self, completed: &Completed, record: &Record) {
        let Some(reservation) = completed.reservation else {
            let opened = matches!(&completed.outcome, Ok(answer) if !answer.is_miss());
            assert!(!record.asked.opens || !opened, "an item is open, and nobody can confirm it");
            return;
        };
        match record.call.target {
            Target::Reservation(own) => assert_eq!(reservation, own, "another's reservation"),
            _ => {
                assert!(record.asked.opens, "a reservation of nothing: {:?}", record.asked);
                assert!(!self.reservations.contains(&reservation), "a reservation was given twice");
                self.reservations.push(reservation);
            }
        }
    }
}

/// What a new connection is asked first where there are credentials.
pub(super) const GREETING: &[u8] = b"set auth 0 0 11\r\nuser secret\r\n";
