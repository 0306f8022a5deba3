//! Records of one tracking request, on their way into the journal.

mod puts;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use windhover_core::queue::{OpOutcome, PutBuilder, PutError};
use windhover_core::tracking::{EventDigest, EventIdentity, RecordKind, RecordSink};
use windhover_core::{Now, UnixTime};

use self::puts::Puts;
use crate::app::App;
use crate::dedup::{Claimed, Dedup, Fate};
use crate::store::Ticket;
use crate::tokens::{Tally, TokenCount, TokenPolicy, TokenResult, fingerprint};

/// Writes the records of one request straight into the puts that they become.
pub(crate) struct Records<'a> {
    puts: Puts,
    kind: RecordKind,
    now: UnixTime,
    dedup: Option<&'a Dedup>,
    /// The events that can be recognised, each with its number.
    events: Vec<(u32, EventDigest)>,
    policy: Option<Arc<TokenPolicy>>,
    /// How many there are of each token.
    tally: &'a mut Tally,
    /// Whose record is being written.
    token: Option<usize>,
}

impl<'a> Records<'a> {
    /// None of that kind yet; they go into `put`, but for those of tokens with queues of their own.
    pub(crate) fn new(
        put: PutBuilder,
        kind: RecordKind,
        now: UnixTime,
        tally: &'a mut Tally,
        app: &'a App,
    ) -> Self {
        tally.clear();
        Self {
            puts: Puts::new(put),
            kind,
            now,
            dedup: app.dedup.as_deref(),
            events: Vec::new(),
            policy: app.tokens.policy(),
            tally,
            token: None,
        }
    }

    /// Whether their tokens may send so many.
    ///
    /// # Errors
    /// How long it takes until they may.
    pub(crate) fn take(&self, app: &App, now: Now) -> Result<(), Duration> {
        match &self.policy {
            Some(policy) => app.tokens.take(policy, self.tally.iter(), now.instant),
            None => Ok(()),
        }
    }

    /// Where they are counted by token.
    pub(crate) fn counts(&self, app: &App) -> OfTokens {
        let mut counts = self.tally.iter().map(|(token, records)| {
            (app.token_counts.of_sender(token, u64::from(records)), records)
        });
        OfTokens { first: counts.next(), others: counts.collect() }
    }

    /// Whose they are, masked: for the access log.
    pub(crate) fn tokens(&self) -> String {
        let mut tokens = self.tally.iter().map(|(token, _)| token);
        let first = tokens.next().map(fingerprint).unwrap_or_default();
        match tokens.count() {
            0 => first,
            others => format!("{first}+{others}"),
        }
    }

    /// Puts those that were not recorded already. `waker` is that of the task which polls them first, in the same
    /// turn, if that is known.
    pub(crate) fn put(
        mut self,
        app: &App,
        now: Now,
        waker: Option<&Waker>,
    ) -> Result<Recording, PutError> {
        let claimed = match &app.dedup {
            Some(dedup) if !self.events.is_empty() => dedup.claim(&self.events, now.instant),
            _ => Claimed::default(),
        };
        let Claimed { claim, duplicates, fates } = claimed;
        if !duplicates.is_empty() {
            self.puts.remove(&duplicates);
        }
        let mut seen = Vec::new();
        if app.feed.is_watched() {
            seen = self.puts.data();
        }
        let ticket = match self.puts.finish() {
            (None, _) => None,
            (Some(put), others) if others.is_empty() => {
                Some(app.store.put_claimed(put, claim, now, waker)?)
            }
            (Some(put), mut all) => {
                all.push(put);
                Some(app.store.put_all_claimed(all, claim, now, waker)?)
            }
        };
        Ok(Recording { ticket, fates, duplicates: duplicates.len() as u64, seen })
    }
}

impl RecordSink for Records<'_> {
    fn looks_at_tokens(&self) -> bool {
        true
    }

    fn accepts(&mut self, token: &str) -> bool {
        let known = self.policy.as_ref().is_none_or(|policy| policy.knows(token));
        self.token = known.then(|| self.tally.enter(token));
        if let Some(policy) = &self.policy {
            self.puts.choose(policy.queue_of(token, self.kind), self.now);
        }
        known
    }

    fn begin_record(&mut self) -> &mut Vec<u8> {
        self.puts.begin_record()
    }

    fn identify(&mut self, identity: &EventIdentity<'_>) {
        if let Some(dedup) = self.dedup {
            self.events.push((self.puts.number(), dedup.digest(identity)));
        }
    }

    fn end_record(&mut self) {
        if let Some(token) = self.token.take() {
            self.tally.count(token);
        }
        self.puts.end_record();
    }

    fn discard(&mut self, records: usize) {
        if records == 0 {
            self.puts.abort_record();
        } else {
            self.puts.clear();
            self.events.clear();
            self.tally.clear();
        }
    }
}

/// Where the records of a request are counted by token: of most requests that is one token.
#[derive(Debug, Default)]
pub(crate) struct OfTokens {
    first: Option<(Arc<TokenCount>, u32)>,
    others: Vec<(Arc<TokenCount>, u32)>,
}

impl OfTokens {
    /// Counts what became of all.
    pub(crate) fn count(&self, result: TokenResult) {
        for (count, records) in self.first.iter().chain(&self.others) {
            count.count(result, u64::from(*records));
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
