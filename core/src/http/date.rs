//! The `Date` header's form of a time: IMF-fixdate (RFC 9110 §5.6.7).

use crate::UnixTime;
use crate::cannot_happen::cannot_happen;

/// The last second of the year 9999: the form has four digits for the year.
const LAST: u64 = 253_402_300_799;

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(super) fn imf_fixdate(time: UnixTime) -> [u8; 29] {
    let secs = time.as_secs().min(LAST);
    let days = secs / 86_400;
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    put(&mut text, 0, name(b"ThuFriSatSunMonTueWed", days % 7));
    put(&mut text, 5, &two_digits(day));
    put(&mut text, 8, name(b"JanFebMarAprMayJunJulAugSepOctNovDec", month - 1));
    put(&mut text, 12, &two_digits(year / 100));
    put(&mut text, 14, &two_digits(year % 100));
    put(&mut text, 17, &two_digits(secs / 3600 % 24));
    put(&mut text, 20, &two_digits(secs / 60 % 60));
    put(&mut text, 23, &two_digits(secs % 60));
    text
}

/// Year, month (1–12) and day (1–31) of a number of days since 1970-01-01.
///
/// Counts from 0000-03-01, so that a leap day is the last day of its year: then months and leap
/// years follow from divisions alone.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let era = days / DAYS_IN_400_YEARS;
    let day_of_era = days % DAYS_IN_400_YEARS;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31, 30, 31, 30, 31 days, five by five, from March on.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

fn put(text: &mut [u8; 29], at: usize, part: &[u8]) {
    match text.get_mut(at..at + part.len()) {
        Some(place) => place.copy_from_slice(part),
        None => cannot_happen(()),
    }
}

fn name(names: &[u8], index: u64) -> &[u8] {
    let at = usize::try_from(index).unwrap_or_default() * 3;
    names.get(at..at + 3).unwrap_or_default()
}

fn two_digits(n: u64) -> [u8; 2] {
    // Both are below 10: every caller passes less than 100.
    #[allow(clippy::cast_possible_truncation)]
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(secs: u64) -> std::string::String {
        std::string::String::from_utf8(imf_fixdate(UnixTime::from_secs(secs)).to_vec()).unwrap()
    }

    #[test]
    fn known_dates() {
        for (secs, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            // The standard's own example.
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date(secs), expected, "{secs}");
        }
    }

    #[test]
    fn every_day_follows_the_day_before_it() {
        let lengths = |year: u64| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let mut days = 0;
        for year in 1970..2500 {
            for (month, length) in (1..).zip(lengths(year)) {
                for day in 1..=length {
                    assert_eq!(civil(days), (year, month, day));
                    days += 1;
                }
            }
        }
    }
}
