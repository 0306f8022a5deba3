//! The servers of a cluster, and which of them a call goes to.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::cluster::AttemptId;
use super::health::Health;
use super::options::{Rotation, ServerSelection};
use super::random::Random;
use super::ring::{Member, Rendezvous, Ring, RingError};
use super::statistics::ServerCounters;
use crate::Instant;

/// Which server. An id is given once: a server that is removed and added again has another.
///
/// ```
/// use windhover_core::Instant;
/// use windhover_core::client::{Cluster, ClusterOptions, Server, ServerId};
///
/// let (server, now) = (Server::new("10.0.0.1:11211"), Instant::default());
/// let mut cluster = Cluster::new(&[server.clone()], ClusterOptions::default(), 42, now)?;
/// let first: Option<ServerId> = cluster.owner(b"key");
/// assert_eq!(first.and_then(|id| cluster.server(id)), Some(&server));
/// cluster.set_servers(&[], now)?;
/// cluster.set_servers(&[server], now)?;
/// assert_ne!(cluster.owner(b"key"), first);
/// # Ok::<(), windhover_core::client::ClusterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub(super) u32);

/// A server of the set.
///
/// ```
/// use windhover_core::client::Server;
///
/// // Others call it by its name, on which its keys hang; here it is reached by a socket beside it.
/// let near = Server::new("/run/memcached.sock").named("10.0.0.1:11211").weight(2);
/// assert_eq!(
///     (&*near.name, &*near.address, near.weight),
///     ("10.0.0.1:11211", "/run/memcached.sock", 2)
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// What decides which keys are its own: for others to agree, what they call it, such as
    /// `10.0.0.1:11211`.
    pub name: Box<str>,
    /// Where it is, for the adapter: `HOST:PORT`, or a path.
    pub address: Box<str>,
    /// Its share of the keys, against the others'. 0 gives it none: to drain it.
    pub weight: u32,
}

impl Server {
    /// A server that is named after its address, of weight 1.
    pub fn new(address: &str) -> Self {
        Self { name: address.into(), address: address.into(), weight: 1 }
    }

    /// The same with another weight.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same with another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
}

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: ServerId,
    pub(super) server: Server,
    pub(super) health: Health,
    /// Its connections, by their place among all.
    pub(super) links: Vec<usize>,
    /// What waits for a shared connection, in its order.
    pub(super) waiting: BTreeMap<u64, AttemptId>,
    pub(super) counters: ServerCounters,
    /// No connection is made before, after one could not be.
    pub(super) connect_at: Option<Instant>,
    pub(super) connect_failures: u32,
}

enum Placement {
    Ketama(Ring),
    Rendezvous(Rendezvous),
}

impl core::fmt::Debug for Placement {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ketama(_) => "Ketama",
            Self::Rendezvous(_) => "Rendezvous",
        })
    }
}

/// The servers, in the order in which the caller gave them.
#[derive(Debug)]
pub(super) struct Servers {
    selection: ServerSelection,
    rotation: Rotation,
    entries: Vec<Entry>,
    placement: Placement,
    last_id: u32,
    turn: usize,
}

/// Ids of the servers that were added and removed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) added: Vec<ServerId>,
    pub(super) removed: Vec<Entry>,
}

fn place(selection: ServerSelection, servers: &[Server]) -> Result<Placement, RingError> {
    let members: Vec<_> =
        servers.iter().map(|server| Member::new(server.name.as_bytes(), server.weight)).collect();
    Ok(match selection {
        ServerSelection::Ketama { naming, hash, tag } => {
            let ring = Ring::new(&members, naming)?.with_key_hash(hash);
            Placement::Ketama(match tag {
                Some(tag) => ring.with_hash_tag(tag),
                None => ring,
            })
        }
        ServerSelection::Rendezvous => Placement::Rendezvous(Rendezvous::new(&members)),
    })
}

impl Servers {
    pub(super) fn new(selection: ServerSelection, rotation: Rotation) -> Self {
        let placement = Placement::Rendezvous(Rendezvous::new(&[]));
        Self { selection, rotation, entries: Vec::new(), placement, last_id: 0, turn: 0 }
    }

    /// Makes the set be `wanted`. A server that is in both sets, by name and address, is kept with
    /// all that is known of it.
    pub(super) fn set(&mut self, wanted: &[Server], now: Instant) -> Result<Changes, RingError> {
        self.placement = place(self.selection, wanted)?;
        let mut changes = Changes::default();
        let mut old = core::mem::take(&mut self.entries);
        for server in wanted {
            let same = |entry: &Entry| {
                entry.server.name == server.name && entry.server.address == server.address
            };
            if let Some(at) = old.iter().position(same) {
                let mut entry = old.swap_remove(at);
                entry.server.weight = server.weight;
                self.entries.push(entry);
                continue;
            }
            self.last_id = self.last_id.wrapping_add(1);
            let id = ServerId(self.last_id);
            changes.added.push(id);
            self.entries.push(Entry {
                id,
                server: server.clone(),
                health: Health::new(now),
                links: Vec::new(),
                waiting: BTreeMap::new(),
                counters: ServerCounters::default(),
                connect_at: None,
                connect_failures: 0,
            });
        }
        changes.removed = old;
        Ok(changes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn get(&self, id: ServerId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ServerId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Whether no server but this one is in use.
    pub(super) fn is_last(&self, id: ServerId) -> bool {
        let another =
            |entry: &Entry| entry.id != id && entry.server.weight > 0 && entry.health.is_healthy();
        !self.entries.iter().any(another)
    }

    /// The owner of a key, whatever its health.
    pub(super) fn owner(&self, key: &[u8]) -> Option<ServerId> {
        self.owners(key, |_| true)
    }

    /// The first owner of a key, in the order of the placement, that is wanted.
    pub(super) fn owners(&self, key: &[u8], wanted: impl Fn(&Entry) -> bool) -> Option<ServerId> {
        let entry = |at: usize| self.entries.get(at).filter(|entry| wanted(entry));
        if let [only] = &self.entries[..] {
            // Whatever the key.
            return (only.server.weight > 0 && wanted(only)).then_some(only.id);
        }
        let found = match &self.placement {
            Placement::Ketama(ring) => ring.owners(key).find_map(entry),
            Placement::Rendezvous(seats) => seats.owners(key).find_map(entry),
        };
        found.map(|entry| entry.id)
    }

    /// The next server where every one will do, among those that are wanted. A weight of 0 takes a
    /// server out here too; other weights do not count.
    pub(super) fn next(
        &mut self,
        random: &mut Random,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<ServerId> {
        let count = self.entries.len();
        let takes = |at: usize| {
            self.entries.get(at).is_some_and(|entry| entry.server.weight > 0 && wanted(entry))
        };
        let at = match self.rotation {
            Rotation::RoundRobin => {
                let turn = self.turn;
                (0..count).map(|step| (turn + step) % count).find(|&at| takes(at))?
            }
            // Among those that are wanted: the neighbour of one that is not gets no double share.
            Rotation::Random => {
                let wanted = (0..count).filter(|&at| takes(at)).count();
                let bound = u64::try_from(wanted).unwrap_or(u64::MAX);
                let drawn = usize::try_from(random.below(bound)).unwrap_or_default();
                (0..count).filter(|&at| takes(at)).nth(drawn)?
            }
        };
        self.turn = at + 1;
        self.entries.get(at).map(|entry| entry.id)
    }
}
