//! Lines of the queue dialects.

use super::arguments::{Refused, Words, check_key, refused};
use super::store::{self, item};
use super::{RequestFault, RequestSpans};
use crate::memcache::Limits;
use crate::memcache::kestrel::{self, QueueRead};
use crate::memcache::span::{Scanner, Span};
use crate::memcache::{Dialect, number};

/// `<queue>[/option…]`
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    words.want_between(1, 1)?;
    let read = QueueRead::parse_in(words.word(0), dialect)
        .map_err(|error| refused(RequestFault::Read(error)))?;
    let start = words.span(0).start();
    // The word begins with the queue; a group stands behind one byte, the separator.
    let end = start + read.queue.len();
    spans.key = Span::new(start, end);
    if let Some(group) = read.group {
        spans.rest = Span::new(end + 1, end + 1 + group.len());
    }
    spans.mode = read.mode;
    if let Some(timeout) = read.timeout {
        // The parser takes less than 2^31 of them.
        spans.unsigned = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        spans.option = true;
    }
    check_key(spans.key, limits).map_err(refused)
}

/// Kestrel wants four arguments and does not look at further ones.
pub(super) fn store(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    // What memcached takes means the same here, but for the last word; it has one pass for lines as clients write them.
    let is_plain = store::store(&mut scanner.clone(), dialect, limits, spans).is_ok();
    spans.noreply = false;
    if is_plain {
        return store_in(scanner.text(), spans.key, dialect, limits, spans);
    }
    let words = &Words::of(scanner);
    if words.count() == 0 {
        return Err(refused(RequestFault::ArgumentCount));
    }
    store_in(scanner.text(), words.span(0), dialect, limits, spans)?;
    if words.count() < 4 {
        return Err(refused(RequestFault::ArgumentCount));
    }
    let queue = spans.key;
    item(words, spans).map_err(refused)?;
    spans.key = queue;
    spans.length = number::storage_exptime(words.word(3))
        .and_then(|length| u32::try_from(length).ok())
        .filter(|&length| length <= number::MAX_LENGTH)
        .ok_or_else(|| refused(RequestFault::BadNumber))?;
    Ok(())
}

/// The queue that is stored to, by the name on the line.
fn store_in(
    line: &[u8],
    name: Span,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let text = name.of(line);
    let knows_sync = dialect.queue_rules().is_some_and(|rules| rules.sync);
    let queue = if knows_sync { without_sync(text) } else { text };
    spans.key = Span::new(name.start(), name.start() + queue.len());
    spans.option = queue.len() < text.len();
    check_name(queue, spans.key, dialect, limits)
}

/// darner's `set` takes `/sync`, once or more.
fn without_sync(mut name: &[u8]) -> &[u8] {
    while let Some((before, option)) =
        name.len().checked_sub(5).and_then(|at| name.split_at_checked(at))
        && option.eq_ignore_ascii_case(b"/sync")
    {
        name = before;
    }
    name
}

/// The queue that is named first; kestrel does not look at what follows.
pub(super) fn queue(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    first_queue(&Words::of(scanner), dialect, limits, spans)
}

fn first_queue(
    words: &Words<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    if words.count() == 0 {
        return Err(refused(RequestFault::ArgumentCount));
    }
    spans.key = words.span(0);
    check_name(words.word(0), spans.key, dialect, limits)
}

/// `<queue> <seconds> [max]`
pub(super) fn monitor(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    first_queue(words, dialect, limits, spans)?;
    words.want_between(2, 3)?;
    spans.unsigned = u64::from(count(words.word(1))?);
    spans.option = words.count() == 3;
    if spans.option {
        spans.signed = i64::from(count(words.word(2))?);
    }
    Ok(())
}

/// `<queue> <count>`
pub(super) fn confirm(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = &Words::of(scanner);
    first_queue(words, dialect, limits, spans)?;
    words.want_between(2, 2)?;
    spans.unsigned = u64::from(count(words.word(1))?);
    Ok(())
}

/// `[queue…]`
pub(super) fn queues(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.rest = scanner.rest_span();
    while let Some(queue) = scanner.word() {
        check_name(queue.of(scanner.text()), queue, dialect, limits)?;
    }
    Ok(())
}

/// `[word]`; further ones are not looked at.
#[expect(clippy::unnecessary_wraps, reason = "a parser as the table takes it")]
pub(super) fn optional_word(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    _: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.key = scanner.word().unwrap_or_default();
    Ok(())
}

/// A whole number that kestrel reads into a signed 32-bit integer; one below 0 is refused.
fn count(word: &[u8]) -> Result<u32, Refused> {
    number::decimal(word)
        .and_then(|number| i32::try_from(number).ok())
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| refused(RequestFault::BadNumber))
}

fn check_name(name: &[u8], span: Span, dialect: Dialect, limits: &Limits) -> Result<(), Refused> {
    kestrel::check_queue_in(name, dialect)
        .map_err(|error| refused(RequestFault::QueueName(error)))?;
    check_key(span, limits).map_err(refused)
}
