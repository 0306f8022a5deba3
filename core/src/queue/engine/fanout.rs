//! Names that stand for several queues on a put: a queue that others follow, and aliases.
//!
//! `parent+child` is a queue that follows `parent`: from the first time that it is read or put to it gets
//! what is put to the parent, and keeps its own place in it. It is a queue like others, with items of its
//! own, whose memory is the parent's. That it follows is written down ([`Draft::follow`]), also anew in each
//! further segment, so that old ones can go.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::name::parent_of;
use super::super::outcome::{OpId, OpOutcome, PutError};
use super::super::put::Put;
use super::super::record::Draft;
use super::Engine;
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
    commit: u64,
    queue: Bytes,
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

    /// [`take_up`](Self::take_up) for a name that stands for several queues.
    pub(super) fn take_up_for_many(
        &mut self,
        op: OpId,
        put: Put,
        now: Now,
    ) -> Result<(), PutError> {
        let size = put.size();
        let Targets { named, following } = self.targets(put.queue());
        let most = (named.len() + following.len()) as u64;
        self.check_backlog(put.record_len().saturating_mul(most))?;
        for name in &named {
            self.check_items(name, size)?;
            self.check_room(name, size, now)?;
        }
        let mut takers = named;
        let has_followers = !following.is_empty();
        for name in following {
            let fits = self.check_items(&name, size);
            match fits.and_then(|()| self.check_room(&name, size, now)) {
                Ok(()) => takers.push(name),
                Err(refused) => self.stats.count(refused),
            }
        }
        if takers.is_empty() {
            // Nobody follows a queue that keeps nothing: what is put to it is gone, as the operator said.
            if !has_followers {
                self.done.push_back((op, OpOutcome::Stored));
                return Ok(());
            }
            return Err(PutError::Full);
        }
        let put = put.shared();
        let last = takers.len() - 1;
        for (n, name) in takers.into_iter().enumerate() {
            let told = (n == last).then_some(op);
            let first_id = self.next_id;
            let record = put.draft(&name, first_id);
            self.enlist(told, name, size, record, put.rest().clone());
        }
        Ok(())
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
        self.write_mark(name, true);
        true
    }

    /// A queue was deleted: what is put to its parent is no longer for it.
    pub(super) fn unfollow(&mut self, name: &[u8]) {
        if let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.follows) {
            queue.follows = false;
            let name = queue.name.clone();
            self.following -= 1;
            self.write_mark(name, false);
        }
    }

    fn write_mark(&mut self, queue: Bytes, follows: bool) {
        let commit = self.next_commit;
        self.marks.push_back(FollowMark { commit, queue: queue.clone() });
        self.write(if follows { Draft::follow(queue) } else { Draft::unfollow(queue) });
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
            self.write_mark(name, true);
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
            let Some(FollowMark { queue: name, .. }) = self.marks.pop_front() else {
                break;
            };
            let queue = self.queues.get_mut(&name);
            let follows = queue.as_ref().is_some_and(|queue| queue.follows);
            match (segment, queue) {
                (Some(segment), Some(queue)) => queue.marked_in = Some(segment),
                (Some(_), None) => {}
                // What is true now, whatever has been said meanwhile.
                (None, _) => self.write_mark(name, follows),
            }
        }
    }
}
