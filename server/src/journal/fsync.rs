//! When the journal is synced to the disk.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// When the journal is synced to the disk (kestrel's `syncJournal`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before an event is acknowledged; many waiting events share one sync (group commit).
    #[default]
    Always,
    /// At most this long after: a loss of power may cost that much of what was acknowledged.
    Interval(Duration),
    /// When the operating system likes.
    Never,
}

/// An unusable value for [`Fsync`].
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

impl std::error::Error for FsyncError {}

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
    use super::*;

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
