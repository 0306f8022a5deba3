//! When an item expires, as an application says it and as it stands on the wire.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use windhover_core::memcache::{Dialect, KESTREL_ABSOLUTE_FROM, MEMCACHED_MAX_RELATIVE};

/// When an item expires. Servers have whole seconds: a time is rounded up.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use windhover_client::{Expires, Store};
///
/// let two_months = Duration::from_secs(60 * 24 * 3600);
/// assert_eq!(Expires::from(two_months), Expires::In(two_months));
/// let store = Store::from("hello").expires(SystemTime::now() + two_months);
/// # drop(store);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Expires {
    /// Never.
    #[default]
    Never,
    /// So long after it is sent. What servers would take for a date (more than 30 days, with kestrel a
    /// million seconds and more) is sent as one. Zero is an error: on the wire it is "never".
    In(Duration),
    /// At this time. Where that has passed, the item has expired already.
    At(SystemTime),
}

impl From<Duration> for Expires {
    fn from(time: Duration) -> Self {
        Self::In(time)
    }
}

impl From<SystemTime> for Expires {
    fn from(time: SystemTime) -> Self {
        Self::At(time)
    }
}

/// Why a time to expire cannot be sent.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use windhover_client::protocol::memcache::Dialect;
/// use windhover_client::{Expires, ExpiresError};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let exptime = |expires: Expires| expires.exptime(Dialect::Memcached, now);
/// assert_eq!(exptime(Duration::from_secs(60).into()), Ok(60));
/// // On the wire, 0 is "never".
/// assert_eq!(exptime(Duration::ZERO.into()), Err(ExpiresError::Zero));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpiresError {
    /// It is to expire in no time, which on the wire means never.
    Zero,
    /// It is to expire after January 2038, which memcached's 32 bits cannot say.
    TooFar,
}

impl fmt::Display for ExpiresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => {
                "an item cannot expire in no time: delete it, or say `Expires::Never` if that is meant"
            }
            Self::TooFar => "the item would expire after January 2038, which servers cannot hold",
        })
    }
}

impl std::error::Error for ExpiresError {}

impl Expires {
    /// As it stands on the wire, in a request that is sent at `now`: for the flags of meta commands,
    /// and whatever else is made by hand.
    ///
    /// # Errors
    /// [`ExpiresError`].
    pub fn exptime(self, dialect: Dialect, now: SystemTime) -> Result<i64, ExpiresError> {
        match self {
            Self::Never => Ok(0),
            Self::In(Duration::ZERO) => Err(ExpiresError::Zero),
            Self::In(time) => {
                let seconds = seconds(time)?;
                let relative = if dialect.is_queue() {
                    seconds < KESTREL_ABSOLUTE_FROM
                } else {
                    seconds <= MEMCACHED_MAX_RELATIVE
                };
                if relative {
                    return Ok(seconds);
                }
                let time = now.checked_add(time).ok_or(ExpiresError::TooFar)?;
                date(time, dialect)
            }
            Self::At(time) => date(time, dialect),
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> Result<i64, ExpiresError> {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    i64::try_from(seconds).map_err(|_| ExpiresError::TooFar)
}

fn date(time: SystemTime, dialect: Dialect) -> Result<i64, ExpiresError> {
    // In January of 1970 a date would be taken for a time from now; another one has passed as well.
    let earliest = MEMCACHED_MAX_RELATIVE + 1;
    let Ok(since) = time.duration_since(UNIX_EPOCH) else {
        return Ok(earliest);
    };
    let seconds = seconds(since)?.max(earliest);
    if !dialect.is_queue() && i32::try_from(seconds).is_err() {
        return Err(ExpiresError::TooFar);
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use windhover_core::UnixTime;
    use windhover_core::memcache::Expiry;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: u64 = 1_700_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn exptime(expires: impl Into<Expires>, dialect: Dialect) -> Result<i64, ExpiresError> {
        expires.into().exptime(dialect, at(NOW))
    }

    #[test]
    fn what_servers_take_for_a_date_is_sent_as_one() {
        for (time, exptime_in) in [
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(60), 60),
            (Duration::from_millis(60_001), 61),
            (DAY * 30, 2_592_000),
            (DAY * 30 + Duration::from_nanos(1), 1_702_592_001),
            (DAY * 60, 1_705_184_000),
        ] {
            assert_eq!(exptime(time, Dialect::Memcached), Ok(exptime_in), "{time:?}");
        }
        let second = Duration::from_secs(1);
        assert_eq!(exptime(second * 999_999, Dialect::Kestrel), Ok(999_999));
        assert_eq!(exptime(second * 1_000_000, Dialect::Kestrel), Ok(1_701_000_000));
    }

    #[test]
    fn servers_understand_what_was_meant() {
        for dialect in [Dialect::Memcached, Dialect::Kestrel] {
            for days in [1, 11, 12, 29, 30, 31, 60, 365, 3650] {
                for expires in [Expires::In(DAY * days), Expires::At(at(NOW) + DAY * days)] {
                    let exptime = exptime(expires, dialect).unwrap();
                    let understood = Expiry::of(exptime, dialect, UnixTime::from_secs(NOW));
                    let meant = UnixTime::from_secs(NOW + u64::from(days) * DAY.as_secs());
                    assert_eq!(understood, Expiry::At(meant), "{days} days");
                }
            }
            for past in [at(0), at(5), at(2_592_000), at(NOW - 1), UNIX_EPOCH - DAY] {
                let exptime = exptime(past, dialect).unwrap();
                let now = UnixTime::from_secs(NOW);
                assert!(Expiry::of(exptime, dialect, now).has_passed(now), "{past:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        assert_eq!(exptime(Duration::ZERO, Dialect::Memcached), Err(ExpiresError::Zero));
        assert_eq!(exptime(Duration::ZERO, Dialect::Kestrel), Err(ExpiresError::Zero));
        assert_eq!(exptime(Duration::MAX, Dialect::Memcached), Err(ExpiresError::TooFar));
        assert_eq!(exptime(DAY * 36_500, Dialect::Memcached), Err(ExpiresError::TooFar));
        assert_eq!(exptime(at(1 << 31), Dialect::Memcached), Err(ExpiresError::TooFar));
        assert_eq!(exptime(at((1 << 31) - 1), Dialect::Memcached), Ok((1 << 31) - 1));
        assert_eq!(exptime(Expires::Never, Dialect::Memcached), Ok(0));
    }
}
