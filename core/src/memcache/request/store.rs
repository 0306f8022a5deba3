//! Lines with a data block: the storage commands, and the `set` that authenticates.

use super::arguments::{Refused, Words, check_key, refused, refused_quietly};
use super::parse::fault_or_http;
use super::{BLOCK_END, Fault, Line, Request, RequestError, Store};
use crate::Limits;
use crate::memcache::command::Command;
use crate::memcache::{Dialect, Keys, key, line, number};

/// The longest block of user and password.
const CREDENTIALS_MOST: usize = 2048;

/// `set <key> <flags> <exptime> <bytes> [noreply]`: a fifth argument may be any word, but only
/// `noreply` means something.
pub(super) fn store<'a>(
    command: Command,
    words: &Words<'a>,
    limits: &Limits,
) -> Result<Line<'a>, Refused> {
    words.want(4, 5)?;
    let noreply = words.noreply();
    let [key, flags, exptime, length, ..] = words.first;
    let (store, length) = check_key(key, limits)
        .and_then(|()| item(key, flags, exptime, length, noreply))
        .map_err(|fault| refused_quietly(fault, noreply))?;
    let request = match command {
        Command::Add => Request::Add(store),
        Command::Replace => Request::Replace(store),
        Command::Append => Request::Append(store),
        Command::Prepend => Request::Prepend(store),
        _ => Request::Set(store),
    };
    with_block(request, length, limits)
}

/// `cas <key> <flags> <exptime> <bytes> <cas unique> [noreply]`
pub(super) fn cas<'a>(words: &Words<'a>, limits: &Limits) -> Result<Line<'a>, Refused> {
    words.want(5, 6)?;
    let noreply = words.noreply();
    let [key, flags, exptime, length, unique, _] = words.first;
    let (store, length, unique) = check_key(key, limits)
        .and_then(|()| item(key, flags, exptime, length, noreply))
        .and_then(|(store, length)| {
            let unique = number::unsigned_64(unique).ok_or(Fault::BadNumber)?;
            Ok((store, length, unique))
        })
        .map_err(|fault| refused_quietly(fault, noreply))?;
    with_block(Request::Cas { store, unique }, length, limits)
}

/// The item that a line describes, and the length of its value.
pub(super) fn item<'a>(
    key: &'a [u8],
    flags: &[u8],
    exptime: &[u8],
    length: &[u8],
    noreply: bool,
) -> Result<(Store<'a>, usize), Fault> {
    let flags = number::unsigned_32(flags).ok_or(Fault::BadNumber)?;
    let exptime = number::signed_64(exptime).ok_or(Fault::BadNumber)?;
    let length = number::length(length).ok_or(Fault::BadNumber)?;
    Ok((Store { key, flags, exptime, noreply }, length))
}

/// The request and its block, unless that is too large.
pub(super) fn with_block<'a>(
    request: Request<'a>,
    length: usize,
    limits: &Limits,
) -> Result<Line<'a>, Refused> {
    if length > limits.value {
        let block = length + BLOCK_END.len();
        let noreply = request.noreply();
        return Err(Refused { fault: Fault::ValueTooLarge { length }, noreply, block });
    }
    Ok(Line { request, data: Some(length) })
}

/// Parses the line of a `set` that authenticates (protocol.txt, "Authentication"), given with its
/// newline: the length of the block. Key, flags and exptime may be anything, and `noreply` means
/// nothing.
pub(crate) fn parse_credentials_line(line: &[u8]) -> Result<usize, RequestError> {
    let refuse =
        |fault, block| Err(RequestError::new(fault, Dialect::Memcached, false, line.len() + block));
    let text = line::text(line);
    let mut rest = Keys::of_line(text);
    let verb = rest.next();
    let words = Words::of(rest);
    let [_, _, _, length, ..] = words.first;
    match number::length(length) {
        Some(length) if verb == Some(b"set") && words.count >= 4 => {
            if length > CREDENTIALS_MOST {
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
pub(super) fn delta<'a>(
    command: Command,
    words: &Words<'a>,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    words.want(2, 3)?;
    let noreply = words.noreply();
    let [key, delta, ..] = words.first;
    let delta = check_key(key, limits)
        .and_then(|()| number::unsigned_64(delta).ok_or(Fault::BadDelta))
        .map_err(|fault| refused_quietly(fault, noreply))?;
    Ok(match command {
        Command::Decr => Request::Decr { key, delta, noreply },
        _ => Request::Incr { key, delta, noreply },
    })
}

/// `<key> <exptime> [noreply]`
pub(super) fn touch<'a>(words: &Words<'a>, limits: &Limits) -> Result<Request<'a>, Refused> {
    words.want(2, 3)?;
    let noreply = words.noreply();
    let [key, exptime, ..] = words.first;
    let exptime = check_key(key, limits)
        .and_then(|()| number::signed_64(exptime).ok_or(Fault::BadExptime))
        .map_err(|fault| refused_quietly(fault, noreply))?;
    Ok(Request::Touch { key, exptime, noreply })
}

/// `delete <key> [0] [noreply]`: the 0 is what is left of a time that old servers took.
pub(super) fn delete<'a>(words: &Words<'a>, limits: &Limits) -> Result<Request<'a>, Refused> {
    let [key, second, third, ..] = words.first;
    let (noreply, legal) = match words.count {
        1 => (false, true),
        2 => (second == b"noreply", second == b"0" || second == b"noreply"),
        3 => (third == b"noreply", second == b"0" && third == b"noreply"),
        _ => return Err(refused(Fault::ArgumentCount)),
    };
    if !legal {
        return Err(refused_quietly(Fault::BadDelete, noreply));
    }
    check_key(key, limits).map_err(|fault| refused_quietly(fault, noreply))?;
    Ok(Request::Delete { key, noreply })
}
