//! A bound on what all connections hold together.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;
use windhover_core::Instant;

use crate::Peer;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// What a connection may hold uncounted, so that those with small requests never meet the lock.
const UNCOUNTED: usize = 4 * 1024;
/// A connection that holds less than this goes on reading while the budget is used up, ...
const SMALL: usize = 8 * 1024;
/// ... until so much more is held: others than those who fill the budget are served meanwhile.
const RESERVE: usize = 16 * 1024 * 1024;
/// How long a peer may do nothing before its connection is closed for others' sake, unless the reserve is
/// used up as well.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// What one that waits is expected to read when it is called.
const READ: usize = 64 * 1024;

/// So many bytes may all connections together hold for their peers: requests that have come in part,
/// answers that were not taken. Clones are handles to the same budget: listeners that share one have it
/// together.
///
/// While it is used up, connections that hold more than a little are not read from, which their peers feel
/// as back pressure; and those whose peers have done nothing for the longest time are closed, until there
/// is room.
///
/// ```
/// use windhover_runtime::{ConnectionMemory, Eviction, ServeOptions};
///
/// let memory = ConnectionMemory::new(256 << 20);
/// memory.on_eviction(|eviction: &Eviction| {
///     eprintln!("{}: {} bytes, stalled for {:?}", eviction.peer, eviction.held, eviction.stalled);
/// });
/// let mut options = ServeOptions::default();
/// options.memory = Some(memory.clone());
/// assert_eq!((memory.used(), memory.closed()), (0, 0));
/// ```
#[derive(Clone)]
pub struct ConnectionMemory(Arc<Shared>);

struct Shared {
    limit: usize,
    used: AtomicUsize,
    closed: AtomicU64,
    on_eviction: OnceLock<EvictionHook>,
    state: Mutex<State>,
}

/// Is told of a connection that is closed to make room.
type EvictionHook = Box<dyn Fn(&Eviction) + Send + Sync>;

/// A connection that is closed to make room for others ([`ConnectionMemory::on_eviction`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Eviction {
    /// Whose it is.
    pub peer: Peer,
    /// How many bytes it holds.
    pub held: usize,
    /// For how long its peer has neither sent nor taken anything.
    pub stalled: Duration,
}

#[derive(Default)]
struct State {
    entries: Slab<Entry>,
    /// Those that the hook is yet to be told of.
    evicted: Vec<Eviction>,
    /// Those that hold something and were not told to go, by when their peers did something last.
    by_age: BTreeSet<(Instant, usize)>,
    /// What those hold that were told to go.
    going: usize,
    /// Those that wait to read, in order.
    waiting: VecDeque<usize>,
}

struct Entry {
    peer: Peer,
    held: usize,
    /// When the peer did something last.
    since: Instant,
    waker: Waker,
    is_going: bool,
    is_waiting: bool,
}

impl ConnectionMemory {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            used: AtomicUsize::new(0),
            closed: AtomicU64::new(0),
            on_eviction: OnceLock::new(),
            state: Mutex::default(),
        }))
    }

    /// Has `hook` told of every connection that is closed to make room, on the thread of the one that needs
    /// it; it must not block. All handles have one hook: only the first one given is called.
    pub fn on_eviction(&self, hook: impl Fn(&Eviction) + Send + Sync + 'static) {
        let _ = self.0.on_eviction.set(Box::new(hook));
    }

    /// Most bytes.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many bytes are held now; connections that hold less than 4 KiB are not counted.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many connections were closed to make room.
    pub fn closed(&self) -> u64 {
        self.0.closed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done without the lock: wakers, and the hook.
    fn unlock(&self, mut state: MutexGuard<'_, State>, wakers: Vec<Waker>) {
        let evicted = std::mem::take(&mut state.evicted);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if let Some(hook) = self.0.on_eviction.get() {
            evicted.iter().for_each(hook);
        }
    }

    /// Tells connections to go, those first whose peers did nothing for the longest time, until what is
    /// held is below the limit: all of them that are needed where the reserve is used up, otherwise those
    /// who have had their [`GRACE`]. `but` is spared.
    fn make_room(&self, state: &mut State, but: usize, now: Instant, wakers: &mut Vec<Waker>) {
        loop {
            let left = self.used() - state.going;
            if left < self.0.limit {
                return;
            }
            let is_urgent = left >= self.0.limit.saturating_add(RESERVE);
            let oldest = state.by_age.iter().find(|(_, key)| *key != but).copied();
            let Some((since, key)) = oldest else { return };
            if !is_urgent && now.saturating_since(since) < GRACE {
                return;
            }
            state.tell_to_go(key, now, wakers);
            self.0.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl State {
    fn tell_to_go(&mut self, key: usize, now: Instant, wakers: &mut Vec<Waker>) {
        if let Some(entry) = self.entries.get_mut(key) {
            let stalled = now.saturating_since(entry.since);
            self.evicted.push(Eviction { peer: entry.peer, held: entry.held, stalled });
            self.by_age.remove(&(entry.since, key));
            entry.is_going = true;
            self.going += entry.held;
            wakers.push(entry.waker.clone());
        }
    }

    /// So much was given back: as many as may read now are called.
    fn call_waiting(&mut self, freed: usize, wakers: &mut Vec<Waker>) {
        for _ in 0..=freed / READ {
            let Some(key) = self.waiting.pop_front() else { return };
            if let Some(entry) = self.entries.get_mut(key)
                && entry.is_waiting
            {
                entry.is_waiting = false;
                wakers.push(entry.waker.clone());
            }
        }
    }
}

impl fmt::Debug for ConnectionMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionMemory")
            .field("limit", &self.limit())
            .field("used", &self.used())
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}

/// One connection's part of the budget; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Account {
    memory: Option<ConnectionMemory>,
    /// For the log.
    peer: Peer,
    /// Where it is counted, from 1; not while it holds little and does not wait.
    entry: Option<NonZero<u32>>,
    /// Something was read or written in this turn.
    has_moved: bool,
    /// It wanted to read in this turn, and may not.
    is_held_back: bool,
}

impl Account {
    pub(crate) fn new(memory: Option<ConnectionMemory>, peer: Peer) -> Self {
        Self { memory, peer, ..Self::default() }
    }

    /// A proxy said who is behind it.
    pub(crate) fn proxied_for(&mut self, source: SocketAddr) {
        self.peer = Peer::Tcp(source);
    }

    pub(crate) fn begin_turn(&mut self) {
        (self.has_moved, self.is_held_back) = (false, false);
    }

    /// The peer did something: it sent, or took what was written.
    pub(crate) fn moved(&mut self) {
        self.has_moved = true;
    }

    /// Whether it is to ask again after [`GRACE`].
    pub(crate) fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// The connection holds `held` bytes at the end of a turn; `false` when it is to end for others' sake.
    pub(crate) fn settle(&mut self, held: usize, now: Instant, cx: &Context<'_>) -> bool {
        let Some(memory) = self.memory.clone() else { return true };
        if held < UNCOUNTED && self.entry.is_none() {
            return true;
        }
        let mut wakers = Vec::new();
        let mut state = memory.lock();
        let key = self.key(&mut state, now, cx);
        let may_stay = self.count(&memory, &mut state, key, (held, now), &mut wakers);
        memory.unlock(state, wakers);
        may_stay
    }

    fn count(
        &mut self,
        memory: &ConnectionMemory,
        state: &mut State,
        key: usize,
        (held, now): (usize, Instant),
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let Some(entry) = state.entries.get_mut(key) else { return true };
        if entry.is_going {
            return false;
        }
        let held = if held < UNCOUNTED { 0 } else { held };
        state.by_age.remove(&(entry.since, key));
        if self.has_moved {
            entry.since = now;
        }
        let before = std::mem::replace(&mut entry.held, held);
        if held > 0 {
            state.by_age.insert((entry.since, key));
        } else if !entry.is_waiting {
            state.entries.remove(key);
            self.entry = None;
        }
        if held >= before {
            memory.0.used.fetch_add(held - before, Ordering::Relaxed);
            if memory.used() >= memory.limit() {
                memory.make_room(state, key, now, wakers);
                let left = memory.used() - state.going;
                if left >= memory.limit().saturating_add(RESERVE) {
                    // It alone is too much.
                    state.tell_to_go(key, now, wakers);
                    memory.0.closed.fetch_add(1, Ordering::Relaxed);
                    return false;
                }
            }
        } else {
            memory.0.used.fetch_sub(before - held, Ordering::Relaxed);
            state.call_waiting(before - held, wakers);
        }
        true
    }

    /// Whether the connection, which holds `held` bytes, may read. If not, it is called when it may.
    pub(crate) fn may_read(
        &mut self,
        held: impl FnOnce() -> usize,
        now: Instant,
        cx: &Context<'_>,
    ) -> bool {
        match &self.memory {
            Some(memory) if memory.used() >= memory.limit() => {
                self.may_read_beyond(held(), now, cx)
            }
            _ => true,
        }
    }

    #[cold]
    fn may_read_beyond(&mut self, held: usize, now: Instant, cx: &Context<'_>) -> bool {
        let Some(memory) = self.memory.clone() else { return true };
        let mut wakers = Vec::new();
        let mut state = memory.lock();
        let key = self.key(&mut state, now, cx);
        memory.make_room(&mut state, key, now, &mut wakers);
        let used = memory.used();
        let reserve = memory.limit().saturating_add(RESERVE);
        // What those hold that were told to go is as good as free, but there is an end to that, too.
        let may_read = used < memory.limit()
            || (held < SMALL && used - state.going < reserve && used < reserve + RESERVE);
        if let Some(entry) = state.entries.get_mut(key) {
            if may_read && entry.held == 0 {
                state.entries.remove(key);
                self.entry = None;
            } else if may_read {
                entry.is_waiting = false;
            } else if !entry.is_waiting {
                entry.is_waiting = true;
                state.waiting.push_back(key);
            }
        }
        memory.unlock(state, wakers);
        self.is_held_back = !may_read;
        may_read
    }

    /// Where it is counted, with the waker that is to be called.
    fn key(&mut self, state: &mut State, now: Instant, cx: &Context<'_>) -> usize {
        if let Some(key) = self.entry.and_then(|entry| usize::try_from(entry.get() - 1).ok())
            && let Some(entry) = state.entries.get_mut(key)
        {
            entry.waker.clone_from(cx.waker());
            return key;
        }
        let waker = cx.waker().clone();
        let peer = self.peer;
        let entry = Entry { peer, held: 0, since: now, waker, is_going: false, is_waiting: false };
        let key = state.entries.insert(entry);
        self.entry = u32::try_from(key + 1).ok().and_then(NonZero::new);
        // There are never four thousand million connections.
        debug_assert!(self.entry.is_some(), "{key} entries");
        key
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let (Some(memory), Some(entry)) = (&self.memory, self.entry) else { return };
        let Ok(key) = usize::try_from(entry.get() - 1) else { return };
        let mut wakers = Vec::new();
        let mut state = memory.lock();
        if let Some(entry) = state.entries.try_remove(key) {
            state.by_age.remove(&(entry.since, key));
            if entry.is_going {
                state.going -= entry.held;
            }
            memory.0.used.fetch_sub(entry.held, Ordering::Relaxed);
            state.call_waiting(entry.held, &mut wakers);
        }
        memory.unlock(state, wakers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    const LIMIT: usize = 1024 * 1024;

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection, as far as the budget knows it.
    struct Peer {
        account: Account,
        calls: Arc<Calls>,
    }

    impl Peer {
        fn new(memory: &ConnectionMemory) -> Self {
            Self::at(memory, 0)
        }

        /// One whose port is known.
        fn at(memory: &ConnectionMemory, port: u16) -> Self {
            let peer = crate::Peer::Tcp(([127, 0, 0, 1], port).into());
            Self { account: Account::new(Some(memory.clone()), peer), calls: Arc::default() }
        }

        /// The peer does something at that second, after which so much is held; whether it may stay.
        fn holds(&mut self, held: usize, second: u64) -> bool {
            self.account.begin_turn();
            self.account.moved();
            self.settles(held, second)
        }

        fn settles(&mut self, held: usize, second: u64) -> bool {
            let waker = Waker::from(Arc::clone(&self.calls));
            self.account.settle(held, at(second), &Context::from_waker(&waker))
        }

        fn may_read(&mut self, held: usize, second: u64) -> bool {
            let waker = Waker::from(Arc::clone(&self.calls));
            self.account.may_read(|| held, at(second), &Context::from_waker(&waker))
        }

        fn calls(&self) -> usize {
            self.calls.0.load(Ordering::Relaxed)
        }
    }

    fn at(second: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(second))
    }

    #[test]
    fn what_is_held_is_counted_until_it_is_given_back() {
        let memory = ConnectionMemory::new(LIMIT);
        let mut peer = Peer::new(&memory);
        for (held, used) in [(100, 0), (10_000, 10_000), (5_000, 5_000), (100, 0), (9_000, 9_000)] {
            assert!(peer.holds(held, 0));
            assert_eq!(memory.used(), used);
        }
        drop(peer);
        assert_eq!(memory.used(), 0);
        assert_eq!(memory.lock().entries.len(), 0);
    }

    #[test]
    fn those_who_hold_much_wait_and_are_called_when_there_is_room() {
        let memory = ConnectionMemory::new(LIMIT);
        let (mut full, mut next, mut small) =
            (Peer::new(&memory), Peer::new(&memory), Peer::new(&memory));
        assert!(full.holds(LIMIT - 10_000, 0) && next.holds(10_000, 0));
        assert!(!next.may_read(10_000, 0));
        assert!(next.account.is_held_back());
        assert!(small.may_read(0, 0), "others are served");
        assert!(full.holds(LIMIT / 2, 0));
        assert_eq!(next.calls(), 1);
        assert!(next.may_read(10_000, 0));
        assert_eq!(memory.closed(), 0);
    }

    #[test]
    fn the_peer_that_did_nothing_for_the_longest_time_goes_first() {
        let memory = ConnectionMemory::new(LIMIT);
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        memory.on_eviction(move |eviction| telling.lock().unwrap().push(*eviction));
        let [mut oldest, mut older, mut newest] = [1, 2, 3].map(|port| Peer::at(&memory, port));
        assert!(oldest.holds(LIMIT / 2, 0));
        assert!(older.holds(LIMIT / 2, 1));
        // Both have had their time; one of them is enough.
        assert!(newest.holds(10_000, 9));
        assert!(newest.may_read(0, 9) && newest.holds(20_000, 9));
        assert_eq!((oldest.calls(), older.calls()), (1, 0));
        assert!(!oldest.settles(LIMIT / 2, 9), "it is told to go");
        drop(oldest);
        assert!(older.settles(LIMIT / 2, 9));
        assert_eq!((memory.used(), memory.closed()), (LIMIT / 2 + 20_000, 1));
        let peer = crate::Peer::Tcp(([127, 0, 0, 1], 1).into());
        let (held, stalled) = (LIMIT / 2, Duration::from_secs(1));
        assert_eq!(*told.lock().unwrap(), [Eviction { peer, held, stalled }]);
    }

    #[test]
    fn nobody_goes_before_the_time_unless_the_reserve_is_used_up() {
        let memory = ConnectionMemory::new(LIMIT);
        let (mut first, mut second) = (Peer::new(&memory), Peer::new(&memory));
        assert!(first.holds(LIMIT, 0));
        assert!(second.holds(RESERVE - 10_000, 0));
        assert_eq!((first.calls(), memory.closed()), (0, 0));
        assert!(second.holds(RESERVE, 0));
        assert_eq!((first.calls(), memory.closed()), (1, 1));
        // One that alone is too much goes itself.
        drop(first);
        assert!(!second.holds(LIMIT + RESERVE, 0));
        drop(second);
        assert_eq!((memory.used(), memory.lock().going), (0, 0));
    }
}
