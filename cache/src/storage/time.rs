//! Deadlines as memcached counts them: in whole seconds of a clock that never goes back.

use windhover_core::memcache::{Dialect, Expiry};
use windhover_core::{Now, UnixTime};

/// The time of a request, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Seconds of the clock that never goes back.
    seconds: u32,
    unix: UnixTime,
}

impl Time {
    /// The time as the adapter read it.
    pub fn new(now: Now) -> Self {
        let seconds = now.instant.since_epoch().as_secs();
        Self { seconds: u32::try_from(seconds).unwrap_or(u32::MAX), unix: now.unix }
    }

    /// Seconds since the clock's epoch.
    pub const fn seconds(self) -> u32 {
        self.seconds
    }

    /// Seconds since 1970.
    pub const fn unix_seconds(self) -> u64 {
        self.unix.as_secs()
    }
}

/// When something happens, in seconds of the clock that never goes back: setting the machine's
/// calendar does not move what was given in seconds from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u32);

impl Deadline {
    /// It does not happen.
    pub const NEVER: Self = Self(u32::MAX);

    /// What an exptime, as memcached's dialect has it ([`Expiry::of`]), means at `time`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windhover_cache::storage::{Deadline, Time};
    /// use windhover_core::{Instant, Now, UnixTime};
    ///
    /// let time = Time::new(Now {
    ///     instant: Instant::from_epoch(Duration::from_secs(10)),
    ///     unix: UnixTime::from_secs(2_000_000_000),
    /// });
    /// assert_eq!(Deadline::of(60, time).remaining(time), Some(60));
    /// assert_eq!(Deadline::of(2_000_000_090, time).remaining(time), Some(90));
    /// assert_eq!(Deadline::of(0, time), Deadline::NEVER);
    /// assert!(Deadline::of(-1, time).has_come(time));
    /// ```
    pub fn of(exptime: i64, time: Time) -> Self {
        let expiry = Expiry::of(exptime, Dialect::Memcached, time.unix);
        let Some(remaining) = expiry.remaining(time.unix) else {
            return Self::NEVER;
        };
        let seconds = remaining.as_millis().div_ceil(1000);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        Self(time.seconds.saturating_add(seconds).min(u32::MAX - 1))
    }

    /// Now.
    pub const fn now(time: Time) -> Self {
        Self(time.seconds)
    }

    /// Whether it has happened.
    pub const fn has_come(self, time: Time) -> bool {
        self.0 <= time.seconds
    }

    /// Seconds until then; `None` for never.
    pub fn remaining(self, time: Time) -> Option<u32> {
        (self != Self::NEVER).then(|| self.0.saturating_sub(time.seconds))
    }
}
