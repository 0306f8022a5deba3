//! The two clocks of the operating system as the core's time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use windhover_core::{Instant, Now, UnixTime};

/// Reads the operating system's clocks for the core.
///
/// Instants count from when the clock was made: make one when the process starts, and give copies
/// of it to everything that shares instants.
///
/// ```
/// let clock = windhover_runtime::Clock::new();
/// let earlier = clock.now();
/// assert!(clock.now().instant >= earlier.instant);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: std::time::Instant,
}

impl Clock {
    /// A clock whose instants count from now on.
    pub fn new() -> Self {
        Self::since(std::time::Instant::now())
    }

    /// A clock whose instants count from `epoch`: for a program that has a clock already.
    pub const fn since(epoch: std::time::Instant) -> Self {
        Self { epoch }
    }

    /// Both clocks, read together. A calendar before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now {
            instant: Instant::from_epoch(self.epoch.elapsed()),
            unix: UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The same instant for the timers of the operating system; `None` for one that never comes.
    pub fn to_std(&self, instant: Instant) -> Option<std::time::Instant> {
        self.epoch.checked_add(instant.since_epoch())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
