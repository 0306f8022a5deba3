//! When the journal is synced to the disk.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// When what is written to the journal is synced to the disk (kestrel's `syncJournal`), as text `always`,
/// `interval=MS` or `never`.
///
/// ```
/// use windhover_core::queue::Fsync;
///
/// let fsync: Fsync = "interval=250".parse()?;
/// assert_eq!(fsync, Fsync::Interval(std::time::Duration::from_millis(250)));
/// # Ok::<(), windhover_core::queue::FsyncError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before it is acknowledged; much that waits shares one sync (group commit).
    #[default]
    Always,
    /// At most this long after: a loss of power may cost that much of what was acknowledged.
    Interval(Duration),
    /// When the operating system likes.
    Never,
}

impl Fsync {
    /// The one of two that loses less: what holds for a record that is of both.
    pub(super) fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Interval(one), Self::Interval(other)) => Self::Interval(one.min(other)),
            (Self::Interval(every), Self::Never) | (Self::Never, Self::Interval(every)) => {
                Self::Interval(every)
            }
            (Self::Never, Self::Never) => Self::Never,
        }
    }
}

/// An unusable value for [`Fsync`].
///
/// ```
/// use windhover_core::queue::{Fsync, FsyncError};
///
/// let error: FsyncError = "interval=0".parse::<Fsync>().unwrap_err();
/// let expected =
///     "`interval=0` is none of `always`, `never` and `interval=MS` with MS from 1 to 3600000";
/// assert_eq!(error.to_string(), expected);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsyncError(String);

impl fmt::Display for FsyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is none of `always`, `never` and `interval=MS` with MS from 1 to 3600000",
            self.0
        )
    }
}

impl core::error::Error for FsyncError {}

impl FromStr for Fsync {
    type Err = FsyncError;

    fn from_str(value: &str) -> Result<Self, FsyncError> {
        match value {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => value
                .strip_prefix("interval=")
                .and_then(|millis| millis.parse().ok())
                .filter(|millis| (1..=3_600_000).contains(millis))
                .map(|millis| Self::Interval(Duration::from_millis(millis)))
                .ok_or_else(|| FsyncError(value.to_owned())),
        }
    }
}

impl fmt::Display for Fsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Interval(every) => write!(f, "interval={}", every.as_millis()),
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_stricter_of_two_loses_less() {
        let [short, long] = [5, 50].map(|millis| Fsync::Interval(Duration::from_millis(millis)));
        let strict_first = [Fsync::Always, short, long, Fsync::Never];
        for (at, one) in strict_first.into_iter().enumerate() {
            for other in &strict_first[at..] {
                assert_eq!((one.stricter(*other), other.stricter(one)), (one, one));
            }
        }
    }

    #[test]
    fn values_read_back_as_written() {
        for value in ["always", "never", "interval=250"] {
            assert_eq!(value.parse::<Fsync>().unwrap().to_string(), value);
        }
    }

    #[test]
    fn other_values_are_refused() {
        for value in ["", "sometimes", "interval=", "interval=0", "interval=-1", "interval=3600001"]
        {
            assert_eq!(value.parse::<Fsync>(), Err(FsyncError(value.to_owned())));
        }
    }
}
