//! Lines of the queue dialects.

use super::arguments::{Refused, Words, check_key, refused};
use super::store::{item, with_block};
use super::{Fault, Line, Request};
use crate::Limits;
use crate::memcache::command::Command;
use crate::memcache::kestrel::{self, QueueRead};
use crate::memcache::{Dialect, Keys, number};

pub(super) fn read<'a>(
    words: &Words<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    words.want(1, 1)?;
    let [key, ..] = words.first;
    let read = QueueRead::parse_in(key, dialect).map_err(|error| refused(Fault::Read(error)))?;
    check_key(read.queue, limits).map_err(refused)?;
    Ok(Request::QueueRead(read))
}

/// Kestrel wants four arguments and does not look at further ones.
pub(super) fn store<'a>(
    words: &Words<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Line<'a>, Refused> {
    let [name, flags, exptime, length, ..] = words.first;
    let knows_sync = dialect.queue_rules().is_some_and(|rules| rules.sync);
    let (name, sync) = if knows_sync { split_sync(name) } else { (name, false) };
    if words.count == 0 {
        return Err(refused(Fault::ArgumentCount));
    }
    check_name(name, dialect, limits)?;
    if words.count < 4 {
        return Err(refused(Fault::ArgumentCount));
    }
    let (store, length) = item(name, flags, exptime, length, false).map_err(refused)?;
    with_block(if sync { Request::SetSync(store) } else { Request::Set(store) }, length, limits)
}

/// darner's `set` takes `/sync`, once or more.
fn split_sync(mut name: &[u8]) -> (&[u8], bool) {
    let mut sync = false;
    while let Some((before, option)) =
        name.len().checked_sub(5).and_then(|at| name.split_at_checked(at))
    {
        if !option.eq_ignore_ascii_case(b"/sync") {
            break;
        }
        (name, sync) = (before, true);
    }
    (name, sync)
}

/// The queue that is named first; kestrel does not look at what follows.
pub(super) fn queue<'a>(
    command: Command,
    words: &Words<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    let queue = name(words, dialect, limits)?;
    Ok(match command {
        Command::Delete => Request::Delete { key: queue, noreply: false },
        Command::FlushExpired => Request::FlushExpired { queue },
        Command::Roll => Request::Roll { queue },
        _ => Request::Flush { queue },
    })
}

/// `<queue> <seconds> [max]`
pub(super) fn monitor<'a>(
    words: &Words<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    let queue = name(words, dialect, limits)?;
    words.want(2, 3)?;
    let [_, seconds, max, ..] = words.first;
    let seconds = count(seconds)?;
    let max = if words.count == 3 { Some(count(max)?) } else { None };
    Ok(Request::Monitor { queue, seconds, max })
}

/// `<queue> <count>`
pub(super) fn confirm<'a>(
    words: &Words<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    let queue = name(words, dialect, limits)?;
    words.want(2, 2)?;
    let [_, reads, ..] = words.first;
    Ok(Request::Confirm { queue, count: count(reads)? })
}

/// `[queue…]`
pub(super) fn queues<'a>(
    command: Command,
    rest: Keys<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    for queue in rest.clone() {
        check_name(queue, dialect, limits)?;
    }
    Ok(match command {
        Command::DumpConfig => Request::DumpConfig { queues: rest },
        _ => Request::DumpStats { queues: rest },
    })
}

/// A whole number that kestrel reads into a signed 32-bit integer; one below 0 is refused.
fn count(word: &[u8]) -> Result<u32, Refused> {
    number::decimal(word)
        .and_then(|number| i32::try_from(number).ok())
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| refused(Fault::BadNumber))
}

fn name<'a>(words: &Words<'a>, dialect: Dialect, limits: &Limits) -> Result<&'a [u8], Refused> {
    if words.count == 0 {
        return Err(refused(Fault::ArgumentCount));
    }
    let [name, ..] = words.first;
    check_name(name, dialect, limits)?;
    Ok(name)
}

fn check_name(name: &[u8], dialect: Dialect, limits: &Limits) -> Result<(), Refused> {
    kestrel::check_queue_in(name, dialect).map_err(|error| refused(Fault::QueueName(error)))?;
    check_key(name, limits).map_err(refused)
}
