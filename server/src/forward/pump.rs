//! Moves records from a source to a target: takes them out in order, sends them, confirms those that have
//! arrived. What to send and what an answer means is the [`Window`]'s affair; this waits and calls.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::target::{Record, Target};
use super::window::{Hopeless, Outcomes, Window};

/// Between two lines of the log about deliveries that fail.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Where records come from: what was taken is set aside until it is confirmed, and goes back when it is dropped.
pub(crate) trait Source {
    /// What a record that was taken is known by.
    type Taken;
    /// Why nothing can be taken or confirmed.
    type Error;

    /// The next record; it is waited for so long at most.
    fn take(&mut self, wait: Duration) -> Result<Option<(Self::Taken, Record)>, Self::Error>;

    /// Removes records for good.
    fn confirm(&mut self, arrived: Vec<Self::Taken>) -> Result<(), Self::Error>;

    /// Puts a record aside that will never be taken; gives it back where that fails.
    fn give_up(&mut self, hopeless: Hopeless<Self::Taken>) -> Option<Hopeless<Self::Taken>>;

    /// Runs a future on this thread.
    fn wait_for<F: Future>(&self, future: F) -> F::Output;
}

/// What one turn did.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Records that have arrived.
    pub(crate) arrived: usize,
    /// Records that were sent and did not.
    pub(crate) failed: usize,
    /// Bytes of those that have arrived.
    pub(crate) bytes: u64,
    /// How long to rest before the next turn.
    pub(crate) rest: Option<Duration>,
    /// Nothing is on its way, and nothing came.
    pub(crate) is_idle: bool,
}

#[derive(Debug)]
pub(crate) struct Pump<S: Source> {
    source: S,
    target: Box<dyn Target>,
    window: Window<S::Taken>,
    logged: Option<Instant>,
}

impl<S: Source> Pump<S> {
    pub(crate) fn new(source: S, target: Box<dyn Target>) -> Self {
        Self { source, target, window: Window::default(), logged: None }
    }

    pub(crate) fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Takes what is there, or waits so long for something, and sends all that is due.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<Turn, S::Error> {
        let mut wait = if self.window.is_due(Instant::now()) { Duration::ZERO } else { wait };
        while self.window.has_room() {
            let Some((taken, record)) = self.source.take(wait)? else {
                break;
            };
            self.window.hold(taken, record);
            wait = Duration::ZERO;
        }
        let now = Instant::now();
        let round = self.window.round(now);
        if round.is_empty() {
            return Ok(Turn { is_idle: self.window.is_empty(), ..Turn::default() });
        }
        let mut outcomes = self.send(round.alone);
        let behind = self.send(round.together);
        let others_taken = behind.values().any(Result::is_ok);
        outcomes.extend(behind);
        let settled = self.window.settle(outcomes, others_taken, Instant::now());
        let (arrived, failed) = (settled.arrived.len(), settled.failed);
        if let Some(error) = &settled.error {
            self.log(error, settled.failed);
        }
        for hopeless in settled.hopeless {
            if let Some(Hopeless { taken, record, .. }) = self.source.give_up(hopeless) {
                self.window.hold_again(taken, record);
            }
        }
        self.source.confirm(settled.arrived)?;
        Ok(Turn { arrived, failed, bytes: settled.bytes, rest: settled.rest, is_idle: false })
    }

    /// Sends records, in order; what became of each.
    fn send(&self, records: Vec<(usize, Record)>) -> Outcomes {
        let put = |(at, record)| {
            let putting = self.target.put(record);
            async move { (at, putting.await) }
        };
        let sent: FuturesUnordered<_> = records.into_iter().map(put).collect();
        self.source.wait_for(sent.collect())
    }

    fn log(&mut self, error: &str, records: usize) {
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            let target = &self.target;
            tracing::warn!(
                error,
                ?target,
                records,
                "records did not arrive; they stay where they are and are sent again"
            );
        }
    }
}

impl<S: Source> Drop for Pump<S> {
    fn drop(&mut self) {
        self.window.clear();
    }
}
