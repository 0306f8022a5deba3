//! Which events were seen of late.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::identity::EventDigest;
use crate::Instant;

/// How finely the age of digests is known.
const GRAIN: Duration = Duration::from_secs(1);
/// How many old digests go for each that comes, at most: none waits for the whole of an hour that ended.
const GONE_AT_A_TIME: usize = 4;
/// What is in the place of a digest that was taken back.
const NONE: u128 = 0;

/// The digests of the last events: as many as it was made for, and each for as long as that. It is exact: what
/// was put into it is in it, and nothing else is.
///
/// Each digest has a number, one more than that of the one before. A digest takes 16 bytes in a ring and
/// between 5.3 and 10.7 in the index: four for each of its places, of which there are at least 4/3 for each digest
/// and a power of two in all. All of it is reserved at the beginning, and used as it fills.
///
/// ```
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::tracking::{DedupWindow, EventDigest};
///
/// let digest = |n: u8| EventDigest::from_bytes([n; 16]).expect("not zero");
/// let mut window = DedupWindow::new(2, Duration::from_secs(3600));
/// let now = Instant::default();
/// assert_eq!(window.insert(digest(1), now), Ok(0));
/// assert_eq!(window.insert(digest(2), now), Ok(1));
/// assert_eq!(window.insert(digest(1), now), Err(0));
/// // The third takes the place of the first.
/// assert_eq!(window.insert(digest(3), now), Ok(2));
/// assert_eq!(window.insert(digest(2), now), Err(1));
/// assert_eq!(window.insert(digest(1), now), Ok(3));
/// ```
#[derive(Clone, Debug)]
pub struct DedupWindow {
    /// The digest of number `n` is at `n % capacity`.
    ring: Vec<u128>,
    capacity: u32,
    /// Where in the ring a digest is, and one more; 0 for an empty place.
    index: Vec<u32>,
    /// The oldest number that is not gone.
    oldest: u64,
    /// The number of the digest to come.
    next: u64,
    lifetime: Duration,
    /// The first number of each grain of time, and when it came.
    grains: VecDeque<(u64, Instant)>,
}

impl DedupWindow {
    /// A window without digests: as many as `capacity`, but at least one, each of which stays for `lifetime` at
    /// least unless so many more come after it, and is forgotten a second later at the earliest.
    pub fn new(capacity: u32, lifetime: Duration) -> Self {
        // So that places have numbers of 32 bits, and 0 is left.
        let capacity = capacity.clamp(1, 1 << 30);
        let places = (u64::from(capacity) * 4).div_ceil(3).next_power_of_two();
        Self {
            ring: Vec::with_capacity(capacity as usize),
            capacity,
            index: vec![0; usize::try_from(places).unwrap_or(usize::MAX)],
            oldest: 0,
            next: 0,
            lifetime,
            grains: VecDeque::new(),
        }
    }

    /// The number that the next digest is given.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many digests it holds, those that were taken back included as long as they have a place.
    pub fn len(&self) -> u64 {
        self.next - self.oldest
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a digest, and tells its number.
    ///
    /// # Errors
    /// The number of the same digest, when it is there already.
    pub fn insert(&mut self, digest: EventDigest, now: Instant) -> Result<u64, u64> {
        self.expire(now);
        let mut place = self.find(digest.0);
        if self.at(place).is_some() {
            return Err(self.number_at(place));
        }
        if self.len() >= u64::from(self.capacity) {
            self.forget_oldest();
            // Others may have moved.
            place = self.find(digest.0);
        }
        let number = self.next;
        let offset = self.offset(number);
        match self.ring.get_mut(offset) {
            Some(stale) => *stale = digest.0,
            None => self.ring.push(digest.0),
        }
        self.set(place, u32::try_from(offset).unwrap_or_default() + 1);
        self.next += 1;
        if self.grains.back().is_none_or(|(_, since)| now.saturating_since(*since) >= GRAIN) {
            self.grains.push_back((number, now));
        }
        Ok(number)
    }

    /// Takes a digest back, as if it had never come; nothing when it is gone already.
    pub fn take_back(&mut self, number: u64) {
        if (self.oldest..self.next).contains(&number) {
            self.remove(number);
        }
    }

    /// The digests from that number on, with their numbers.
    pub fn since(&self, number: u64) -> impl Iterator<Item = (u64, EventDigest)> {
        (number.max(self.oldest)..self.next).filter_map(|number| {
            let digest = *self.ring.get(self.offset(number))?;
            (digest != NONE).then_some((number, EventDigest(digest)))
        })
    }

    /// Forgets those whose time is over.
    fn expire(&mut self, now: Instant) {
        for _ in 0..GONE_AT_A_TIME {
            let Some(&(begin, since)) = self.grains.get(1) else {
                return;
            };
            // All before this grain came before it began.
            if now.saturating_since(since) < self.lifetime {
                return;
            }
            if self.oldest < begin {
                self.forget_oldest();
            }
            if self.oldest >= begin {
                self.grains.pop_front();
            }
        }
    }

    fn forget_oldest(&mut self) {
        self.remove(self.oldest);
        self.oldest += 1;
    }

    /// Takes a digest out of the index, and closes the gap: what was put behind its place for lack of a
    /// free one before it moves up.
    fn remove(&mut self, number: u64) {
        let offset = self.offset(number);
        let digest = self.ring.get(offset).copied().unwrap_or(NONE);
        if digest == NONE {
            return;
        }
        let mut gap = self.find(digest);
        let mut place = self.behind(gap);
        while let Some(found) = self.at(place) {
            // As far from its home as the gap is, or farther.
            if self.distance(self.home(found), place) >= self.distance(gap, place) {
                self.set(gap, self.index.get(place).copied().unwrap_or_default());
                gap = place;
            }
            place = self.behind(place);
        }
        self.set(gap, 0);
        if let Some(digest) = self.ring.get_mut(offset) {
            *digest = NONE;
        }
    }

    /// The place of that digest, or the free one where it would be put.
    fn find(&self, digest: u128) -> usize {
        let mut place = self.home(digest);
        while self.at(place).is_some_and(|found| found != digest) {
            place = self.behind(place);
        }
        place
    }

    fn offset(&self, number: u64) -> usize {
        usize::try_from(number % u64::from(self.capacity)).unwrap_or_default()
    }

    /// The number of the digest in that place, of which the ring knows only where it is.
    fn number_at(&self, place: usize) -> u64 {
        let offset = self.index.get(place).map_or(0, |offset| u64::from(offset - 1));
        let capacity = u64::from(self.capacity);
        let begin = self.oldest % capacity;
        self.oldest + (offset + capacity - begin) % capacity
    }

    /// The digest in that place of the index.
    fn at(&self, place: usize) -> Option<u128> {
        let offset = self.index.get(place)?.checked_sub(1)?;
        self.ring.get(offset as usize).copied()
    }

    fn set(&mut self, place: usize, offset: u32) {
        if let Some(found) = self.index.get_mut(place) {
            *found = offset;
        }
    }

    /// Where a digest is put, if it is free. Digests are as good as random.
    #[allow(clippy::cast_possible_truncation)]
    fn home(&self, digest: u128) -> usize {
        digest as usize & (self.index.len() - 1)
    }

    fn behind(&self, place: usize) -> usize {
        (place + 1) & (self.index.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.index.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(seconds))
    }

    /// Few homes and many digests for each, so that they get into each other's way.
    fn digest(n: u8) -> EventDigest {
        EventDigest(u128::from(n % 3) | u128::from(n) << 64 | 1 << 127)
    }

    #[test]
    fn a_digest_stays_for_its_time_and_goes_after_it() {
        let mut window = DedupWindow::new(100, Duration::from_secs(10));
        assert_eq!(window.insert(digest(1), at(0)), Ok(0));
        assert_eq!(window.insert(digest(2), at(5)), Ok(1));
        assert_eq!(window.insert(digest(1), at(10)), Err(0));
        assert_eq!(window.insert(digest(1), at(15)), Ok(2));
        assert_eq!(window.insert(digest(2), at(15)), Err(1));
        assert_eq!(window.len(), 2);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_keeps_everything() {
        let mut window = DedupWindow::new(100, Duration::from_secs(10));
        for n in 0..50 {
            assert_eq!(window.insert(digest(n), at(1000 - u64::from(n))), Ok(u64::from(n)));
        }
        for n in 0..50 {
            assert_eq!(window.insert(digest(n), at(0)), Err(u64::from(n)));
        }
    }

    #[test]
    fn many_that_are_over_go_a_few_at_a_time() {
        let mut window = DedupWindow::new(1000, Duration::from_secs(10));
        for n in 0..200 {
            window.insert(digest(n), at(0)).unwrap();
        }
        window.insert(digest(200), at(1)).unwrap();
        window.insert(digest(201), at(20)).unwrap();
        assert_eq!(window.len(), 202 - GONE_AT_A_TIME as u64);
    }

    proptest! {
        #[test]
        fn it_is_what_a_list_of_the_last_ones_is(
            capacity in 1_u32..20,
            steps in prop::collection::vec((0_u8..40, 0_u64..3, prop::bool::weighted(0.2)), 0..200),
        ) {
            let lifetime = Duration::from_secs(20);
            let mut window = DedupWindow::new(capacity, lifetime);
            // Digest, number and time; `None` was taken back, and keeps its place.
            let mut list: VecDeque<(Option<u8>, u64, u64)> = VecDeque::new();
            let mut time = 0;
            for (n, seconds, is_taken_back) in steps {
                time += seconds;
                let inserted = window.insert(digest(n), at(time));
                // What goes earlier than it must is a fault; what stays longer is not.
                while list.front().is_some_and(|(_, number, _)| *number < window.oldest) {
                    let (_, _, since) = list.pop_front().unwrap();
                    let is_full = list.len() + 1 >= capacity as usize;
                    prop_assert!(is_full || time - since >= lifetime.as_secs());
                }
                let found = list.iter().find(|(it, ..)| *it == Some(n)).map(|(_, number, _)| *number);
                match found {
                    Some(number) => prop_assert_eq!(inserted, Err(number)),
                    None => {
                        let number = inserted.unwrap();
                        prop_assert_eq!(number + 1, window.next());
                        list.push_back((Some(n), number, time));
                        if is_taken_back {
                            window.take_back(number);
                            list.back_mut().unwrap().0 = None;
                        }
                    }
                }
                let kept = window.since(0).collect::<Vec<_>>();
                let expected = list.iter().filter_map(|(n, number, _)| Some((*number, digest((*n)?))));
                prop_assert_eq!(kept, expected.collect::<Vec<_>>());
                let used = window.index.iter().filter(|place| **place != 0).count();
                prop_assert_eq!(used, window.since(0).count());
            }
        }
    }
}
