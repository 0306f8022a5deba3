//! Event times: what senders write, made one number of milliseconds.

use super::error::RecordFault;
use super::stamps::Stamps;
use crate::UnixTime;

/// Below it a time counts seconds, from it on milliseconds (in seconds it is the year 5138, in
/// milliseconds 1973).
const FIRST_IN_MILLIS: u128 = 100_000_000_000;
/// 1971-01-01 00:00 UTC: what is older is a broken clock.
const EARLIEST: UnixTime = UnixTime::from_secs(31_536_000);
/// How far a sender's clock may be ahead before it is not believed.
const AHEAD_MILLIS: u64 = 3_600_000;

/// A time as a JSON value: a number, or a string that holds nothing else but white space around it.
/// One that is more than an hour ahead is `None`, for which the time of receipt is taken, or refused where the
/// request is looked at strictly.
pub(super) fn parse(value: &[u8], stamps: &Stamps) -> Result<Option<UnixTime>, RecordFault> {
    let digits = match value {
        [b'"', digits @ .., b'"'] => digits,
        number => number,
    };
    match of_digits(digits, stamps.now)? {
        None if stamps.strict => Err(RecordFault::TimeTooLate),
        // A clock that is fast is no reason to lose a batch; the API takes the time of receipt too.
        time => Ok(time),
    }
}

/// Whole milliseconds, the rest cut off; `None` for a time that is more than an hour ahead of `now`.
/// Decimal arithmetic throughout, so that no millisecond is lost on the way through a float.
fn of_digits(text: &[u8], now: UnixTime) -> Result<Option<UnixTime>, RecordFault> {
    let text = text.trim_ascii();
    let millis = match few_digits(text) {
        Some(number) if u128::from(number) < FIRST_IN_MILLIS => u128::from(number * 1000),
        Some(number) => u128::from(number),
        None => {
            let number = Number::parse(text).ok_or(RecordFault::TimeNotANumber)?;
            if number.negative {
                return Err(RecordFault::TimeTooEarly);
            }
            // Thousandths of what was written: milliseconds, if it counts seconds.
            match number.thousandths() {
                thousandths if thousandths < FIRST_IN_MILLIS * 1000 => thousandths,
                thousandths => thousandths / 1000,
            }
        }
    };
    let latest = now.as_millis().saturating_add(AHEAD_MILLIS);
    match u64::try_from(millis) {
        Ok(millis) if millis <= latest => {
            let time = UnixTime::from_millis(millis);
            if time < EARLIEST {
                return Err(RecordFault::TimeTooEarly);
            }
            Ok(Some(time))
        }
        _ => Ok(None),
    }
}

/// What nearly all senders write: a number of digits, and of no more than a `u64` holds a thousand times.
fn few_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let digits = text.iter().map(|&digit| digit_value(digit).map(u64::from));
    digits.reduce(|number, digit| Some(number? * 10 + digit?))?
}

/// `mantissa × 10^exponent`.
struct Number {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Number {
    /// The grammar of JSON numbers, and leading zeros and a plus sign too: strings are written by
    /// hand.
    fn parse(text: &[u8]) -> Option<Self> {
        let (negative, mut rest) = sign(text);
        let mut number = Self { negative, mantissa: 0, exponent: 0 };
        let whole = number.digits(&mut rest, 0);
        if whole == 0 {
            return None;
        }
        if let [b'.', fraction @ ..] = rest {
            rest = fraction;
            if number.digits(&mut rest, -1) == 0 {
                return None;
            }
        }
        if let [b'e' | b'E', exponent @ ..] = rest {
            let (negative, digits) = sign(exponent);
            if digits.is_empty() {
                return None;
            }
            let mut exponent = 0i32;
            for digit in digits {
                let value = digit_value(*digit)?;
                exponent = exponent.saturating_mul(10).saturating_add(value.into());
            }
            let exponent = if negative { -exponent } else { exponent };
            number.exponent = number.exponent.saturating_add(exponent);
            rest = &[];
        }
        rest.is_empty().then_some(number)
    }

    /// Takes the digits that come next, each of which moves the exponent by `step`; returns how
    /// many there were. Digits beyond the eighteenth significant one are too small to matter.
    fn digits(&mut self, rest: &mut &[u8], step: i32) -> usize {
        let before = rest.len();
        while let [digit, behind @ ..] = *rest
            && let Some(value) = digit_value(*digit)
        {
            *rest = behind;
            if self.mantissa < 10u64.pow(17) {
                self.mantissa = self.mantissa * 10 + u64::from(value);
                self.exponent = self.exponent.saturating_add(step);
            } else {
                self.exponent = self.exponent.saturating_add(step + 1);
            }
        }
        before - rest.len()
    }

    /// A thousand times the number, without its fraction; saturates.
    fn thousandths(&self) -> u128 {
        let mantissa = u128::from(self.mantissa);
        let exponent = self.exponent.saturating_add(3);
        match 10u128.checked_pow(exponent.unsigned_abs()) {
            Some(power) if exponent >= 0 => mantissa.saturating_mul(power),
            Some(power) => mantissa / power,
            None if exponent >= 0 && mantissa != 0 => u128::MAX,
            None => 0,
        }
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn digit_value(digit: u8) -> Option<u8> {
    digit.is_ascii_digit().then(|| digit - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2012-04-19 18:20:00 UTC.
    const NOW: UnixTime = UnixTime::from_secs(1_334_859_600);

    fn parse(text: &[u8], now: UnixTime) -> Result<UnixTime, RecordFault> {
        let quoted = [b"\"", text, b"\""].concat();
        let [lenient, strict] = [false, true].map(|strict| {
            let stamps = Stamps { now, strict, ..Stamps::default() };
            let time = super::parse(text, &stamps);
            assert_eq!(super::parse(&quoted, &stamps), time);
            time.map(|time| time.unwrap_or(now))
        });
        // Strictly, no other time takes the place of one that is too far ahead.
        assert!(strict == lenient || (strict, lenient) == (Err(RecordFault::TimeTooLate), Ok(now)));
        lenient
    }

    #[test]
    fn seconds_and_milliseconds_become_milliseconds() {
        let cases = [
            ("1334859600", 1_334_859_600_000),
            ("1334859600000", 1_334_859_600_000),
            ("1334859600.123", 1_334_859_600_123),
            ("1334859600.1239", 1_334_859_600_123),
            ("1334859600123.9", 1_334_859_600_123),
            ("1.3348596e9", 1_334_859_600_000),
            ("1334859600E0", 1_334_859_600_000),
            ("13348596000000e-1", 1_334_859_600_000),
            ("133485960000000000000000000000e-20", 1_334_859_600_000),
            ("1334859600.00000000000000000000000000001", 1_334_859_600_000),
            (" 1334859600 ", 1_334_859_600_000),
            ("+1334859600", 1_334_859_600_000),
            ("0001334859600", 1_334_859_600_000),
            // The bounds: the first moment of 1971, an hour ahead.
            ("31536000", 31_536_000_000),
            ("1334863200", 1_334_863_200_000),
            ("1334863200000", 1_334_863_200_000),
            // The first number that counts milliseconds.
            ("100000000000", 100_000_000_000),
            ("1e11", 100_000_000_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text.as_bytes(), NOW), Ok(UnixTime::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_time_before_1971_is_refused() {
        for text in ["0", "-1", "-0", "1e-999999999999", "31535999.999", "0e999"] {
            assert_eq!(parse(text.as_bytes(), NOW), Err(RecordFault::TimeTooEarly), "{text}");
        }
    }

    #[test]
    fn a_time_too_far_ahead_is_the_time_of_receipt() {
        for text in [
            "1334863200.001",
            "1334863200001",
            "99999999999",
            "99999999999.999",
            "1e999",
            "1e999999999999",
            "18446744073709551617",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), Ok(NOW), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in [
            "",
            " ",
            "-",
            ".5",
            "1.",
            "1e",
            "1e+",
            "1e5x",
            "0x10",
            "1 2",
            "2012-04-19",
            "NaN",
            "1,5",
            "１",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), Err(RecordFault::TimeNotANumber), "{text}");
        }
    }
}
