//! The flags of a request, checked in the order in which memcached checks them.

use core::fmt;

use super::{ArithmeticMode, MetaFlags, SetMode, TokenRule, decodes, token_rule};
use crate::memcache::command::Command;
use crate::memcache::number;

/// The longest token of the flag `O`.
const MAX_OPAQUE: usize = 31;

/// What is wrong with a flag.
///
/// ```
/// use windhover_core::memcache::command::Command;
/// use windhover_core::memcache::meta::FlagFault;
/// use windhover_core::memcache::request::{self, RequestFault};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let error = request::parse_line(b"mg key v Tsoon\r\n", Dialect::Memcached, &Limits::default());
/// let fault = FlagFault::BadNumber;
/// let expected = RequestFault::Flag { command: Command::MetaGet, letter: b'T', fault };
/// assert_eq!(error.map_err(|error| error.fault), Err(expected));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlagFault {
    /// No command has a flag of that letter.
    Unknown,
    /// It begins with neither a letter nor a digit.
    NoLetter,
    /// It stands there twice.
    Duplicate,
    /// The token is no number in range.
    BadNumber,
    /// The token of `O` is longer than 31 bytes.
    OpaqueTooLong,
    /// The command has no mode of that letter, or there is none.
    UnknownMode,
    /// `b` is there, but the key is no base64.
    KeyNotBase64,
}

impl fmt::Display for FlagFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no command knows it",
            Self::NoLetter => "no flag begins so: it is a letter, with its token behind it",
            Self::Duplicate => "it is given twice: give each flag once",
            Self::BadNumber => "its token is not a decimal number in range",
            Self::OpaqueTooLong => "its token is longer than 31 bytes: shorten it",
            Self::UnknownMode => "the command has no such mode",
            Self::KeyNotBase64 => "the key is no base64: encode it, or leave the flag out",
        })
    }
}

/// The flag that is wrong, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) letter: u8,
    pub(crate) fault: FlagFault,
}

/// Flags that are all right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// How many there are.
    pub(crate) count: usize,
    /// Whether `q` is among them.
    pub(crate) quiet: bool,
}

const fn letter_bit(letter: u8) -> u64 {
    1 << (letter % 64)
}

/// Checks every flag; a fault that memcached would report over another is reported over it.
#[inline]
pub(crate) fn check(
    key: &[u8],
    flags: MetaFlags<'_>,
    command: Command,
) -> Result<Checked, Refusal> {
    // A bit for each letter from `@` on; no flag has another letter.
    let mut seen = 0u64;
    let mut count = 0;
    let mut wrong = None;
    let mut late = None;
    for flag in flags {
        let letter = flag.letter;
        let refusal = |fault| Refusal { letter, fault };
        let Some(rule) = token_rule(letter) else {
            return Err(refusal(FlagFault::Unknown));
        };
        let bit = letter_bit(letter);
        if seen & bit != 0 {
            return Err(refusal(FlagFault::Duplicate));
        }
        seen |= bit;
        count += 1;
        match rule {
            TokenRule::None if letter == b'b' && !decodes(key) => {
                wrong = Some(refusal(FlagFault::KeyNotBase64));
            }
            TokenRule::None | TokenRule::Text => {}
            TokenRule::Opaque => {
                if flag.token.len() > MAX_OPAQUE && late.is_none() {
                    late = Some(refusal(FlagFault::OpaqueTooLong));
                }
            }
            TokenRule::Seconds => {
                if number::signed_32(flag.token).is_none() {
                    wrong = Some(refusal(FlagFault::BadNumber));
                }
            }
            TokenRule::Unsigned32 => {
                // memcached keeps the message of an earlier fault.
                if wrong.is_none() && number::unsigned_32(flag.token).is_none() {
                    wrong = Some(refusal(FlagFault::BadNumber));
                }
            }
            TokenRule::Unsigned64 => {
                if flag.unsigned().is_none() {
                    wrong = Some(refusal(FlagFault::BadNumber));
                }
            }
            TokenRule::Mode => {
                if !command_has_mode(command, flag.token) {
                    late = Some(refusal(FlagFault::UnknownMode));
                }
            }
        }
    }
    match wrong.or(late) {
        None => Ok(Checked { count, quiet: seen & letter_bit(b'q') != 0 }),
        Some(refusal) => Err(refusal),
    }
}

/// Whether the command knows the mode that an `M` token names; one without modes takes any.
fn command_has_mode(command: Command, token: &[u8]) -> bool {
    match command {
        Command::MetaSet => SetMode::of_token(token).is_some(),
        Command::MetaArithmetic => ArithmeticMode::of_token(token).is_some(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(flags: &[u8], command: Command) -> Option<(u8, FlagFault)> {
        check(b"key", MetaFlags::new(flags), command).err().map(|found| (found.letter, found.fault))
    }

    #[test]
    fn the_fault_that_memcached_reports() {
        use Command::{MetaArithmetic as Ma, MetaGet as Mg, MetaSet as Ms};
        use FlagFault::{BadNumber, Duplicate, KeyNotBase64, OpaqueTooLong, Unknown, UnknownMode};
        let long = [b'O'; 33];
        let long_and_mode = [&long[..], b" MX"].concat();
        for (flags, command, expected) in [
            (&b"v t k"[..], Mg, None),
            (b"Txx v v", Mg, Some((b'v', Duplicate))),
            (b"Txx !", Mg, Some((b'!', Unknown))),
            (b"\x80", Mg, Some((0x80, Unknown))),
            (b"W", Mg, Some((b'W', Unknown))),
            (b"Jx Dx", Mg, Some((b'D', BadNumber))),
            (b"Tx Fx", Mg, Some((b'T', BadNumber))),
            (b"F", Mg, Some((b'F', BadNumber))),
            (b"b", Mg, Some((b'b', KeyNotBase64))),
            (b"MX", Mg, None),
            (b"T+1", Mg, Some((b'T', BadNumber))),
            (b"T2147483648", Mg, Some((b'T', BadNumber))),
            (b"F4294967296", Ms, Some((b'F', BadNumber))),
            (b"C18446744073709551615", Ms, None),
            (b"M", Mg, None),
            (b"M", Ms, Some((b'M', UnknownMode))),
            (b"MX", Ms, Some((b'M', UnknownMode))),
            (b"Ms", Ms, Some((b'M', UnknownMode))),
            (b"MSET", Ms, None),
            (b"ME", Ma, Some((b'M', UnknownMode))),
            (b"M+", Ma, None),
            (b"MINCR", Ma, None),
            (b"Mincr", Ma, Some((b'M', UnknownMode))),
            (&long[1..], Mg, None),
            (&long, Mg, Some((b'O', OpaqueTooLong))),
            (&long_and_mode, Ms, Some((b'M', UnknownMode))),
        ] {
            assert_eq!(fault(flags, command), expected, "{}", flags.escape_ascii());
        }
    }
}
