//! Events that are sent twice are recorded once: which were accepted of late, which are on their way into
//! the journal, and what is kept of that for the next start.
//!
//! An event counts as seen once the journal has it. While the first of two is on its way there, the second
//! is not recorded either, and shares the [`Fate`] of the first: it is never answered as accepted on the
//! strength of one that failed.

mod fate;
mod saved;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::tracking::{DedupWindow, EventDigest, EventIdentity};

pub use fate::Fate;
use saved::Saved;
pub use saved::SavedError;

/// How many events are remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DedupLimits {
    /// Events.
    pub ids: u32,
    /// After so long each is forgotten.
    pub window: Duration,
}

impl Default for DedupLimits {
    fn default() -> Self {
        Self { ids: 1_000_000, window: Duration::from_secs(3600) }
    }
}

impl DedupLimits {
    /// So many, for so long.
    pub fn new(ids: u32, window: Duration) -> Self {
        Self { ids, window }
    }
}

/// Remembers events, so that none is recorded twice.
pub struct Dedup {
    key: [u8; 16],
    state: Mutex<State>,
    /// Where it is kept for the next start.
    saved: Mutex<Option<Saved>>,
    duplicates: AtomicU64,
    save_failures: AtomicU64,
}

impl fmt::Debug for Dedup {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedup").field("duplicates", &self.duplicates).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    window: DedupWindow,
    /// Those that have not ended, and ended ones between them, in the order of their digests.
    claims: VecDeque<Pending>,
    /// The first digest that was not saved, or not known to be good when it was.
    unsaved: u64,
    /// The segment of the journal that comes after all that there are, as far as is known.
    next_segment: u64,
}

/// Digests that came in one request, from `begin` on up to `end`.
#[derive(Debug)]
struct Pending {
    begin: u64,
    end: u64,
    has_ended: bool,
    /// Somebody waits for it.
    fate: Option<Arc<Fate>>,
}

/// The events of one put that is on its way into the journal. Dropped without being [settled](Self::settle)
/// it has failed.
#[derive(Debug)]
pub struct Claim {
    dedup: Arc<Dedup>,
    begin: u64,
    is_settled: bool,
}

/// What became of the events of a request: see [`Dedup::claim`].
#[derive(Debug, Default)]
pub struct Claimed {
    /// Those that are new.
    pub claim: Option<Claim>,
    /// The places of the others in the request, in order: they are not to be recorded.
    pub duplicates: Vec<u32>,
    /// What the answer has to wait for: the first ones of duplicates that are on their way.
    pub fates: Vec<Arc<Fate>>,
}

impl Dedup {
    /// Remembers nothing yet, and keeps nothing for the next start.
    pub fn new(limits: DedupLimits, key: [u8; 16]) -> Self {
        let window = DedupWindow::new(limits.ids, limits.window);
        Self {
            key,
            state: Mutex::new(State {
                window,
                claims: VecDeque::new(),
                unsaved: 0,
                next_segment: 0,
            }),
            saved: Mutex::new(None),
            duplicates: AtomicU64::new(0),
            save_failures: AtomicU64::new(0),
        }
    }

    /// Remembers what was remembered before the last stop: what was saved in that directory, and what
    /// `journal` holds from a segment on that it is told. It is asked for the items of its queue, the newest
    /// segment first, each segment in its order, until it is told `false`, and for the segment that comes next;
    /// whatever the clock says now, their time begins anew.
    ///
    /// # Errors
    /// [`SavedError`] when the directory cannot be used.
    pub fn open(
        limits: DedupLimits,
        directory: &std::path::Path,
        journal: impl FnOnce(u64, &mut dyn FnMut(&[Bytes]) -> bool) -> io::Result<u64>,
        now: Instant,
    ) -> Result<Self, SavedError> {
        let (saved, digests) = Saved::open(directory, limits.ids)?;
        let dedup = Self::new(limits, saved.key());
        {
            let mut state = dedup.lock();
            for digest in digests {
                let _ = state.window.insert(digest, now);
            }
            // What is saved already.
            state.unsaved = state.window.next();
            let mut segments = Vec::new();
            let mut count = 0;
            let next_segment = journal(saved.covered(), &mut |items| {
                let digests: Vec<EventDigest> =
                    items.iter().flat_map(|item| dedup.recorded(item)).collect();
                count += digests.len();
                segments.push(digests);
                count < limits.ids as usize
            })
            .map_err(SavedError::Journal)?;
            for digest in segments.into_iter().rev().flatten() {
                let _ = state.window.insert(digest, now);
            }
            state.next_segment = next_segment;
        }
        *dedup.lock_saved() = Some(saved);
        Ok(dedup)
    }

    /// The digests of a recorded event. One that was recorded with the time of its receipt may have come with
    /// it, or with none.
    fn recorded(&self, item: &[u8]) -> impl Iterator<Item = EventDigest> {
        let recorded = EventIdentity::of_record(item);
        let timed = recorded.as_ref().map(|recorded| recorded.identity.digest(&self.key));
        let untimed = recorded.filter(|recorded| recorded.is_time_of_receipt);
        let untimed = untimed.map(|it| it.identity.without_time().digest(&self.key));
        timed.into_iter().chain(untimed)
    }

    /// The digest of an event.
    pub fn digest(&self, identity: &EventIdentity<'_>) -> EventDigest {
        identity.digest(&self.key)
    }

    /// Takes the events of a request, each with its place in it: which of them are new, and claimed
    /// herewith.
    pub fn claim(self: &Arc<Self>, events: &[(u32, EventDigest)], now: Instant) -> Claimed {
        let mut claimed = Claimed::default();
        let mut state = self.lock();
        let begin = state.window.next();
        for &(place, digest) in events {
            if let Err(number) = state.window.insert(digest, now) {
                claimed.duplicates.push(place);
                // Otherwise it is twice in this request.
                if number < begin
                    && let Some(fate) = state.fate_of(number)
                    && !claimed.fates.iter().any(|known| Arc::ptr_eq(known, &fate))
                {
                    claimed.fates.push(fate);
                }
            }
        }
        let end = state.window.next();
        if begin < end {
            state.claims.push_back(Pending { begin, end, has_ended: false, fate: None });
            claimed.claim = Some(Claim { dedup: Arc::clone(self), begin, is_settled: false });
        }
        claimed
    }

    /// Counts duplicates that were answered as accepted.
    pub fn count_duplicates(&self, count: u64) {
        self.duplicates.fetch_add(count, Ordering::Relaxed);
    }

    /// How many duplicates were answered as accepted.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// How often what is remembered could not be saved.
    pub fn save_failures(&self) -> u64 {
        self.save_failures.load(Ordering::Relaxed)
    }

    /// How many events it remembers.
    pub fn len(&self) -> u64 {
        self.lock().window.len()
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes down what was accepted since the last time: when a segment of the journal begins, so that the next
    /// start need not read those before it, and before one goes. What was put into segments before `segment`, the
    /// one that is written, has to be settled. With `is_to_be_synced` it is on the disk when this returns.
    /// What cannot be written down is told in the log and counted.
    pub fn save(&self, segment: u64, is_to_be_synced: bool) {
        {
            let mut state = self.lock();
            state.next_segment = state.next_segment.max(segment.saturating_add(1));
        }
        self.save_before(segment, is_to_be_synced);
    }

    /// The same at the end, when the journal is closed and nothing comes any more.
    pub fn save_all(&self) {
        let next_segment = self.lock().next_segment;
        self.save_before(next_segment, true);
    }

    fn save_before(&self, segment: u64, is_to_be_synced: bool) {
        let mut saved = self.lock_saved();
        let Some(saved) = saved.as_mut() else {
            return;
        };
        let (digests, unsaved) = self.lock().to_save();
        match saved.append(&digests, segment, is_to_be_synced) {
            Ok(()) => self.lock().unsaved = unsaved,
            Err(error) => {
                self.save_failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    %error,
                    "what events were accepted could not be written down; after a restart they may be recorded again"
                );
            }
        }
    }

    fn settle(&self, begin: u64, stored: bool, wakers: &mut Vec<Waker>) {
        let fate = self.lock().settle(begin, stored);
        if let Some(fate) = fate {
            fate.end(stored, wakers);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_saved(&self) -> MutexGuard<'_, Option<Saved>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The claim that a digest came with.
    fn position(&self, number: u64) -> Option<usize> {
        let place = self.claims.partition_point(|claim| claim.end <= number);
        self.claims.get(place).filter(|claim| claim.begin <= number && !claim.has_ended)?;
        Some(place)
    }

    /// What is to be waited for because of that digest, if it is on its way.
    fn fate_of(&mut self, number: u64) -> Option<Arc<Fate>> {
        let place = self.position(number)?;
        let pending = self.claims.get_mut(place)?;
        Some(Arc::clone(pending.fate.get_or_insert_with(Arc::default)))
    }

    fn settle(&mut self, begin: u64, stored: bool) -> Option<Arc<Fate>> {
        let place = self.position(begin)?;
        let pending = self.claims.get_mut(place)?;
        pending.has_ended = true;
        let (fate, end) = (pending.fate.take(), pending.end);
        if !stored {
            (begin..end).for_each(|number| self.window.take_back(number));
        }
        while self.claims.front().is_some_and(|claim| claim.has_ended) {
            self.claims.pop_front();
        }
        fate
    }

    /// What was accepted since the last time, and where it begins next time.
    fn to_save(&self) -> (Vec<EventDigest>, u64) {
        let mut pending = self.claims.iter().filter(|claim| !claim.has_ended).peekable();
        let unsaved = pending.peek().map_or(self.window.next(), |first| first.begin);
        let mut digests = Vec::new();
        for (number, digest) in self.window.since(self.unsaved) {
            while pending.next_if(|claim| claim.end <= number).is_some() {}
            if pending.peek().is_none_or(|claim| number < claim.begin) {
                digests.push(digest);
            }
        }
        (digests, unsaved)
    }
}

impl Claim {
    /// The put has ended: the events count as accepted, or as never seen. Those who waited are among
    /// `wakers`.
    pub fn settle(mut self, stored: bool, wakers: &mut Vec<Waker>) {
        self.is_settled = true;
        self.dedup.settle(self.begin, stored, wakers);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_settled {
            let mut wakers = Vec::new();
            self.dedup.settle(self.begin, false, &mut wakers);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests;
