//! Who waits for the end of which operation.

use std::collections::HashMap;
use std::task::Waker;

use windhover_core::queue::{OpId, OpOutcome};

/// An operation that somebody holds a ticket of.
#[derive(Debug)]
enum Slot {
    /// Not over; the waker is called when it is.
    Waiting(Option<Waker>),
    /// Over, and not yet taken.
    Done(OpOutcome),
    /// A put of so many items that nobody waits for.
    Unattended(u64),
}

/// The operations that somebody holds a ticket of.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: HashMap<OpId, Slot>,
    /// Items that nobody waited for, and that the journal could not take.
    pub(super) lost: u64,
}

impl Slots {
    pub(super) fn open(&mut self, op: OpId) {
        self.slots.insert(op, Slot::Waiting(None));
    }

    /// The end of a put of so many items is wanted by nobody.
    pub(super) fn open_unattended(&mut self, op: OpId, items: u64) {
        self.slots.insert(op, Slot::Unattended(items));
    }

    /// Keeps the outcome for the ticket's holder. `false` when nobody holds one any more.
    pub(super) fn finish(&mut self, op: OpId, outcome: OpOutcome, wakers: &mut Vec<Waker>) -> bool {
        let Some(slot) = self.slots.get_mut(&op) else {
            return false;
        };
        if let Slot::Unattended(items) = *slot {
            self.lost += if outcome == OpOutcome::Stored { 0 } else { items };
            self.slots.remove(&op);
            return true;
        }
        if let Slot::Waiting(Some(waker)) = std::mem::replace(slot, Slot::Done(outcome)) {
            wakers.push(waker);
        }
        true
    }

    /// The outcome, or `None` when it has not come: then `waker` is called for it.
    pub(super) fn take(&mut self, op: OpId, waker: &Waker) -> Option<OpOutcome> {
        match self.slots.remove(&op) {
            Some(Slot::Done(outcome)) => Some(outcome),
            Some(Slot::Waiting(mut kept)) => {
                match &mut kept {
                    Some(kept) => kept.clone_from(waker),
                    None => kept = Some(waker.clone()),
                }
                self.slots.insert(op, Slot::Waiting(kept));
                None
            }
            // Nobody has a ticket of the latter.
            None | Some(Slot::Unattended(_)) => None,
        }
    }

    pub(super) fn close(&mut self, op: OpId) {
        self.slots.remove(&op);
    }
}
