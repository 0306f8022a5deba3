//! A cluster with a clock, whose servers' words the test says.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::client::{
    Answer, Call, CallError, CallId, Cluster, ClusterEvent, ClusterOptions, ClusterOutput,
    Completed, ConnectFailure, ConnectionId, ReservationId, Server, ServerId, ServerStatistics,
};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::request::{Prepared, Request, StoreRequest};
use windhover_core::memcache::{Dialect, Keys, Limits};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) struct Client {
    pub(crate) cluster: Cluster,
    pub(crate) now: Instant,
    /// Connections that were asked for and not made.
    pub(crate) pending: Vec<(ConnectionId, ServerId)>,
    pub(crate) closed: Vec<ConnectionId>,
    pub(crate) events: Vec<ClusterEvent>,
    /// Until when nothing is to be done; `None` once everything has ended.
    pub(crate) idle_until: Option<Instant>,
    /// The sockets take nothing.
    pub(crate) full: bool,
    done: BTreeMap<CallId, (Instant, Completed)>,
    wire: BTreeMap<ConnectionId, Vec<u8>>,
}

impl Client {
    pub(crate) fn new(options: ClusterOptions, servers: &[&str]) -> Self {
        let servers: Vec<_> = servers.iter().map(|name| Server::new(name)).collect();
        let now = Instant::from_epoch(Duration::from_secs(10));
        let cluster = Cluster::new(&servers, options, 7, now).unwrap();
        let mut client = Self {
            cluster,
            now,
            pending: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            idle_until: None,
            full: false,
            done: BTreeMap::new(),
            wire: BTreeMap::new(),
        };
        client.settle();
        client
    }

    /// Does what the cluster asks for, until it asks for nothing.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000_000 {
            match self.cluster.poll_output(self.now) {
                ClusterOutput::Connect { connection, server } => {
                    assert!(self.cluster.server(server).is_some(), "a server that is gone");
                    self.pending.push((connection, server));
                }
                ClusterOutput::Write { connection } if self.full => {
                    self.cluster.wrote(connection, 0);
                }
                ClusterOutput::Write { connection } => {
                    let mut slices = [&b""[..]; 8];
                    let filled = self.cluster.unsent(connection, &mut slices);
                    let bytes = slices[..filled].concat();
                    self.cluster.wrote(connection, bytes.len());
                    self.wire.entry(connection).or_default().extend_from_slice(&bytes);
                }
                ClusterOutput::Close { connection } => {
                    self.pending.retain(|&(other, _)| other != connection);
                    self.closed.push(connection);
                }
                ClusterOutput::Completed(completed) => {
                    let told = self.done.insert(completed.call, (self.now, completed));
                    assert!(told.is_none(), "a call completes once");
                }
                ClusterOutput::Event(event) => self.events.push(event),
                ClusterOutput::Idle(until) => {
                    assert!(until > self.now, "an instant that has come is no reason to wait");
                    self.idle_until = Some(until);
                    return;
                }
                ClusterOutput::Closed => {
                    self.idle_until = None;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Lets time pass, stopping wherever the cluster wants to be woken.
    pub(crate) fn after(&mut self, wait: Duration) {
        let until = self.now + wait;
        while let Some(next) = self.idle_until
            && next <= until
        {
            self.now = next;
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    pub(crate) fn submit(&mut self, call: Call, within: Duration) -> CallId {
        let call = self.cluster.submit(call, self.now + within, self.now).unwrap();
        self.settle();
        call
    }

    pub(crate) fn id(&self, server: &str) -> ServerId {
        self.cluster.servers().find(|(_, it)| *it.name == *server).unwrap().0
    }

    fn pending_to(&mut self, server: &str) -> ConnectionId {
        let id = self.id(server);
        let at = self.pending.iter().position(|&(_, to)| to == id);
        let at = at.unwrap_or_else(|| panic!("nobody connects to {server}: {:?}", self.pending));
        self.pending.remove(at).0
    }

    /// The server accepts the connection that was asked for first.
    pub(crate) fn accept(&mut self, server: &str) -> ConnectionId {
        let connection = self.pending_to(server);
        self.cluster.connected(connection, self.now);
        self.settle();
        connection
    }

    pub(crate) fn refuse(&mut self, server: &str) {
        let connection = self.pending_to(server);
        self.cluster.connect_failed(connection, ConnectFailure::Refused, self.now);
        self.settle();
    }

    /// What was written on a connection since the last look.
    pub(crate) fn wire(&mut self, connection: ConnectionId) -> String {
        String::from_utf8(self.wire.remove(&connection).unwrap_or_default()).unwrap()
    }

    pub(crate) fn reply(&mut self, connection: ConnectionId, bytes: &str) {
        self.cluster.receive(connection, bytes.as_bytes());
        self.settle();
    }

    /// The server closes a connection.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        self.cluster.end_of_stream(connection);
        self.settle();
    }

    pub(crate) fn cancel(&mut self, call: CallId) {
        self.cluster.cancel(call);
        self.settle();
    }

    pub(crate) fn is_over(&self, call: CallId) -> bool {
        self.done.contains_key(&call)
    }

    pub(crate) fn completed(&mut self, call: CallId) -> Completed {
        self.done.remove(&call).expect("the call is over").1
    }

    pub(crate) fn outcome(&mut self, call: CallId) -> Result<Answer, CallError> {
        self.completed(call).outcome
    }

    /// When a call was over.
    pub(crate) fn ended_at(&self, call: CallId) -> Instant {
        self.done[&call].0
    }

    pub(crate) fn reservation(&mut self, call: CallId) -> ReservationId {
        self.completed(call).reservation.expect("an item is open")
    }

    pub(crate) fn statistics(&self, server: &str) -> ServerStatistics {
        let all = self.cluster.statistics();
        all.into_iter().find(|it| &*it.name == server).unwrap()
    }

    /// A key that this server owns.
    pub(crate) fn key_of(&self, server: &str) -> String {
        let id = self.id(server);
        (0..1000)
            .map(|n| format!("key{n}"))
            .find(|key| self.cluster.owner(key.as_bytes()) == Some(id))
            .unwrap()
    }

    /// Takes a server out of use by three connections that are refused.
    pub(crate) fn eject(&mut self, server: &str) {
        let key = self.key_of(server);
        for _ in 0..3 {
            let call = self.submit(Call::read(get(&key)), ms(1000));
            self.refuse(server);
            self.outcome(call).unwrap_err();
        }
        assert_eq!(self.events.pop(), Some(ClusterEvent::Ejected { server: self.id(server) }));
    }
}

pub(crate) fn prepare(request: &Request<'_>, data: &str, dialect: Dialect) -> Prepared {
    let data = Bytes::copy_from_slice(data.as_bytes());
    Prepared::new(request, data, dialect, &Limits::default()).unwrap()
}

pub(crate) fn get(key: &str) -> Prepared {
    prepare(&Request::Get(Keys::new(&[key.as_bytes()])), "", Dialect::Memcached)
}

pub(crate) fn set(key: &str, value: &str) -> Prepared {
    prepare(&Request::Set(StoreRequest::new(key.as_bytes())), value, Dialect::Memcached)
}

/// An item for the queue `jobs`.
pub(crate) fn put(value: &str) -> Prepared {
    prepare(&Request::Set(StoreRequest::new(b"jobs")), value, Dialect::Kestrel)
}

/// A read of the queue `jobs`.
pub(crate) fn read(mode: ReadMode, wait: Option<Duration>) -> Prepared {
    let read = QueueRead::new(b"jobs", mode);
    let read = wait.map_or(read, |wait| read.wait(wait));
    prepare(&Request::QueueRead(read), "", Dialect::Kestrel)
}

/// The values that were found, as text.
pub(crate) fn values(answer: Answer) -> Vec<String> {
    let Answer::Items(items) = answer else {
        panic!("{answer:?}");
    };
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    items.into_iter().map(|item| text(item.value.into_bytes())).collect()
}

pub(crate) fn not_sent(outcome: Result<Answer, CallError>) -> windhover_core::client::NotSent {
    match outcome {
        Err(CallError::NotSent { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn unknown(outcome: Result<Answer, CallError>) -> windhover_core::memcache::Reason {
    match outcome {
        Err(CallError::Unknown { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}
