//! Lines of administrative commands.

use super::arguments::{Refused, Words, refused_quietly};
use super::{RequestFault, RequestSpans, ShutdownMode};
use crate::memcache::Limits;
use crate::memcache::command::Command;
use crate::memcache::span::{Scanner, Span};
use crate::memcache::{Dialect, key, number};

/// `<level> [noreply]`
pub(super) fn level(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    number_of_32_bits(&Words::of(scanner), RequestFault::BadNumber, spans)
}

/// `<megabytes> [noreply]`
pub(super) fn megabytes(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    number_of_32_bits(&Words::of(scanner), RequestFault::BadMegabytes, spans)
}

fn number_of_32_bits(
    words: &Words<'_>,
    otherwise: RequestFault,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.noreply = words.noreply();
    match number::unsigned_32(words.word(0)) {
        Some(number) => {
            spans.unsigned = u64::from(number);
            Ok(())
        }
        None => Err(refused_quietly(otherwise, spans.noreply)),
    }
}

/// `[delay] [noreply]`
pub(super) fn delay(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = Words::of(scanner);
    spans.noreply = words.noreply();
    if words.count() == usize::from(spans.noreply) {
        return Ok(());
    }
    match number::signed_32(words.word(0)) {
        Some(delay) => {
            (spans.signed, spans.option) = (i64::from(delay), true);
            Ok(())
        }
        None => Err(refused_quietly(RequestFault::BadExptime, spans.noreply)),
    }
}

/// `[word…]`, of `stats`
#[expect(clippy::unnecessary_wraps, reason = "a parser as the table takes it")]
pub(super) fn words(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.rest = scanner.trimmed();
    spans.option = is_without_end(spans.rest.of(scanner.text()), dialect);
    Ok(())
}

/// `[graceful]`
#[expect(clippy::unnecessary_wraps, reason = "a parser as the table takes it")]
pub(super) fn shutdown(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.rest = scanner.trimmed();
    Ok(())
}

/// Whether memcached sends no `END` behind these statistics: it forgets it where their sizes are
/// switched on or off.
pub(crate) fn is_without_end(arguments: &[u8], dialect: Dialect) -> bool {
    !dialect.is_queue() && matches!(arguments, b"sizes_enable" | b"sizes_disable")
}

/// `[word…] [noreply]`
#[expect(clippy::unnecessary_wraps, reason = "a parser as the table takes it")]
pub(super) fn admin(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let text = scanner.text();
    spans.rest = scanner.trimmed();
    let command = spans.command();
    spans.option = command == Command::LruCrawler && is_dump(spans.rest.of(text));
    if command != Command::Watch
        && let Some(before) = without_noreply(spans.rest.of(text))
    {
        let start = spans.rest.start();
        spans.rest = Span::new(start, start + before.len());
        spans.noreply = true;
    }
    Ok(())
}

/// Whether these arguments of `lru_crawler` ask for a list of items.
pub(crate) fn is_dump(arguments: &[u8]) -> bool {
    matches!(key::words(arguments).next(), Some(b"metadump" | b"mgdump"))
}

/// Whether every memcached looks for a `noreply` at the end of these arguments. 1.6.18 does not behind
/// all of them, and answers.
pub(super) fn is_noreply_known(command: Command, arguments: &[u8]) -> bool {
    match command {
        Command::Slabs => key::words(arguments).next() == Some(b"automove"),
        Command::LruCrawler | Command::Watch => false,
        _ => true,
    }
}

/// What stands before a last word `noreply`, without the spaces between.
fn without_noreply(arguments: &[u8]) -> Option<&[u8]> {
    let mut before = arguments.strip_suffix(b"noreply")?;
    if !before.is_empty() && !before.ends_with(b" ") {
        return None;
    }
    while let [rest @ .., b' '] = before {
        before = rest;
    }
    Some(before)
}

/// The argument of memcached's `shutdown`.
pub(crate) fn shutdown_mode(argument: &[u8]) -> ShutdownMode<'_> {
    match argument {
        b"" => ShutdownMode::Now,
        b"graceful" => ShutdownMode::Graceful,
        mode => ShutdownMode::Unknown(mode),
    }
}
