//! What an exptime means, told the time.

use core::time::Duration;

use super::Dialect;
use crate::UnixTime;

/// Seconds above which memcached takes an exptime for a date: 30 days (protocol.txt, "Expiration
/// times").
pub const MEMCACHED_MAX_RELATIVE: i64 = 60 * 60 * 24 * 30;
/// Seconds from which on kestrel takes an exptime for a date (its guide, "Item expiration").
pub const KESTREL_ABSOLUTE_FROM: i64 = 1_000_000;

/// When an item expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// Never: 0.
    Never,
    /// It has expired already: a negative number.
    Past,
    /// At this time, which may lie in the past.
    At(UnixTime),
}

impl Expiry {
    /// What the exptime of a request means to the servers of `dialect` at `now`. Of
    /// [`StoreRequest::exptime`](super::request::StoreRequest::exptime), of `touch` and `gat`, of the meta flags
    /// `T`, `N` and `R`, and (0 and less: at once) of the delay of `flush_all`.
    ///
    /// memcached keeps exptimes in 32 bits: a longer number loses its upper half, so that 2^31 has
    /// passed and 2^32 never comes. Kestrel's rule has another bound; darner and siberite store
    /// nothing of it: their items never expire.
    ///
    /// ```
    /// use windhover_core::UnixTime;
    /// use windhover_core::memcache::{Dialect, Expiry};
    ///
    /// let now = UnixTime::from_secs(1_700_000_000);
    /// let memcached = |exptime| Expiry::of(exptime, Dialect::Memcached, now);
    /// assert_eq!(memcached(0), Expiry::Never);
    /// assert_eq!(memcached(-1), Expiry::Past);
    /// assert_eq!(memcached(2_592_000), Expiry::At(UnixTime::from_secs(1_702_592_000)));
    /// assert_eq!(memcached(2_592_001), Expiry::At(UnixTime::from_secs(2_592_001)));
    /// assert_eq!(
    ///     Expiry::of(1_000_000, Dialect::Kestrel, now),
    ///     Expiry::At(UnixTime::from_secs(1_000_000))
    /// );
    /// ```
    pub fn of(exptime: i64, dialect: Dialect, now: UnixTime) -> Self {
        let (exptime, relative) = match dialect {
            Dialect::Memcached => {
                let exptime = low_half(exptime);
                (exptime, exptime <= MEMCACHED_MAX_RELATIVE)
            }
            _ if dialect.queue_rules().is_some_and(|rules| !rules.expires) => {
                return Self::Never;
            }
            _ => (exptime, exptime < KESTREL_ABSOLUTE_FROM),
        };
        match u64::try_from(exptime) {
            Ok(0) => Self::Never,
            Ok(seconds) if relative => {
                let wait = seconds.saturating_mul(1000);
                Self::At(UnixTime::from_millis(now.as_millis().saturating_add(wait)))
            }
            Ok(seconds) => Self::At(UnixTime::from_secs(seconds)),
            Err(_) => Self::Past,
        }
    }

    /// Whether it has come at `now`.
    pub fn has_passed(self, now: UnixTime) -> bool {
        match self {
            Self::Never => false,
            Self::Past => true,
            Self::At(time) => time <= now,
        }
    }

    /// How long it still is at `now`; `None` where it never comes, zero where it has passed.
    pub fn remaining(self, now: UnixTime) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Past => Some(Duration::ZERO),
            Self::At(time) => {
                Some(Duration::from_millis(time.as_millis().saturating_sub(now.as_millis())))
            }
        }
    }
}

/// The lower 32 bits, with their sign.
const fn low_half(number: i64) -> i64 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    // Widening from 32 to 64 bits keeps the value; `From` is not const.
    i32::from_le_bytes([a, b, c, d]) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);

    fn at(seconds: u64) -> Expiry {
        Expiry::At(UnixTime::from_secs(seconds))
    }

    #[test]
    fn memcacheds_thirty_days_and_32_bits() {
        for (exptime, expected) in [
            (0, Expiry::Never),
            (1, at(2_000_000_001)),
            (2_592_000, at(2_002_592_000)),
            (2_592_001, at(2_592_001)),
            (2_147_483_647, at(2_147_483_647)),
            (2_147_483_648, Expiry::Past),
            (4_294_967_295, Expiry::Past),
            (4_294_967_296, Expiry::Never),
            (4_294_967_297, at(2_000_000_001)),
            (-1, Expiry::Past),
            (-4_294_967_296, Expiry::Never),
            (i64::MAX, Expiry::Past),
            (i64::MIN, Expiry::Never),
        ] {
            assert_eq!(Expiry::of(exptime, Dialect::Memcached, NOW), expected, "{exptime}");
        }
    }

    #[test]
    fn kestrels_million_seconds() {
        for (exptime, expected) in [
            (0, Expiry::Never),
            (60, at(2_000_000_060)),
            (999_999, at(2_000_999_999)),
            (1_000_000, at(1_000_000)),
            (i64::MAX, Expiry::At(UnixTime::from_millis(u64::MAX))),
            (-1, Expiry::Past),
        ] {
            assert_eq!(Expiry::of(exptime, Dialect::Kestrel, NOW), expected, "{exptime}");
            assert_eq!(Expiry::of(exptime, Dialect::Darner, NOW), Expiry::Never);
        }
    }

    #[test]
    fn an_expiry_is_asked_with_the_time() {
        assert!(!Expiry::Never.has_passed(NOW) && Expiry::Past.has_passed(NOW));
        assert!(at(2_000_000_000).has_passed(NOW) && !at(2_000_000_001).has_passed(NOW));
        assert_eq!(Expiry::Never.remaining(NOW), None);
        assert_eq!(Expiry::Past.remaining(NOW), Some(Duration::ZERO));
        assert_eq!(at(2_000_000_005).remaining(NOW), Some(Duration::from_secs(5)));
        assert_eq!(at(5).remaining(NOW), Some(Duration::ZERO));
    }
}
