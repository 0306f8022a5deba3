//! Which backups are kept: pure.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

/// How many backups to keep: the last of each of so many hours, days, weeks and months that have any, all in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The last ones.
    pub last: usize,
    /// One for each hour.
    pub hourly: usize,
    /// One for each day.
    pub daily: usize,
    /// One for each week, from Monday on.
    pub weekly: usize,
    /// One for each month.
    pub monthly: usize,
}

/// A backup, and when its cut was made, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Its number.
    pub sequence: u64,
    /// When.
    pub taken: u64,
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// The number of the period that a time is in.
type PeriodOf = fn(u64) -> u64;

impl Retention {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The numbers of the backups to keep; the one of the largest number always.
    ///
    /// ```
    /// use windhover_server::backup::retention::{Dated, Retention};
    ///
    /// // One in each hour of two days.
    /// let backups: Vec<Dated> =
    ///     (0..48).map(|n| Dated { sequence: n + 1, taken: n * 3_600_000 }).collect();
    /// let keep = Retention { last: 2, daily: 7, ..Retention::default() };
    /// assert_eq!(keep.kept(&backups).into_iter().collect::<Vec<_>>(), [24, 47, 48]);
    /// ```
    pub fn kept(&self, backups: &[Dated]) -> BTreeSet<u64> {
        let mut newest_first = backups.to_vec();
        newest_first.sort_unstable_by_key(|backup| std::cmp::Reverse(backup.sequence));
        let mut kept: BTreeSet<u64> =
            newest_first.iter().take(self.last.max(1)).map(|backup| backup.sequence).collect();
        let rules: [(usize, PeriodOf); 4] = [
            (self.hourly, |taken| taken / HOUR),
            (self.daily, |taken| taken / DAY),
            // The first day of 1970 was a Thursday.
            (self.weekly, |taken| (taken / DAY + 3) / 7),
            (self.monthly, month),
        ];
        for (count, period) in rules {
            let mut seen = BTreeSet::new();
            for backup in &newest_first {
                if seen.len() == count {
                    break;
                }
                if seen.insert(period(backup.taken)) {
                    kept.insert(backup.sequence);
                }
            }
        }
        kept
    }
}

/// A number that is the same for all times of one month, and larger in a later one.
fn month(taken: u64) -> u64 {
    let time = UNIX_EPOCH + Duration::from_millis(taken.min(MOST));
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let digits = text.bytes().take(7).filter(u8::is_ascii_digit);
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// The end of the year 9999, which is the last that is written with four digits.
const MOST: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn each(step: u64, count: u64) -> Vec<Dated> {
        (0..count).map(|n| Dated { sequence: n + 1, taken: n * step }).collect()
    }

    fn kept(retention: Retention, backups: &[Dated]) -> Vec<u64> {
        retention.kept(backups).into_iter().collect()
    }

    #[test]
    fn the_newest_is_kept_whatever_is_said() {
        assert_eq!(kept(Retention::default(), &each(HOUR, 5)), [5]);
        assert_eq!(kept(Retention::default(), &[]), [] as [u64; 0]);
    }

    #[test]
    fn each_rule_keeps_the_last_of_its_periods() {
        let backups = each(DAY, 70);
        let weekly = Retention { weekly: 3, ..Retention::default() };
        // Sundays: days 3, 10, … of 1970, counted from 0.
        assert_eq!(kept(weekly, &backups), [60, 67, 70]);
        let monthly = Retention { monthly: 12, ..Retention::default() };
        assert_eq!(kept(monthly, &backups), [31, 59, 70]);
        let hourly = Retention { hourly: 2, last: 1, ..Retention::default() };
        assert_eq!(kept(hourly, &backups), [69, 70]);
    }

    #[test]
    fn a_period_without_a_backup_takes_no_place() {
        let backups = [
            Dated { sequence: 1, taken: 0 },
            Dated { sequence: 2, taken: 100 * DAY },
            Dated { sequence: 3, taken: 200 * DAY },
        ];
        assert_eq!(kept(Retention { daily: 2, ..Retention::default() }, &backups), [2, 3]);
    }

    #[test]
    fn a_year_is_no_bound() {
        let backups = [Dated { sequence: 1, taken: u64::MAX }, Dated { sequence: 2, taken: 0 }];
        assert_eq!(kept(Retention { monthly: 9, ..Retention::default() }, &backups), [1, 2]);
    }
}
