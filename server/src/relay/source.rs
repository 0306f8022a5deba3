//! Sources of a relay: what keeps back what is refused, and the queues of servers of kestrel's kind.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use windhover_client::{Queue, Reservation, block_on};

use crate::forward::pump::Source;
use crate::forward::target::{Record, RecordName};
use crate::forward::window::{Hopeless, WINDOW};

/// Records of a server that are set aside at a time, each on a connection of its own.
const RESERVED: usize = WINDOW;
/// With those that are kept back, because they are too large for where they were to go.
pub(super) const MAX_RESERVED: usize = 4096;

/// A source that can say whether it is empty, also of what others have set aside.
pub(super) trait Drained: Source {
    /// Whether nothing is left.
    fn is_drained(&mut self) -> Result<bool, Self::Error>;

    /// A record that was taken is kept back.
    fn kept_back(&mut self) {}
}

/// Keeps back what the target will never take, until it is dropped: then it is where it was.
pub(super) struct Keeping<S: Source> {
    pub(super) source: S,
    pub(super) refused: Vec<S::Taken>,
}

impl<S: Drained> Source for Keeping<S> {
    type Taken = S::Taken;
    type Error = S::Error;

    fn take(&mut self, wait: Duration) -> Result<Option<(S::Taken, Record)>, S::Error> {
        self.source.take(wait)
    }

    fn confirm(&mut self, arrived: Vec<S::Taken>) -> Result<(), S::Error> {
        self.source.confirm(arrived)
    }

    fn give_up(&mut self, hopeless: Hopeless<S::Taken>) -> Option<Hopeless<S::Taken>> {
        tracing::warn!(
            error = %hopeless.error,
            bytes = hopeless.record.bytes.len(),
            "a record will never be taken; it stays where it is"
        );
        self.source.kept_back();
        self.refused.push(hopeless.taken);
        None
    }

    fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.source.wait_for(future)
    }
}

/// A queue of servers.
pub(super) struct ServedQueue {
    queue: Queue,
    /// A random number, and how many records were taken.
    run: u128,
    taken: u64,
    ready: VecDeque<Reservation>,
    /// Reservations that are on their way: neither confirmed nor kept back.
    out: usize,
}

impl ServedQueue {
    pub(super) fn new(queue: Queue, run: u128) -> Self {
        Self { queue, run, taken: 0, ready: VecDeque::new(), out: 0 }
    }

    /// Sets aside as many as may be.
    fn reserve(&mut self) -> Result<(), windhover_client::Error> {
        let wanted = RESERVED.saturating_sub(self.out + self.ready.len());
        let reserving: FuturesUnordered<_> = (0..wanted).map(|_| self.queue.reserve()).collect();
        let mut failed = None;
        for reserved in block_on(reserving.collect::<Vec<_>>()) {
            match reserved {
                Ok(reservation) => self.ready.extend(reservation),
                Err(error) => failed = Some(error),
            }
        }
        // What was set aside goes first.
        failed.filter(|_| self.ready.is_empty() && self.out == 0).map_or(Ok(()), Err)
    }
}

impl Source for ServedQueue {
    type Taken = Reservation;
    type Error = windhover_client::Error;

    fn take(&mut self, _: Duration) -> Result<Option<(Reservation, Record)>, Self::Error> {
        // Others come with what confirms those that are out.
        if self.ready.is_empty() && self.out == 0 {
            self.reserve()?;
        }
        let Some(reservation) = self.ready.pop_front() else {
            return Ok(None);
        };
        self.out += 1;
        self.taken += 1;
        let name = RecordName::Place(self.run, self.taken);
        let record = Record { bytes: reservation.item().clone(), name };
        Ok(Some((reservation, record)))
    }

    fn confirm(&mut self, arrived: Vec<Reservation>) -> Result<(), Self::Error> {
        self.out -= arrived.len();
        let confirming: FuturesUnordered<_> =
            arrived.into_iter().map(Reservation::confirm_and_reserve).collect();
        for next in block_on(confirming.collect::<Vec<_>>()) {
            match next {
                Ok(next) => self.ready.extend(next),
                Err(error) => tracing::warn!(
                    error = format_args!("{error:#}"),
                    "a record was moved and may still be where it was: it may come twice"
                ),
            }
        }
        Ok(())
    }

    fn give_up(&mut self, hopeless: Hopeless<Reservation>) -> Option<Hopeless<Reservation>> {
        Some(hopeless)
    }

    fn wait_for<F: Future>(&self, future: F) -> F::Output {
        block_on(future)
    }
}

impl Drained for ServedQueue {
    fn is_drained(&mut self) -> Result<bool, Self::Error> {
        self.reserve()?;
        Ok(self.ready.is_empty())
    }

    fn kept_back(&mut self) {
        self.out -= 1;
    }
}

impl fmt::Debug for ServedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.queue.fmt(f)
    }
}
