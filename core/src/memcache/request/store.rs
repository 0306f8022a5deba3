//! Lines with a data block: the storage commands, and the `set` that authenticates.

use super::arguments::{Plain, Refused, Words, check_key, refused, refused_quietly};
use super::parse::fault_or_http;
use super::{BLOCK_END, Fault, RequestError, RequestSpans};
use crate::memcache::Limits;
use crate::memcache::span::Scanner;
use crate::memcache::{Dialect, key, line, number};

/// The longest block of user and password.
const MAX_CREDENTIALS: usize = 2048;

/// `set <key> <flags> <exptime> <bytes> [noreply]`: a fifth argument may be any word, but only
/// `noreply` means something.
#[inline]
pub(super) fn store(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    if let Some(Plain { key, numbers: [flags, exptime, length], noreply }) =
        Plain::read(scanner, limits)
        && let Ok(exptime) = i64::try_from(exptime)
        && let Ok(length) = u32::try_from(length)
        && length <= number::MAX_LENGTH
    {
        (spans.key, spans.noreply) = (key, noreply);
        spans.client_flags = number::low_32(flags);
        (spans.signed, spans.length) = (exptime, length);
        return Ok(());
    }
    let words = &Words::of(scanner);
    words.want(4, 5)?;
    let noreply = words.noreply();
    spans.noreply = noreply;
    check_key(words.span(0), limits)
        .and_then(|()| item(words, spans))
        .map_err(|fault| refused_quietly(fault, noreply))
}

/// `cas <key> <flags> <exptime> <bytes> <cas unique> [noreply]`
pub(super) fn cas(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    words.want(5, 6)?;
    let noreply = words.noreply();
    spans.noreply = noreply;
    check_key(words.span(0), limits)
        .and_then(|()| item(words, spans))
        .and_then(|()| {
            spans.unsigned = number::unsigned_64(words.word(4)).ok_or(Fault::BadNumber)?;
            Ok(())
        })
        .map_err(|fault| refused_quietly(fault, noreply))
}

/// `<key> <flags> <exptime> <bytes>`: the item that a line describes, and the length of its value.
#[inline]
pub(super) fn item(words: &Words<'_>, spans: &mut RequestSpans) -> Result<(), Fault> {
    spans.key = words.span(0);
    spans.client_flags = number::unsigned_32(words.word(1)).ok_or(Fault::BadNumber)?;
    spans.signed = number::signed_64(words.word(2)).ok_or(Fault::BadNumber)?;
    spans.length = number::length(words.word(3)).ok_or(Fault::BadNumber)?;
    Ok(())
}

/// Parses the line of a `set` that authenticates (protocol.txt, "Authentication"), given with its
/// newline: the length of the block. Key, flags and exptime may be anything, and `noreply` means
/// nothing.
pub(crate) fn parse_credentials_line(line: &[u8]) -> Result<usize, RequestError> {
    let refuse =
        |fault, block| Err(RequestError::new(fault, Dialect::Memcached, false, line.len() + block));
    let text = line::text(line);
    let mut scanner = Scanner::new(text);
    let verb = scanner.word().map(|verb| verb.of(text));
    let words = Words::of(&mut scanner);
    match number::length(words.word(3)) {
        Some(length) if verb == Some(b"set") && words.count() >= 4 => {
            let length = length as usize;
            if length > MAX_CREDENTIALS {
                return refuse(Fault::BadCredentials, length + BLOCK_END.len());
            }
            Ok(length)
        }
        _ => refuse(fault_or_http(Fault::Unauthenticated, text), 0),
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
    if let Some(Plain { key, numbers: [delta], noreply }) = Plain::read(scanner, limits) {
        (spans.key, spans.unsigned, spans.noreply) = (key, delta, noreply);
        return Ok(());
    }
    let words = Words::of(scanner);
    words.want(2, 3)?;
    spans.key = words.span(0);
    spans.noreply = words.noreply();
    check_key(spans.key, limits)
        .and_then(|()| number::unsigned_64(words.word(1)).ok_or(Fault::BadDelta))
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
    words.want(2, 3)?;
    spans.key = words.span(0);
    spans.noreply = words.noreply();
    check_key(spans.key, limits)
        .and_then(|()| number::signed_64(words.word(1)).ok_or(Fault::BadExptime))
        .map(|exptime| spans.signed = exptime)
        .map_err(|fault| refused_quietly(fault, spans.noreply))
}

/// `delete <key> [0] [noreply]`: the 0 is what is left of a time that old servers took.
pub(super) fn delete(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    let (second, third) = (words.word(1), words.word(2));
    let (noreply, legal) = match words.count() {
        1 => (false, true),
        2 => (second == b"noreply", second == b"0" || second == b"noreply"),
        3 => (third == b"noreply", second == b"0" && third == b"noreply"),
        _ => return Err(refused(Fault::ArgumentCount)),
    };
    if !legal {
        return Err(refused_quietly(Fault::BadDelete, noreply));
    }
    (spans.key, spans.noreply) = (words.span(0), noreply);
    check_key(spans.key, limits).map_err(|fault| refused_quietly(fault, noreply))
}
