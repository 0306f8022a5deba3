//! The budget for what connections hold: `--connection-memory`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use windhover_runtime::{ConnectionMemory, Eviction};

/// How often a connection that is closed is named. Whoever opens thousands would fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// A budget of so many MiB, which names in the log those that are closed for it.
pub(crate) fn connection_memory(mebibytes: u32) -> ConnectionMemory {
    let bytes = usize::try_from(u64::from(mebibytes) << 20).unwrap_or(usize::MAX);
    let memory = ConnectionMemory::new(bytes);
    let log = Mutex::new(Log::default());
    memory.on_eviction(move |eviction| {
        let unnamed = log.lock().unwrap_or_else(PoisonError::into_inner).turn(Instant::now());
        tell(eviction, unnamed);
    });
    memory
}

fn tell(&Eviction { peer, held, stalled, .. }: &Eviction, unnamed: Option<u64>) {
    let stalled = stalled.as_secs_f64();
    match unnamed {
        Some(unnamed) => tracing::warn!(
            %peer, held, stalled, unnamed,
            "connections hold all of --connection-memory: the one that was stalled for the longest time was closed"
        ),
        None => {
            tracing::debug!(%peer, held, stalled, "another one was closed for --connection-memory");
        }
    }
}

/// Which of those that are closed are named.
#[derive(Default)]
struct Log {
    last: Option<Instant>,
    unnamed: u64,
}

impl Log {
    /// One is closed: how many were not named since the last one that was, if this one is.
    fn turn(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            self.unnamed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unnamed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_second_is_named_and_the_others_are_counted() {
        let (start, mut log) = (Instant::now(), Log::default());
        let named: Vec<_> = [0, 0, 500, 999, 1000, 1001, 5000]
            .into_iter()
            .map(|millis| log.turn(start + Duration::from_millis(millis)))
            .collect();
        assert_eq!(named, [Some(0), None, None, None, Some(3), None, Some(1)]);
    }
}
