//! Lines with a data block: the storage commands, and the `set` that authenticates.

use super::arguments::{Plain, Refused, Words, check_key, refused, refused_quietly};
use super::parse::fault_or_http;
use super::{BLOCK_END, RequestError, RequestFault, RequestSpans};
use crate::memcache::Limits;
use crate::memcache::span::Scanner;
use crate::memcache::{Dialect, key, line, number};

/// The longest block of user and password.
const MAX_CREDENTIALS: usize = 16_384;

/// `set <key> <flags> <exptime> <bytes> [noreply]`: only the last word may be `noreply`; others behind
/// the length mean nothing.
#[inline]
pub(super) fn store(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    if let Some(Plain { key, numbers: [flags, exptime], last: length, noreply }) =
        Plain::<2, { number::MAX_DIGITS_32 }>::read(scanner, limits)
        && let Ok(exptime) = i64::try_from(exptime)
        && let Ok(length) = u32::try_from(length)
        && length <= number::MAX_LENGTH
    {
        (spans.key, spans.noreply) = (key, noreply);
        spans.client_flags = number::low_32(flags);
        (spans.signed, spans.length) = (exptime, length);
        return Ok(());
    }
    words_of_store(&Words::of(scanner), limits, spans)
}

/// `cas <key> <flags> <exptime> <bytes> <cas unique> [noreply]`
pub(super) fn cas(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    words_of_store(words, limits, spans)?;
    spans.unsigned = number::unsigned_64(words.word(4))
        .ok_or_else(|| with_block(RequestFault::BadNumber, spans))?;
    Ok(())
}

/// Once the length is known, what is wrong with anything else takes the block with it: data never
/// becomes commands.
fn words_of_store(
    words: &Words<'_>,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    words.want(4)?;
    spans.length = number::length(words.word(3)).ok_or_else(|| refused(RequestFault::BadNumber))?;
    spans.noreply = words.noreply();
    check_key(words.span(0), limits)
        .and_then(|()| item(words, spans))
        .map_err(|fault| with_block(fault, spans))
}

/// A fault on a line whose block is known, and dropped with it.
#[cold]
pub(super) fn with_block(fault: RequestFault, spans: &RequestSpans) -> Refused {
    Refused { fault, noreply: spans.noreply, block: spans.length as usize + BLOCK_END.len() }
}

/// `<key> <flags> <exptime>`: the item that a line describes.
#[inline]
pub(super) fn item(words: &Words<'_>, spans: &mut RequestSpans) -> Result<(), RequestFault> {
    spans.key = words.span(0);
    spans.client_flags = number::client_flags(words.word(1)).ok_or(RequestFault::BadNumber)?;
    spans.signed = number::storage_exptime(words.word(2)).ok_or(RequestFault::BadNumber)?;
    Ok(())
}

/// Parses the line of a `set` that authenticates (protocol.txt, "Authentication"), given with its
/// newline: the length of the block. Key, flags and exptime may be anything, and `noreply` means
/// nothing.
pub(crate) fn parse_credentials_line(line: &[u8]) -> Result<usize, RequestError> {
    let refuse = |fault| Err(RequestError::new(fault, None, Dialect::Memcached, false, line.len()));
    let text = line::text(line);
    let mut scanner = Scanner::new(text);
    let is_set = text.starts_with(b"set ");
    scanner.skip(3);
    match number::length(Words::of(&mut scanner).word(3)) {
        Some(length) if is_set => {
            let length = length as usize;
            if length > MAX_CREDENTIALS {
                return refuse(RequestFault::CredentialsTooLong);
            }
            Ok(length)
        }
        _ => refuse(fault_or_http(RequestFault::Unauthenticated, text)),
    }
}

/// The user and the password of a block; `None` where there are not both.
pub(crate) fn split_credentials(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = key::words(block);
    Some((words.next()?, words.next()?))
}

/// `<key> <delta> [noreply]`
pub(super) fn delta(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    if let Some(Plain { key, numbers: [], last: delta, noreply }) =
        Plain::<0, { number::MAX_DIGITS_64 }>::read(scanner, limits)
    {
        (spans.key, spans.unsigned, spans.noreply) = (key, delta, noreply);
        return Ok(());
    }
    let words = Words::of(scanner);
    words.want(2)?;
    spans.key = words.span(0);
    spans.noreply = words.noreply();
    check_key(spans.key, limits)
        .and_then(|()| number::unsigned_64(words.word(1)).ok_or(RequestFault::BadDelta))
        .map(|delta| spans.unsigned = delta)
        .map_err(|fault| refused_quietly(fault, spans.noreply))
}

/// `<key> <exptime> [noreply]`
pub(super) fn touch(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    words.want(2)?;
    spans.key = words.span(0);
    spans.noreply = words.noreply();
    check_key(spans.key, limits)
        .and_then(|()| number::signed_32(words.word(1)).ok_or(RequestFault::BadExptime))
        .map(|exptime| spans.signed = i64::from(exptime))
        .map_err(|fault| refused_quietly(fault, spans.noreply))
}

/// `delete <key> [noreply]`: what stands between them means nothing (old servers took a time).
pub(super) fn delete(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    words.want(1)?;
    spans.key = words.span(0);
    // The only word is the key, whatever it is.
    spans.noreply = words.count() > 1 && words.noreply();
    check_key(spans.key, limits).map_err(|fault| refused_quietly(fault, spans.noreply))
}
