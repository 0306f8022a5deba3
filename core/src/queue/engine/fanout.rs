//! Names that stand for several queues on a put: a queue that others follow, and aliases.
//!
//! `parent+child` is a queue that follows `parent`: from the first time that it is read or put to it gets
//! what is put to the parent, and keeps its own place in it. It is a queue like others, with ids of its own for
//! items that stand in the journal once, and once in memory. That it follows is written down ([`Draft::follow`]), also anew in each
//! further segment, so that old ones can go.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::fsync::Fsync;
use super::super::name::parent_of;
use super::super::outcome::{OpId, OpOutcome, PutError};
use super::super::put::{Put, PutSize};
use super::super::record::Draft;
use super::{Engine, check_items};
use crate::Now;

/// What a put to a name goes to.
struct Targets {
    /// Queues that all have to take it.
    named: Vec<Bytes>,
    /// Queues that follow one of those: what one of them has no room for it does not get.
    following: Vec<Bytes>,
}

/// That a queue follows, or no longer does, on its way to the journal.
#[derive(Debug)]
pub(super) struct FollowMark {
    pub(super) commit: u64,
    queue: Bytes,
    /// An older segment says so too.
    is_again: bool,
}

impl Engine {
    /// The queues that follow that one.
    pub fn children<'e>(&'e self, parent: &'e [u8]) -> impl Iterator<Item = &'e Bytes> {
        // The names that begin so stand in a row, and nothing else does between.
        let first = if self.following == 0 { None } else { Some([parent, b"+"].concat()) };
        let names = first
            .into_iter()
            .flat_map(|first| self.queues.range(Bytes::from(first)..).map(|(_, queue)| queue));
        names
            .take_while(move |queue| queue.name.starts_with(parent))
            .filter(move |queue| queue.follows && parent_of(&queue.name) == Some(parent))
            .map(|queue| &queue.name)
    }

    pub(super) fn has_children(&self, name: &[u8]) -> bool {
        self.following > 0 && self.children(name).next().is_some()
    }

    pub(super) fn is_alias(&self, name: &[u8]) -> bool {
        !self.config.aliases.is_empty() && self.config.aliases.contains_key(name)
    }

    fn targets(&self, name: &[u8]) -> Targets {
        let own = [Bytes::copy_from_slice(name)];
        let names = self.config.aliases.get(name).map_or(&own[..], Vec::as_slice);
        let mut targets = Targets { named: Vec::new(), following: Vec::new() };
        for name in names {
            // A child has its parent's bounds, and keeps its items all the same.
            if parent_of(name).is_some() || !self.config.of(name).fanout_only {
                targets.named.push(name.clone());
            }
            targets.following.extend(self.children(name).cloned());
        }
        let Targets { named, following } = &mut targets;
        named.sort_unstable();
        named.dedup();
        following.sort_unstable();
        following.dedup();
        following.retain(|name| !named.contains(name));
        targets
    }

    /// [`take_up`](Self::take_up) for a name that stands for several queues, or for several names.
    pub(super) fn take_up_for_many(
        &mut self,
        op: OpId,
        puts: impl IntoIterator<Item = Put>,
        now: Now,
    ) -> Result<(), PutError> {
        let with_targets = |put: Put| {
            let targets = self.targets(put.queue());
            (put, targets)
        };
        let puts: Vec<(Put, Targets)> = puts.into_iter().map(with_targets).collect();
        let record_len = |(put, Targets { named, following }): &(Put, Targets)| {
            // One queue alone has its name in the record already.
            let is_one =
                following.is_empty() && matches!(&named[..], [only] if *only == put.queue());
            let names = named.iter().chain(following).filter(|_| !is_one);
            put.record_len().saturating_add(names.map(Draft::further_len).sum())
        };
        self.check_backlog(puts.iter().map(record_len).fold(0, u64::saturating_add))?;
        let mut taken = Vec::new();
        for (put, targets) in puts {
            let takers = self.takers(put.size(), targets, now)?;
            if !takers.is_empty() {
                taken.push((put, takers));
            }
        }
        let Some((last, takers_of_last)) = taken.pop() else {
            self.done.push_back((op, OpOutcome::Stored));
            return Ok(());
        };
        // The same for each record, so that all are in one batch: what becomes of the last one becomes of all.
        let all = taken.iter().flat_map(|(_, takers)| takers).chain(&takers_of_last);
        let policies = all.map(|name| self.config.of(name).fsync);
        let fsync = policies.fold(Fsync::Never, Fsync::stricter);
        for (put, takers) in taken {
            self.enlist_for_all(None, takers, put, fsync);
        }
        self.enlist_for_all(Some(op), takers_of_last, last, fsync);
        Ok(())
    }

    /// The queues that get a put of that size, all of which have room for it.
    fn takers(
        &mut self,
        size: PutSize,
        targets: Targets,
        now: Now,
    ) -> Result<Vec<Bytes>, PutError> {
        let Targets { named, following } = targets;
        for name in &named {
            check_items(self.config.of(name), size)?;
            self.check_room(name, size, now)?;
        }
        let mut takers = named;
        let has_followers = !following.is_empty();
        for name in following {
            let fits = check_items(self.config.of(&name), size);
            match fits.and_then(|()| self.check_room(&name, size, now)) {
                Ok(name) => takers.push(name),
                Err(refused) => self.stats.count(refused),
            }
        }
        // Nobody follows a queue that keeps nothing: what is put to it is gone, as the operator said.
        if takers.is_empty() && has_followers {
            return Err(PutError::Full);
        }
        Ok(takers)
    }

    /// Queues that have room get a put, all by one record.
    fn enlist_for_all(&mut self, op: Option<OpId>, mut takers: Vec<Bytes>, put: Put, fsync: Fsync) {
        if let [only] = &mut takers[..]
            && *only == put.queue()
        {
            let only = core::mem::take(only);
            return self.enlist(op, only, put, fsync);
        }
        let size = put.size();
        let takers: Vec<(Bytes, u64)> =
            takers.into_iter().map(|name| (name, self.take_ids(size.items))).collect();
        let rest = put.into_rest();
        let mut left = takers.len();
        for takers in takers.chunks(Draft::MOST_QUEUES) {
            let place = self.waiting.write(Draft::put_to_all(takers, rest.clone()), fsync);
            self.backlog += place.len;
            let mut backlog = place.len;
            for taker in takers {
                left -= 1;
                let told = op.filter(|_| left == 0);
                self.expect(told, taker.clone(), size, place, backlog);
                backlog = 0;
            }
        }
    }

    /// A queue was named by a reader or a writer. One of a name with a parent in it follows that from now on.
    /// Whether there is room for it.
    pub(super) fn follow(&mut self, name: &[u8], now: Now) -> bool {
        let Some(parent) = parent_of(name) else {
            return true;
        };
        if self.queues.get(name).is_some_and(|queue| queue.follows) {
            return true;
        }
        if self.children(parent).count() >= self.config.max_children {
            return false;
        }
        let Some(queue) = self.queue_or_new(name, now) else {
            return false;
        };
        queue.follows = true;
        let name = queue.name.clone();
        self.following += 1;
        self.write_mark(name, true, false);
        true
    }

    /// A queue was deleted: what is put to its parent is no longer for it.
    pub(super) fn unfollow(&mut self, name: &[u8]) {
        if let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.follows) {
            queue.follows = false;
            let name = queue.name.clone();
            self.following -= 1;
            self.write_mark(name, false, false);
        }
    }

    fn write_mark(&mut self, queue: Bytes, follows: bool, is_again: bool) {
        let fsync = if is_again { self.strictest } else { self.config.of(&queue).fsync };
        let mark = if follows { Draft::follow } else { Draft::unfollow };
        let commit = self.waiting.write(mark(queue.clone()), fsync).commit;
        self.marks.push_back(FollowMark { commit, queue, is_again });
    }

    /// That queues follow is written again where a new segment was begun: the old ones need not stay for it.
    pub(super) fn mark_segment(&mut self, active: u64) {
        if self.following == 0 || self.marked_segment >= active {
            return;
        }
        self.marked_segment = active;
        let following = self.queues.values().filter(|queue| queue.follows);
        let names: Vec<Bytes> = following.map(|queue| queue.name.clone()).collect();
        for name in names {
            self.write_mark(name, true, true);
        }
    }

    /// The oldest segment that is needed to know which queues follow.
    pub(super) fn oldest_mark(&self) -> Option<u64> {
        if self.following == 0 {
            return None;
        }
        // One that is on its way for the first time stands in no segment, and in none that is older.
        self.queues.values().filter(|queue| queue.follows).filter_map(|queue| queue.marked_in).min()
    }

    pub(super) fn settle_marks(&mut self, commit: u64, segment: Option<u64>) {
        while self.marks.front().is_some_and(|mark| mark.commit <= commit) {
            let Some(FollowMark { queue: name, is_again, .. }) = self.marks.pop_front() else {
                break;
            };
            let queue = self.queues.get_mut(&name);
            let follows = queue.as_ref().is_some_and(|queue| queue.follows);
            match (segment, queue) {
                (Some(segment), Some(queue)) => queue.marked_in = Some(segment),
                (Some(_), None) => {}
                // What is true now, whatever has been said meanwhile.
                (None, _) => self.write_mark(name, follows, is_again),
            }
        }
    }
}
