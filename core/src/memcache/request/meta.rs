//! Lines of meta commands.

use super::arguments::{Refused, check_key, refused};
use super::store::with_block;
use super::{BLOCK_END, Fault, Line, Request};
use crate::Limits;
use crate::memcache::command::Command;
use crate::memcache::meta::{self, FlagFault, MetaFlags, MetaRequest, Refusal};
use crate::memcache::{Keys, number};

/// memcached takes so many words on the line of a meta command, its verb among them.
const WORDS_MOST: usize = 19;

/// `<key> <flag>*`
pub(super) fn flags<'a>(
    command: Command,
    rest: Keys<'a>,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    let request = key_and_flags(command, rest, 2, limits)?;
    check(command, request).map_err(refused)?;
    Ok(match command {
        Command::MetaDelete => Request::MetaDelete(request),
        Command::MetaArithmetic => Request::MetaArithmetic(request),
        _ => Request::MetaGet(request),
    })
}

/// `<key> <datalen> <flag>*`: once the length is known, what is wrong with the flags swallows the
/// block.
pub(super) fn store<'a>(mut rest: Keys<'a>, limits: &Limits) -> Result<Line<'a>, Refused> {
    let key = rest.next().ok_or_else(|| refused(Fault::ArgumentCount))?;
    check_key(key, limits).map_err(refused)?;
    let length = rest.next().ok_or_else(|| refused(Fault::BadNumber))?;
    count(Command::MetaSet, rest.clone(), 3)?;
    let length = number::length(length).ok_or_else(|| refused(Fault::BadNumber))?;
    let request = MetaRequest::new(key, MetaFlags::new(rest.remainder()));
    check(Command::MetaSet, request).map_err(|fault| Refused {
        fault,
        noreply: false,
        block: length + BLOCK_END.len(),
    })?;
    with_block(Request::MetaSet(request), length, limits)
}

/// `<key> [b]`: a flag in another place is ignored, and so is every other flag.
pub(super) fn debug<'a>(mut rest: Keys<'a>, limits: &Limits) -> Result<Request<'a>, Refused> {
    let key = rest.next().ok_or_else(|| refused(Fault::NoKey))?;
    check_key(key, limits).map_err(refused)?;
    let base64 = rest.next() == Some(b"b");
    if base64 && !meta::decodes(key) {
        return Err(refused(Fault::Flag {
            command: Command::MetaDebug,
            letter: b'b',
            fault: FlagFault::KeyNotBase64,
        }));
    }
    Ok(Request::MetaDebug { key, base64 })
}

fn key_and_flags<'a>(
    command: Command,
    mut rest: Keys<'a>,
    before: usize,
    limits: &Limits,
) -> Result<MetaRequest<'a>, Refused> {
    let key = rest.next().ok_or_else(|| refused(Fault::ArgumentCount))?;
    check_key(key, limits).map_err(refused)?;
    count(command, rest.clone(), before)?;
    Ok(MetaRequest::new(key, MetaFlags::new(rest.remainder())))
}

/// Refuses too many flags; `before` words stand before them.
fn count(command: Command, flags: Keys<'_>, before: usize) -> Result<(), Refused> {
    if flags.take(WORDS_MOST).count() + before > WORDS_MOST {
        return Err(refused(Fault::TooManyFlags { command }));
    }
    Ok(())
}

/// Everything that is checked of the flags of a request; `before` words stand before them.
pub(super) fn check_all(
    command: Command,
    request: MetaRequest<'_>,
    before: usize,
) -> Result<(), Fault> {
    count(command, Keys::of_line(request.flags.text()), before)
        .map_err(|refused| refused.fault)
        .and_then(|()| check(command, request))
}

fn check(command: Command, request: MetaRequest<'_>) -> Result<(), Fault> {
    meta::check(request.key, request.flags, command)
        .map_err(|Refusal { letter, fault }| Fault::Flag { command, letter, fault })
}
