//! Kestrel's `monitor`: items as they come, each an open read, for some time or up to a number.

use std::task::{Context, Poll};

use windhover_core::Instant;
use windhover_core::memcache::handler::{Deferred, Reply, ReplyError};
use windhover_core::queue::{Action, OpOutcome, Read};

use crate::queue_client::give;
use crate::store::{Begun, OpenReads, Ticket};

/// A monitor that goes on. Each item is a reply of its own, with its `END`; an `END` by itself is the last.
#[derive(Debug)]
pub(crate) struct Monitor {
    reads: OpenReads,
    queue: Box<[u8]>,
    until: Instant,
    /// How many items it gives yet.
    left: u32,
    /// The next item is waited for.
    waiting: Option<Ticket>,
}

impl Monitor {
    /// A monitor of a queue until that instant, of so many items at most.
    pub(crate) fn new(reads: OpenReads, queue: &[u8], until: Instant, most: u32) -> Self {
        Self { reads, queue: queue.into(), until, left: most, waiting: None }
    }

    /// The next item, or why there is none.
    fn next(&mut self, reply: &Reply<'_>, cx: &mut Context<'_>) -> Poll<OpOutcome> {
        let now = reply.now();
        let mut waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None if self.left == 0 || self.until <= now.instant => {
                return Poll::Ready(OpOutcome::Empty);
            }
            None => {
                let timeout = Some(self.until.saturating_since(now.instant));
                let read = Read { action: Action::Monitor, timeout };
                match self.reads.get(&self.queue, read, now) {
                    Begun::Done(outcome) => return Poll::Ready(outcome),
                    Begun::Waiting(waiting) => waiting,
                }
            }
        };
        let outcome = waiting.poll(now, cx);
        if outcome.is_pending() {
            self.waiting = Some(waiting);
        }
        outcome
    }
}

impl Deferred for Monitor {
    fn poll(
        &mut self,
        reply: &mut Reply<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReplyError>> {
        // A peer that does not read what it was given gets no more: it is asked again once it has.
        while !reply.is_full() {
            match self.next(reply, cx) {
                Poll::Ready(OpOutcome::Item(item)) => {
                    self.left = self.left.saturating_sub(1);
                    let given = reply.value(&self.queue, 0, None, &item).and_then(|()| reply.end());
                    if given.is_err() {
                        return Poll::Ready(given);
                    }
                }
                Poll::Ready(error @ OpOutcome::Error(_)) => {
                    return Poll::Ready(give(reply, &self.queue, &error));
                }
                Poll::Ready(_) => return Poll::Ready(reply.end()),
                // An item that came now would be given to nobody.
                Poll::Pending if reply.is_ending() => return Poll::Ready(reply.end()),
                Poll::Pending => {
                    reply.ask_again_at(self.until);
                    return Poll::Pending;
                }
            }
        }
        Poll::Pending
    }

    fn expired(&mut self, reply: &mut Reply<'_>) {
        let _ = reply.end();
    }
}
