//! A stream of server-sent events (HTML, "Server-sent events") that ends with its connection. What waits for its
//! reader is bounded: one that takes nothing for a while is closed.

use std::collections::VecDeque;
use std::task::Context;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use windhover_core::endpoint::{Next, Outgoing};
use windhover_core::tracking::form_pairs;
use windhover_core::{Instant, Now};

use super::figures;
use crate::app::App;
use crate::feed::{Seen, Watch};

/// What comes before the events.
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
/// How often figures are sent.
const FIGURES: Duration = Duration::from_secs(1);
/// How often a quiet stream says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that wait to be written before more are taken.
const ROOM: usize = 64 * 1024;
/// Records that the status page shows of a second.
const SHOWN: usize = 10;

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    kind: Kind,
    watch: Watch,
    /// When something is to be sent, whatever comes.
    due: Instant,
    outgoing: Outgoing,
    /// What its reader sends, which is nobody's.
    incoming: BytesMut,
    /// The socket took nothing when it was tried last.
    is_blocked: bool,
    wrote_some: bool,
    /// When it took something last.
    progress: Instant,
    has_ended: bool,
}

#[derive(Debug)]
enum Kind {
    Status,
    Tail { filter: Filter, waiting: VecDeque<Bytes> },
}

impl Stream {
    /// Figures, every second.
    pub(super) fn status(app: &App, now: Instant) -> Self {
        Self::new(Kind::Status, app, now)
    }

    /// Records as they are accepted.
    pub(super) fn tail(app: &App, filter: Filter, now: Instant) -> Self {
        let mut stream = Self::new(Kind::Tail { filter, waiting: VecDeque::new() }, app, now);
        // So that whoever has read it knows that it has begun.
        stream.outgoing.put(b": ready\n\n");
        stream
    }

    fn new(kind: Kind, app: &App, now: Instant) -> Self {
        let mut outgoing = Outgoing::new();
        outgoing.put(HEAD);
        Self {
            kind,
            watch: app.feed.watch(),
            due: now,
            outgoing,
            incoming: BytesMut::new(),
            is_blocked: false,
            wrote_some: false,
            progress: now,
            has_ended: false,
        }
    }

    pub(super) fn read_buffer(&mut self) -> &mut BytesMut {
        self.incoming.clear();
        self.incoming.reserve(512);
        &mut self.incoming
    }

    /// Its reader has gone, or the server ends.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    pub(super) fn poll_output(&mut self, app: &App, now: Now, cx: &Context<'_>) -> Next {
        self.incoming.clear();
        if self.has_ended {
            return Next::Close;
        }
        if std::mem::take(&mut self.wrote_some) || self.outgoing.is_empty() {
            self.progress = now.instant;
        }
        let has_room = self.outgoing.len() < ROOM;
        if has_room {
            self.fill(app, now, cx);
        }
        if self.outgoing.is_empty() {
            return Next::Idle(self.due);
        }
        if !self.is_blocked {
            return Next::Write;
        }
        let deadline = self.progress + PATIENCE;
        if deadline <= now.instant {
            tracing::info!("somebody who looks on took nothing for {PATIENCE:?}: closed");
            return Next::Close;
        }
        Next::Idle(if has_room { deadline.min(self.due) } else { deadline })
    }

    fn fill(&mut self, app: &App, now: Now, cx: &Context<'_>) {
        let is_due = self.due <= now.instant;
        match &mut self.kind {
            Kind::Status if is_due => {
                let Seen { mut records, missed } = self.watch.take();
                let others = records.len().saturating_sub(SHOWN);
                records.drain(..others);
                let missed = missed + others as u64;
                let figures = app.figures.with_records(app, now, &records, missed);
                event(&mut self.outgoing, "figures", figures.as_bytes());
                self.due = now.instant + FIGURES;
            }
            Kind::Status => {}
            Kind::Tail { filter, waiting } => {
                let had = self.outgoing.len();
                // Otherwise the next ones wait where they are counted.
                if waiting.is_empty() {
                    let Seen { records, missed } = self.watch.poll(cx);
                    waiting.extend(records.into_iter().filter(|record| filter.takes(record)));
                    if missed > 0 {
                        event(&mut self.outgoing, "missed", missed.to_string().as_bytes());
                    }
                }
                while self.outgoing.len() < ROOM
                    && let Some(record) = waiting.pop_front()
                {
                    event(&mut self.outgoing, "", &record);
                }
                if self.outgoing.len() > had {
                    self.due = now.instant + HEARTBEAT;
                } else if is_due {
                    self.outgoing.put(b": quiet\n\n");
                    self.due = now.instant + HEARTBEAT;
                }
            }
        }
    }

    pub(super) fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.outgoing.slices(into)
    }

    pub(super) fn wrote(&mut self, n: usize) {
        self.outgoing.advance(n);
        self.is_blocked = n == 0;
        self.wrote_some |= n > 0;
    }

    pub(super) fn held(&self) -> usize {
        let waiting = match &self.kind {
            Kind::Tail { waiting, .. } => waiting.iter().map(Bytes::len).sum(),
            Kind::Status => 0,
        };
        self.outgoing.held() + waiting
    }
}

/// Adds an event, whose data is one line.
fn event(outgoing: &mut Outgoing, name: &str, data: &[u8]) {
    if !name.is_empty() {
        outgoing.put(b"event: ");
        outgoing.put(name.as_bytes());
        outgoing.put(b"\n");
    }
    outgoing.put(b"data: ");
    outgoing.put(data);
    outgoing.put(b"\n\n");
}

/// Which records somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    token: Option<String>,
    event: Option<String>,
}

impl Filter {
    /// By `token=` and `event=` of a query.
    pub(super) fn of(query: &str) -> Self {
        let mut filter = Self::default();
        for (name, value) in form_pairs(query) {
            match &*name {
                "token" => filter.token = Some(value),
                "event" => filter.event = Some(value),
                _ => {}
            }
        }
        filter
    }

    fn takes(&self, record: &[u8]) -> bool {
        if *self == Self::default() {
            return true;
        }
        let record: Value = serde_json::from_slice(record).unwrap_or_default();
        let is = |wanted: &Option<String>, found: Option<&Value>| {
            wanted.as_deref().is_none_or(|wanted| found.and_then(Value::as_str) == Some(wanted))
        };
        is(&self.token, figures::token(&record)) && is(&self.event, record.get("event"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_what_has_both() {
        let event = br#"{"event":"a b","properties":{"token":"t"}}"#;
        let update = br#"{"$token":"t","$distinct_id":"u","$set":{}}"#;
        for (query, expected) in [
            ("", [true, true]),
            ("token=t", [true, true]),
            ("token=u", [false, false]),
            ("event=a+b", [true, false]),
            ("token=t&event=a%20b", [true, false]),
            ("token=t&event=c", [false, false]),
        ] {
            let filter = Filter::of(query);
            assert_eq!([filter.takes(event), filter.takes(update)], expected, "{query}");
        }
    }
}
