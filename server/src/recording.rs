//! The records of one tracking request, on their way into the journal.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use windhover_core::Now;
use windhover_core::queue::{OpOutcome, PutBuilder, PutError};
use windhover_core::tracking::{EventDigest, EventIdentity, RecordSink};

use crate::app::App;
use crate::dedup::{Claimed, Dedup, Fate};
use crate::store::Ticket;
use crate::tokens::TokenPolicy;

/// Writes the records of one request straight into the put that they become.
pub(crate) struct Records<'a> {
    put: PutBuilder,
    dedup: Option<&'a Dedup>,
    /// The events that can be recognised, each with its place.
    events: Vec<(u32, EventDigest)>,
    policy: Option<Arc<TokenPolicy>>,
    /// How many there are of each token, where a policy asks for it.
    of_tokens: Vec<(Box<str>, u32)>,
    /// Whose record is being written.
    token: Option<usize>,
}

impl<'a> Records<'a> {
    /// None yet; they go into `put`.
    pub(crate) fn new(put: PutBuilder, app: &'a App) -> Self {
        Self {
            put,
            dedup: app.dedup.as_deref(),
            events: Vec::new(),
            policy: app.tokens.policy(),
            of_tokens: Vec::new(),
            token: None,
        }
    }

    /// Whether their tokens may send so many.
    ///
    /// # Errors
    /// How long it takes until they may.
    pub(crate) fn take(&self, app: &App, now: Now) -> Result<(), Duration> {
        match &self.policy {
            Some(policy) => app.tokens.take(policy, &self.of_tokens, now.instant),
            None => Ok(()),
        }
    }

    /// Puts those that were not recorded already.
    pub(crate) fn put(mut self, app: &App, now: Now) -> Result<Recording, PutError> {
        let claimed = match &app.dedup {
            Some(dedup) if !self.events.is_empty() => dedup.claim(&self.events, now.instant),
            _ => Claimed::default(),
        };
        let Claimed { claim, duplicates, fates } = claimed;
        if !duplicates.is_empty() {
            let mut places = duplicates.iter().peekable();
            self.put.remove_items(|place| places.next_if_eq(&&place).is_some());
        }
        let mut seen = Vec::new();
        if app.feed.is_watched() {
            seen.extend(self.put.data().map(Bytes::copy_from_slice));
        }
        let ticket = match self.put.items() {
            0 => None,
            _ => Some(app.store.put_claimed(self.put.finish(), claim, now)?),
        };
        Ok(Recording { ticket, fates, duplicates: duplicates.len() as u64, seen })
    }
}

impl RecordSink for Records<'_> {
    fn looks_at_tokens(&self) -> bool {
        self.policy.is_some()
    }

    fn accepts(&mut self, token: &str) -> bool {
        let known = self.policy.as_ref().is_none_or(|policy| policy.knows(token));
        if known {
            let found = self.of_tokens.iter().position(|(it, _)| **it == *token);
            self.token = found.or_else(|| {
                self.of_tokens.push((token.into(), 0));
                self.of_tokens.len().checked_sub(1)
            });
        }
        known
    }

    fn begin_record(&mut self) -> &mut Vec<u8> {
        self.put.begin_item(None)
    }

    fn identify(&mut self, identity: &EventIdentity<'_>) {
        if let Some(dedup) = self.dedup {
            self.events.push((self.put.items(), dedup.digest(identity)));
        }
    }

    fn end_record(&mut self) {
        if let Some((_, count)) = self.token.take().and_then(|at| self.of_tokens.get_mut(at)) {
            *count += 1;
        }
        self.put.end_item();
    }

    fn discard(&mut self, records: usize) {
        if records == 0 {
            self.put.abort_item();
        } else {
            self.put.clear();
            self.events.clear();
            self.of_tokens.clear();
        }
    }
}

/// Records that are on their way into the journal.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Those of the request that are new.
    ticket: Option<Ticket>,
    /// What becomes of others that came before, and are on their way themselves.
    fates: Vec<Arc<Fate>>,
    /// How many are recorded already, or will be.
    pub(crate) duplicates: u64,
    /// Those that are new, for whoever looks on.
    pub(crate) seen: Vec<Bytes>,
}

impl Recording {
    /// Whether all are in the journal; until that is known, `cx`'s waker will be called for it.
    pub(crate) fn poll(&mut self, now: Now, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(ticket) = &mut self.ticket {
            match ticket.poll(now, cx) {
                Poll::Ready(OpOutcome::Stored) => self.ticket = None,
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        while let Some(fate) = self.fates.last() {
            match fate.poll(cx) {
                Poll::Ready(true) => self.fates.pop(),
                other => return other,
            };
        }
        Poll::Ready(true)
    }
}
