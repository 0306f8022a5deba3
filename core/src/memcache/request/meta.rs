//! Lines of meta commands.

use super::arguments::{MAX_TOKENS, Refused, check_key, refused};
use super::store::with_block;
use super::{RequestFault, RequestSpans};
use crate::memcache::Limits;
use crate::memcache::command::Command;
use crate::memcache::meta::{self, Checked, FlagFault, MetaFlags, MetaRequest, Refusal};
use crate::memcache::span::Scanner;
use crate::memcache::{Dialect, number};

/// memcached takes so many words on the line of a meta command, its verb among them.
const MAX_WORDS: usize = 20;
/// Version 1.6.18 takes no more, and then takes the block of an `ms` for commands.
pub(super) const MAX_WORDS_TO_SEND: usize = 19;

/// `<key> <flag>*`
pub(super) fn flags(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.key = scanner.word().ok_or_else(|| refused(RequestFault::ArgumentCount))?;
    spans.rest = scanner.rest_span();
    let request = MetaRequest::new(spans.key.of(scanner.text()), MetaFlags::new(scanner.rest()));
    let checked = check_key(spans.key, limits)
        .and_then(|()| check_all(spans.command(), request, 2, MAX_WORDS));
    spans.quiet = checked.map_err(|fault| refused(or_no_letter(fault, spans, request, 2)))?.quiet;
    Ok(())
}

/// `<key> <datalen> <flag>*`: once the length is known, what is wrong with anything else takes the block
/// with it. (memcached takes it for commands where a flag is no letter.)
pub(super) fn store(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.key = scanner.word().ok_or_else(|| refused(RequestFault::ArgumentCount))?;
    spans.length = length(scanner).ok_or_else(|| refused(RequestFault::BadNumber))?;
    spans.rest = scanner.rest_span();
    let request = MetaRequest::new(spans.key.of(scanner.text()), MetaFlags::new(scanner.rest()));
    let checked = check_key(spans.key, limits)
        .and_then(|()| check_all(Command::MetaSet, request, 3, MAX_WORDS));
    spans.quiet =
        checked.map_err(|fault| with_block(or_no_letter(fault, spans, request, 3), spans))?.quiet;
    Ok(())
}

/// The length of a block; `None` where there is none.
#[inline]
fn length(scanner: &mut Scanner<'_>) -> Option<u32> {
    // As clients write it.
    let mut plain = scanner.clone();
    if let Some(length) = plain.number::<{ number::MAX_DIGITS_32 }>()
        && let Ok(length) = u32::try_from(length)
        && length <= number::MAX_LENGTH
    {
        *scanner = plain;
        return Some(length);
    }
    let word = scanner.word()?;
    number::length(word.of(scanner.text()))
}

/// `<key> [b]`: a flag in another place is ignored, and so is every other flag.
pub(super) fn debug(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let text = scanner.text();
    spans.key = scanner.word().ok_or_else(|| refused(RequestFault::NoKey))?;
    check_key(spans.key, limits).map_err(refused)?;
    let flags = MetaFlags::new(scanner.rest());
    let wrong = |letter, fault| {
        Err(refused(RequestFault::Flag { command: Command::MetaDebug, letter, fault }))
    };
    if let Some(letter) = no_letter(flags, 2) {
        return wrong(letter, FlagFault::NoLetter);
    }
    spans.option = scanner.word().is_some_and(|flag| flag.of(text) == b"b");
    if spans.option && !meta::decodes(spans.key.of(text)) {
        return wrong(b'b', FlagFault::KeyNotBase64);
    }
    Ok(())
}

/// Checks the flags of a request, their number first; `before` words stand before them, and `most` may
/// be there in all.
#[inline]
pub(super) fn check_all(
    command: Command,
    request: MetaRequest<'_>,
    before: usize,
    most: usize,
) -> Result<Checked, RequestFault> {
    match meta::check(request.key, request.flags, command) {
        Ok(checked) if checked.count + before <= most => Ok(checked),
        checked => Err(fault(command, request, before, most, checked.err())),
    }
}

/// What is wrong with flags that are not all right: too many of them are refused whatever they are.
#[cold]
fn fault(
    command: Command,
    request: MetaRequest<'_>,
    before: usize,
    most: usize,
    refusal: Option<Refusal>,
) -> RequestFault {
    match refusal {
        Some(Refusal { letter, fault })
            if request.flags.iter().take(most).count() + before <= most =>
        {
            RequestFault::Flag { command, letter, fault }
        }
        _ => RequestFault::TooManyFlags { command },
    }
}

/// What is reported of a line with a fault: memcached looks at the letters of its flags before it looks
/// at anything else.
#[cold]
fn or_no_letter(
    fault: RequestFault,
    spans: &RequestSpans,
    request: MetaRequest<'_>,
    before: usize,
) -> RequestFault {
    match no_letter(request.flags, before) {
        Some(letter) => {
            RequestFault::Flag { command: spans.command(), letter, fault: FlagFault::NoLetter }
        }
        None => fault,
    }
}

/// The first flag that begins with neither a letter (as memcached counts them) nor a digit.
fn no_letter(flags: MetaFlags<'_>, before: usize) -> Option<u8> {
    let letters = flags.iter().take(MAX_TOKENS - before).map(|flag| flag.letter);
    letters.into_iter().find(|letter| !matches!(letter, b'A'..=b'z' | b'0'..=b'9'))
}
