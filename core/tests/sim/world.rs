//! A run: a cluster, its servers, the network between them, and callers.

use std::collections::{BTreeMap, VecDeque};

use windhover_core::Instant;
use windhover_core::client::{
    CallId, Cluster, ClusterOptions, ClusterOutput, Completed, ConnectFailure, ConnectionId,
    ReservationId, Server,
};
use windhover_core::memcache::{Dialect, Received, ReplyParser};

use crate::check::{self, Ended, Verdict};
use crate::dice::Dice;
use crate::host::{Host, Mode, Sabotage, Said, Store};
use crate::load::{Asked, Load, Record};
use crate::log::{Log, Uid};
use crate::network::{Event, Network};
use crate::settings::{self, START};

/// An item that the client holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) reservation: ReservationId,
    pub(crate) item: Uid,
    pub(crate) queue: Vec<u8>,
}

/// More steps than one input can need.
const MAX_STEPS: usize = 20_000;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    pub(crate) cluster: Cluster,
    pub(crate) hosts: Vec<Host>,
    pub(crate) network: Network,
    pub(crate) load: Load,
    pub(crate) log: Log,
    pub(crate) calls: BTreeMap<CallId, Record>,
    pub(crate) over: Vec<(Record, Ended)>,
    pub(crate) reservations: Vec<Held>,
    /// Items that the client held, whatever became of them.
    pub(crate) old_reservations: Vec<Held>,
    pub(crate) sabotage: Sabotage,
    /// What has come on connections whose bytes are in the hands of the adapter.
    received: BTreeMap<ConnectionId, Received>,
    /// When the cluster wants to be woken; `None` once it is closed.
    idle_until: Option<Instant>,
    /// What is held up by servers that are stopped or dark.
    held: Vec<Vec<Event>>,
    pub(crate) trace_most: usize,
    /// The last of what happened, where it is wanted.
    trace: Option<VecDeque<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let dialect = dice.pick(&[Dialect::Memcached, Dialect::Kestrel]);
        let options: ClusterOptions = settings::options(dialect, &mut dice);
        let locked = options.credentials.is_some();
        let hosts: Vec<_> = (0..=dice.below(4))
            .map(|number| Host::new(number, dialect, locked, sabotage))
            .collect();
        let servers: Vec<_> = hosts.iter().map(server).collect();
        let traced_options = traced.then(|| format!("{options:?}"));
        let cluster = Cluster::new(&servers, options, dice.roll(), START).unwrap();
        Self {
            now: START,
            cluster,
            held: hosts.iter().map(|_| Vec::new()).collect(),
            hosts,
            network: Network::new(&mut dice),
            load: Load::new(dialect, &mut dice),
            log: Log::default(),
            calls: BTreeMap::new(),
            over: Vec::new(),
            reservations: Vec::new(),
            old_reservations: Vec::new(),
            sabotage,
            received: BTreeMap::new(),
            idle_until: Some(START),
            trace_most: 80,
            trace: traced_options.map(|options| VecDeque::from([options])),
            dice,
        }
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            // The first line says how the cluster was made.
            if trace.len() > self.trace_most {
                trace.remove(1);
            }
            let at = self.now.saturating_since(START);
            trace.push_back(format!("{at:>12?} {}", what()));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.idle_until.is_none()
    }

    pub(crate) fn trace(self) -> Vec<String> {
        self.trace.unwrap_or_default().into()
    }

    /// Lets events and the cluster have their way until then.
    pub(crate) fn run_until(&mut self, until: Instant) -> Verdict {
        loop {
            let late = if self.sabotage == Sabotage::WakesLate {
                settings::ms(5)
            } else {
                std::time::Duration::ZERO
            };
            let wake = self.idle_until.map(|at| at + late);
            let event = self.network.next_at();
            let Some(next) = [wake, event].into_iter().flatten().min().filter(|at| *at <= until)
            else {
                self.now = until;
                return Ok(());
            };
            self.now = self.now.max(next);
            if event == Some(next)
                && let Some(event) = self.network.pop()
            {
                self.happen(event)?;
                // An adapter may learn of several things before it asks what to do.
                if self.network.next_at() == Some(self.now) && self.dice.chance(50) {
                    continue;
                }
            }
            self.settle()?;
        }
    }

    /// Bytes have come, or the end. Every second connection is read by the adapter, who finds the frames.
    fn receive(&mut self, connection: ConnectionId, bytes: &[u8], is_end: bool) -> Verdict {
        if connection.number() % 2 == 1 {
            self.cluster.receive(connection, bytes);
            if is_end {
                self.cluster.end_of_stream(connection);
            }
            return Ok(());
        }
        let mut received = self.received.remove(&connection).unwrap_or_default();
        received.read_buffer().extend_from_slice(bytes);
        let options = self.cluster.options();
        let parser = ReplyParser::new(options.dialect, &options.limits);
        loop {
            let has_more = received.parse(&parser);
            self.cluster.take_received(connection, &mut received);
            if is_end && !has_more {
                self.cluster.end_of_stream(connection);
            }
            self.settle()?;
            self.cluster.return_received(connection, &mut received);
            if !has_more {
                break;
            }
        }
        self.received.insert(connection, received);
        Ok(())
    }

    /// Does what the cluster asks for.
    pub(crate) fn settle(&mut self) -> Verdict {
        for _ in 0..MAX_STEPS {
            let output = self.cluster.poll_output(self.now);
            match output {
                ClusterOutput::Connect { connection, server } => {
                    let server = self.cluster.server(server).ok_or("a server that is gone")?;
                    let host = server.address.trim_start_matches('h').parse().unwrap();
                    self.note(|| format!("connect {} to h{host}", connection.number()));
                    let delay = self.network.delay(&mut self.dice);
                    self.network.connect(connection, host, self.now + delay);
                }
                ClusterOutput::Write { connection } => self.write(connection)?,
                ClusterOutput::Close { connection } => {
                    self.received.remove(&connection);
                    self.note(|| format!("close {}", connection.number()));
                    if !self.network.sockets.contains_key(&connection) {
                        return Err("a connection was closed that is not there".into());
                    }
                    let delay = self.network.delay(&mut self.dice);
                    self.network.close(connection, self.now + delay);
                }
                ClusterOutput::Completed(completed) => self.completed(&completed)?,
                ClusterOutput::Event(event) => self.note(|| format!("{event:?}")),
                ClusterOutput::Idle(until) if until <= self.now => {
                    return Err("waits for an instant that has come".into());
                }
                ClusterOutput::Idle(until) => {
                    self.idle_until = Some(until);
                    return Ok(());
                }
                ClusterOutput::Closed => {
                    self.idle_until = None;
                    return Ok(());
                }
                other => return Err(format!("{other:?}")),
            }
        }
        Err("the cluster does not come to rest".into())
    }

    fn write(&mut self, connection: ConnectionId) -> Verdict {
        let socket = self.network.sockets.get_mut(&connection).ok_or("writes to nobody")?;
        let room = self.network.window.saturating_sub(socket.in_flight);
        let mut slices = [&b""[..]; 8];
        let filled = self.cluster.unsent(connection, &mut slices);
        let mut bytes = slices[..filled].concat();
        if bytes.is_empty() {
            return Err("asks to write nothing".into());
        }
        if bytes.len() > 1 && self.dice.chance(10) {
            bytes.truncate(1 + self.dice.below(bytes.len()));
        }
        bytes.truncate(room);
        self.cluster.wrote(connection, bytes.len());
        if bytes.is_empty() {
            socket.blocked = true;
            return Ok(());
        }
        self.note(|| format!("{} > {}", connection.number(), shown(&bytes)));
        let delay = self.network.delay(&mut self.dice);
        self.network.send_to_server(connection, bytes, self.now + delay);
        Ok(())
    }

    fn completed(&mut self, completed: &Completed) -> Verdict {
        let Some(record) = self.calls.remove(&completed.call) else {
            return Err(format!("{:?} was not under way: {completed:?}", completed.call));
        };
        self.note(|| format!("{:?} #{}: {}", record.asked, record.uid, told(completed)));
        check::completion(&record, &completed.outcome, &self.log, self.hosts.len(), self.now)
            .map_err(|wrong| format!("{record:?} {wrong} ({:?})", completed.outcome))?;
        let ended = match &completed.outcome {
            Ok(_) => Ended::Answered,
            Err(error) if error.had_no_effect() => Ended::IfNotSent,
            Err(_) => Ended::Unknown,
        };
        if let Some(reservation) = completed.reservation {
            match (&record.asked, completed.outcome.as_ref().ok().and_then(check::item)) {
                (Asked::Reserve, Some((item, queue))) => {
                    self.reservations.push(Held { reservation, item, queue });
                }
                (Asked::Confirm { .. } | Asked::Abort, _) if self.dice.chance(80) => {
                    self.cluster.release_reservation(reservation, self.now);
                }
                (Asked::Confirm { .. } | Asked::Abort, _) => {
                    self.cluster.abandon_reservation(reservation);
                }
                (asked, _) => return Err(format!("{asked:?} has a reservation")),
            }
        } else if let (Asked::Reserve, Ok(answer)) = (&record.asked, &completed.outcome)
            && !answer.is_miss()
        {
            return Err("an item is open and nobody can confirm it".into());
        } else if let Some(reservation) = record.reservation {
            // It may not even have been sent: the reservation is still the caller's to end.
            self.cluster.abandon_reservation(reservation);
        }
        self.over.push((record, ended));
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Verdict {
        if let Some((host, there)) = event.route() {
            let mode = self.hosts[host].mode;
            let reads = there && !matches!(event, Event::Knock { .. });
            if mode == Mode::Dark || (mode == Mode::Stopped && reads) {
                self.held[host].push(event);
                return Ok(());
            }
        }
        match event {
            Event::Knock { host, connection } => {
                let accepted = self.hosts[host].mode != Mode::Down;
                if accepted {
                    self.hosts[host].accept(connection, &mut self.dice, self.now);
                }
                let delay = self.network.delay(&mut self.dice);
                self.network.greet(connection, accepted, self.now + delay);
            }
            Event::Connected { connection } => self.cluster.connected(connection, self.now),
            Event::Refused { connection } => {
                self.note(|| format!("{} is refused", connection.number()));
                self.network.sockets.remove(&connection);
                self.cluster.connect_failed(connection, ConnectFailure::Refused, self.now);
            }
            Event::ToServer { host, connection, bytes } => {
                self.read_by(connection, bytes.len());
                if !self.hosts[host].sessions.contains_key(&connection) {
                    let delay = self.network.delay(&mut self.dice);
                    self.network.end(connection, true, self.now + delay);
                    return Ok(());
                }
                let (log, dice) = (&mut self.log, &mut self.dice);
                let said = self.hosts[host].receive(connection, &bytes, log, dice, self.now);
                self.say(host, said);
            }
            Event::Left { host, connection } => {
                self.hosts[host].peer_left(connection, &mut self.log, self.now);
                self.wake_host(host);
            }
            Event::ToClient { connection, bytes, .. } => {
                if self.network.sockets.contains_key(&connection) {
                    self.note(|| format!("{} < {}", connection.number(), shown(&bytes)));
                    self.receive(connection, &bytes, false)?;
                }
            }
            Event::Ended { connection, reset, .. } => {
                if self.network.sockets.contains_key(&connection) {
                    self.note(|| format!("{} ends, reset: {reset}", connection.number()));
                    if reset {
                        self.cluster.broke(connection, None);
                    } else {
                        self.receive(connection, &[], true)?;
                    }
                }
            }
            Event::Writable { connection } => {
                let socket = self.network.sockets.get_mut(&connection);
                if socket.is_some_and(|socket| std::mem::take(&mut socket.blocked)) {
                    let mut slices = [&b""[..]; 1];
                    if self.cluster.unsent(connection, &mut slices) > 0 {
                        self.write(connection)?;
                    }
                }
            }
            Event::HostWake { host } => {
                if self.hosts[host].mode == Mode::Up {
                    self.wake_host(host);
                }
            }
            Event::Act => self.act(),
            Event::Break => self.break_something(),
            Event::Heal { host } => self.turn(host, Mode::Up),
        }
        Ok(())
    }

    /// The server has read bytes: its client's socket has room again.
    fn read_by(&mut self, connection: ConnectionId, length: usize) {
        if let Some(socket) = self.network.sockets.get_mut(&connection) {
            socket.in_flight = socket.in_flight.saturating_sub(length);
            if socket.blocked {
                let delay = self.network.delay(&mut self.dice);
                self.network.at(self.now + delay, Event::Writable { connection });
            }
        }
    }

    fn say(&mut self, host: usize, said: Vec<(ConnectionId, Said)>) {
        for (connection, said) in said {
            match said {
                Said::Bytes(bytes) => {
                    self.network.send_to_client(connection, &bytes, self.now, &mut self.dice);
                }
                Said::End | Said::Reset => {
                    let reset = matches!(said, Said::Reset);
                    self.network.end(connection, reset, self.now);
                    let over = self.hosts[host].sessions.get(&connection).is_some_and(|it| it.over);
                    if over {
                        self.hosts[host].peer_left(connection, &mut self.log, self.now);
                    }
                }
            }
        }
        if let Store::Queues(queues) = &self.hosts[host].store
            && let Some(at) = queues.next_wait()
        {
            self.network.at(at.max(self.now), Event::HostWake { host });
        }
    }

    fn wake_host(&mut self, host: usize) {
        let mut said = Vec::new();
        let (log, dice) = (&mut self.log, &mut self.dice);
        self.hosts[host].wake(log, dice, self.now, &mut said);
        if !said.is_empty() {
            self.say(host, said);
        }
    }

    /// A server is in another state from now on.
    pub(crate) fn turn(&mut self, host: usize, mode: Mode) {
        if self.sabotage == Sabotage::StaysDown && self.hosts[host].mode == Mode::Down {
            return;
        }
        self.note(|| format!("h{host} is {mode:?}"));
        self.hosts[host].mode = mode;
        if mode == Mode::Down {
            for connection in self.hosts[host].die(&mut self.log, self.now) {
                self.network.end(connection, true, self.now);
            }
        }
        if matches!(mode, Mode::Up | Mode::Down) {
            for event in std::mem::take(&mut self.held[host]) {
                self.network.at(self.now, event);
            }
            self.network.at(self.now, Event::HostWake { host });
        }
    }
}

/// A server by the name that its host has in the set.
pub(crate) fn server(host: &Host) -> Server {
    Server::new(&format!("h{}", host.number))
}

fn shown(bytes: &[u8]) -> String {
    let shown = bytes.get(..bytes.len().min(60)).unwrap_or_default();
    format!("{} bytes {}", bytes.len(), shown.escape_ascii())
}

fn told(completed: &Completed) -> String {
    match &completed.outcome {
        Ok(answer) => format!("{answer:?}").chars().take(100).collect(),
        Err(error) => error.to_string(),
    }
}
