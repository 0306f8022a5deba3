//! Who waits for the end of which operation.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

use windhover_core::queue::{OpId, OpOutcome};

use crate::dedup::Claim;

/// An operation that somebody holds a ticket of.
#[derive(Debug)]
enum Slot {
    /// Not over; the waker is called when it is, and the claim settled.
    Waiting(Option<Waker>, Option<Claim>),
    /// Over, and not yet taken.
    Done(OpOutcome),
    /// A put of so many items that nobody waits for.
    Unattended(u64),
    /// A put whose sender has gone, but not what was claimed for it.
    Abandoned(Claim),
}

/// Spreads the numbers of operations. They rise, and nobody from outside chooses them: no secret is needed.
#[derive(Debug, Default)]
struct OpHasher(u64);

impl Hasher for OpHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The operations that somebody holds a ticket of.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: HashMap<OpId, Slot, BuildHasherDefault<OpHasher>>,
    /// Items that nobody waited for, and that the journal could not take.
    pub(super) lost: u64,
}

impl Slots {
    pub(super) fn open(&mut self, op: OpId) {
        self.slots.insert(op, Slot::Waiting(None, None));
    }

    /// A put that has events with it which count as accepted when it is stored. `waker` is called then.
    pub(super) fn open_claimed(&mut self, op: OpId, waker: Option<Waker>, claim: Option<Claim>) {
        self.slots.insert(op, Slot::Waiting(waker, claim));
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
        let stored = outcome == OpOutcome::Stored;
        match std::mem::replace(slot, Slot::Done(outcome)) {
            Slot::Waiting(waker, claim) => {
                if let Some(claim) = claim {
                    claim.settle(stored, wakers);
                }
                // Most often those of one connection end together.
                wakers.extend(
                    waker.filter(|waker| wakers.last().is_none_or(|last| !last.will_wake(waker))),
                );
                return true;
            }
            Slot::Unattended(items) => self.lost += if stored { 0 } else { items },
            Slot::Abandoned(claim) => claim.settle(stored, wakers),
            Slot::Done(_) => {}
        }
        self.slots.remove(&op);
        true
    }

    /// The outcome of a put, once it has come. Nothing follows from it for the engine.
    pub(super) fn take_put(&mut self, op: OpId) -> Option<OpOutcome> {
        let slot = self.slots.get(&op)?;
        if !matches!(slot, Slot::Done(OpOutcome::Stored | OpOutcome::NotJournaled)) {
            return None;
        }
        match self.slots.remove(&op)? {
            Slot::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The outcome, or `None` when it has not come: then `waker` is called for it.
    pub(super) fn take(&mut self, op: OpId, waker: &Waker) -> Option<OpOutcome> {
        match self.slots.get_mut(&op)? {
            Slot::Waiting(Some(kept), _) => kept.clone_from(waker),
            Slot::Waiting(kept, _) => *kept = Some(waker.clone()),
            Slot::Done(_) => {
                if let Some(Slot::Done(outcome)) = self.slots.remove(&op) {
                    return Some(outcome);
                }
            }
            // Nobody has a ticket of these.
            Slot::Unattended(_) | Slot::Abandoned(_) => {}
        }
        None
    }

    /// Whoever waited has gone. `false` when it is a put that goes on, and whose end is still to be known.
    pub(super) fn close(&mut self, op: OpId) -> bool {
        match self.slots.remove(&op) {
            Some(Slot::Waiting(_, Some(claim))) => {
                self.slots.insert(op, Slot::Abandoned(claim));
                false
            }
            _ => true,
        }
    }
}
