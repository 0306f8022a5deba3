//! Time as data: the core never reads a clock, it is told.

use core::ops::Add;
use core::time::Duration;

/// A point on a clock that never goes back, as a duration since an epoch that the caller chooses
/// (usually the start of the process).
///
/// Deadlines are of this type. It says nothing about the calendar: see [`UnixTime`].
///
/// ```
/// use core::time::Duration;
/// use windhover_core::Instant;
///
/// let start = Instant::from_epoch(Duration::from_secs(5));
/// let deadline = start + Duration::from_millis(250);
/// assert_eq!(deadline.saturating_since(start), Duration::from_millis(250));
/// assert_eq!(start.saturating_since(deadline), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The instant that lies `since_epoch` after the caller's epoch.
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// How far this instant lies after the caller's epoch.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a deadline too far to be told is one that never comes.
    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }
}

/// Calendar time in milliseconds since 1970-01-01 00:00 UTC, without leap seconds.
///
/// Event times and expiry times are of this type; it may jump when the machine's clock is set.
///
/// ```
/// use windhover_core::UnixTime;
///
/// let exptime = UnixTime::from_secs(1_700_000_000);
/// assert_eq!(exptime.as_millis(), 1_700_000_000_000);
/// assert_eq!(UnixTime::from_millis(1_999).as_secs(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The time `millis` milliseconds after 1970-01-01 00:00 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The time `secs` seconds after 1970-01-01 00:00 UTC; saturates.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 00:00 UTC, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}

/// Both clocks, read together by the adapter once per turn.
///
/// ```
/// use core::time::Duration;
/// use windhover_core::{Instant, Now, UnixTime};
///
/// // A test lets time pass by saying so.
/// let mut now = Now { instant: Instant::default(), unix: UnixTime::from_secs(1_700_000_000) };
/// now.instant = now.instant + Duration::from_secs(60);
/// // Somebody sets the machine's clock back: no deadline notices.
/// now.unix = UnixTime::from_secs(1_600_000_000);
/// assert_eq!(now.instant.since_epoch(), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For event times and expiry.
    pub unix: UnixTime,
}
