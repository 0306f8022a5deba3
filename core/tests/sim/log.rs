//! What the servers did, whatever the client was told of it.

use std::collections::BTreeMap;

use windhover_core::Instant;

/// A number that one request alone carries, in its value, its opaque or its key.
pub(crate) type Uid = u64;

/// What a request came to on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Stored,
    NotStored,
    Exists,
    NotFound,
    Deleted,
    Number(u64),
    /// An item was read: peeked at, taken out, or set aside.
    Peeked,
    Taken,
    Opened,
    /// An item that was set aside was confirmed, or put back.
    Confirmed,
    Returned,
    Refused,
}

impl Did {
    /// Whether it has changed anything.
    pub(crate) fn is_effect(self) -> bool {
        matches!(self, Self::Stored | Self::Deleted | Self::Number(_))
    }
}

/// A key has another value, or none, since then.
type Change = (Instant, Option<Uid>);

/// What all servers did in a run.
#[derive(Debug, Default)]
pub(crate) struct Log {
    did: BTreeMap<Uid, Vec<(Instant, Did)>>,
    /// What each server held under each key, since when.
    held: BTreeMap<(usize, u32), Vec<Change>>,
    /// When each server was given its last request.
    asked: BTreeMap<usize, Instant>,
    /// Items that were taken out of queues without being set aside first.
    pub(crate) taken: usize,
}

impl Log {
    pub(crate) fn note(&mut self, uid: Uid, did: Did, now: Instant) {
        self.taken += usize::from(did == Did::Taken);
        self.did.entry(uid).or_default().push((now, did));
    }

    pub(crate) fn all(&self, uid: Uid) -> impl Iterator<Item = Did> {
        self.did.get(&uid).into_iter().flatten().map(|&(_, did)| did)
    }

    pub(crate) fn has(&self, uid: Uid, did: Did) -> bool {
        self.all(uid).any(|it| it == did)
    }

    /// Items that were confirmed.
    pub(crate) fn confirmed(&self) -> impl Iterator<Item = Uid> {
        self.did.keys().copied().filter(|&uid| self.has(uid, Did::Confirmed))
    }

    pub(crate) fn effects(&self, uid: Uid) -> usize {
        self.all(uid).filter(|did| did.is_effect()).count()
    }

    pub(crate) fn asked(&mut self, host: usize, now: Instant) {
        self.asked.insert(host, now);
    }

    pub(crate) fn last_asked(&self, host: usize) -> Option<Instant> {
        self.asked.get(&host).copied()
    }

    /// A key has another value from now on, or none.
    pub(crate) fn holds(&mut self, host: usize, key: u32, uid: Option<Uid>, now: Instant) {
        self.held.entry((host, key)).or_default().push((now, uid));
    }

    /// Whether some server held that value, or none, at some moment in between.
    pub(crate) fn was_held(
        &self,
        hosts: usize,
        key: u32,
        uid: Option<Uid>,
        from: Instant,
        to: Instant,
    ) -> bool {
        (0..hosts).any(|host| {
            let changes = self.held.get(&(host, key)).map_or(&[][..], Vec::as_slice);
            let first = changes.partition_point(|&(at, _)| at < from);
            // What it held when the time began, and whatever came until it ended.
            let before = first.checked_sub(1).and_then(|at| changes[at].1);
            before == uid
                || changes[first..].iter().take_while(|(at, _)| *at <= to).any(|it| it.1 == uid)
        })
    }
}
