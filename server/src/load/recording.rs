//! What a thread tells while it runs.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::connection::InFlight;
use super::record::{Part, Tally};

/// What a thread tells while it runs.
#[derive(Debug)]
pub(super) enum Told {
    /// A part of the run is over.
    Part { number: u32, part: Box<Part> },
    /// The thread is at its end.
    Done { tally: Tally, cpu: Option<Duration>, is_gone: bool },
}

/// What is recorded, and where it goes.
#[derive(Debug)]
pub(super) struct Recording {
    to: Sender<Told>,
    from: u64,
    end: u64,
    each: u64,
    parts: u32,
    number: u32,
    part: Box<Part>,
}

impl Recording {
    /// What is due from `from` on and before `end` counts, told in so many parts.
    pub(super) fn new(to: Sender<Told>, from: u64, end: u64, parts: u32) -> Self {
        let each = (end - from) / u64::from(parts).max(1);
        Self { to, from, end, each, parts, number: 0, part: Box::new(Part::new()) }
    }

    pub(super) fn answered<A>(&mut self, request: &InFlight<A>, at: u64, is_good: bool) {
        if request.due() < self.from {
            return;
        }
        self.rotate(at);
        let within = at < self.end;
        if !is_good {
            self.part.failed += 1;
            return;
        }
        // In a closed loop nothing is due behind the end; what is sent in time and answered later would be
        // counted in no second that is measured.
        if !request.is_scheduled() && !within {
            return;
        }
        self.part.good += u64::from(within);
        let part = &mut self.part;
        // Every time is in its bounds: none is longer than two timeouts.
        let (due, sent) = (request.due(), request.sent());
        let _ = part.latency.record(at.saturating_sub(due));
        if request.is_scheduled() {
            let _ = part.from_sending.record(at.saturating_sub(sent));
            let _ = part.late.record(sent.saturating_sub(due));
        }
    }

    pub(super) fn failed(&mut self, count: u64, now: u64) {
        if now >= self.from {
            self.rotate(now);
            self.part.failed += count;
        }
    }

    /// Tells the parts that are over at `now`.
    pub(super) fn rotate(&mut self, now: u64) {
        while self.number + 1 < self.parts
            && now >= self.from + u64::from(self.number + 1) * self.each
        {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let part = std::mem::replace(&mut self.part, Box::new(Part::new()));
        // Who listens has gone when the run is being ended.
        let _ = self.to.send(Told::Part { number: self.number, part });
        self.number += 1;
    }

    pub(super) fn close(mut self, done: Told) {
        while self.number < self.parts {
            self.tell();
        }
        let _ = self.to.send(done);
    }
}
