//! The clocks of the operating system, for what knows no runtime.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use windhover_core::{Now, UnixTime};

/// Reads both clocks; instants count from when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    /// What a runtime's own clock has to count from, to tell the same time.
    pub(crate) fn epoch(self) -> Instant {
        self.epoch
    }

    /// Both clocks, read together. A calendar before 1970 reads as 1970.
    pub(crate) fn now(self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now {
            instant: windhover_core::Instant::from_epoch(self.epoch.elapsed()),
            unix: UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
