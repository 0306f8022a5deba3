//! Lines of meta commands.

use super::arguments::{Refused, check_key, refused};
use super::{BLOCK_END, Fault, RequestSpans};
use crate::memcache::Limits;
use crate::memcache::command::Command;
use crate::memcache::meta::{self, Checked, FlagFault, MetaFlags, MetaRequest, Refusal};
use crate::memcache::span::{Scanner, Span};
use crate::memcache::{Dialect, number};

/// memcached takes so many words on the line of a meta command, its verb among them.
const MAX_WORDS: usize = 19;

/// `<key> <flag>*`
pub(super) fn flags(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.key = key(scanner, limits, Fault::ArgumentCount)?;
    spans.rest = scanner.rest_span();
    let request = MetaRequest::new(spans.key.of(scanner.text()), MetaFlags::new(scanner.rest()));
    let checked = check_all(spans.command(), request, 2).map_err(refused)?;
    spans.quiet = checked.quiet;
    Ok(())
}

/// `<key> <datalen> <flag>*`: once the length is known, what is wrong with the flags takes the block
/// with it.
pub(super) fn store(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.key = key(scanner, limits, Fault::ArgumentCount)?;
    let length = length(scanner)?;
    spans.rest = scanner.rest_span();
    let request = MetaRequest::new(spans.key.of(scanner.text()), MetaFlags::new(scanner.rest()));
    match (check_all(Command::MetaSet, request, 3), length) {
        (Ok(checked), Some(length)) => {
            (spans.quiet, spans.length) = (checked.quiet, length);
            Ok(())
        }
        (Err(fault @ Fault::TooManyFlags { .. }), _) => Err(refused(fault)),
        (_, None) => Err(refused(Fault::BadNumber)),
        (Err(fault), Some(length)) => {
            let block = length as usize + BLOCK_END.len();
            Err(Refused { fault, noreply: false, block })
        }
    }
}

/// The length of a block; `None` for a word that is none.
#[inline]
fn length(scanner: &mut Scanner<'_>) -> Result<Option<u32>, Refused> {
    // As clients write it.
    let mut plain = scanner.clone();
    if let Some(length) = plain.number()
        && let Ok(length) = u32::try_from(length)
        && length <= number::MAX_LENGTH
    {
        *scanner = plain;
        return Ok(Some(length));
    }
    let word = scanner.word().ok_or_else(|| refused(Fault::BadNumber))?;
    Ok(number::length(word.of(scanner.text())))
}

/// `<key> [b]`: a flag in another place is ignored, and so is every other flag.
pub(super) fn debug(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let text = scanner.text();
    spans.key = key(scanner, limits, Fault::NoKey)?;
    spans.option = scanner.word().is_some_and(|flag| flag.of(text) == b"b");
    if spans.option && !meta::decodes(spans.key.of(text)) {
        return Err(refused(Fault::Flag {
            command: Command::MetaDebug,
            letter: b'b',
            fault: FlagFault::KeyNotBase64,
        }));
    }
    Ok(())
}

/// The key, which is to be there.
#[inline]
fn key(scanner: &mut Scanner<'_>, limits: &Limits, missing: Fault) -> Result<Span, Refused> {
    let key = scanner.word().ok_or_else(|| refused(missing))?;
    check_key(key, limits).map_err(refused)?;
    Ok(key)
}

/// Checks the flags of a request, their number first; `before` words stand before them.
#[inline]
pub(super) fn check_all(
    command: Command,
    request: MetaRequest<'_>,
    before: usize,
) -> Result<Checked, Fault> {
    match meta::check(request.key, request.flags, command) {
        Ok(checked) if checked.count + before <= MAX_WORDS => Ok(checked),
        checked => Err(fault(command, request, before, checked.err())),
    }
}

/// What is wrong with flags that are not all right: too many of them are refused whatever they are.
#[cold]
fn fault(
    command: Command,
    request: MetaRequest<'_>,
    before: usize,
    refusal: Option<Refusal>,
) -> Fault {
    match refusal {
        Some(Refusal { letter, fault })
            if request.flags.iter().take(MAX_WORDS).count() + before <= MAX_WORDS =>
        {
            Fault::Flag { command, letter, fault }
        }
        _ => Fault::TooManyFlags { command },
    }
}
