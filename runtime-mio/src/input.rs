//! What is known of a socket that is read when events are told once.

use std::io::{self, Read};

use mio::event::Event;

/// What is read at least, whatever the buffer offers: a read of nothing would look like the end of
/// the stream.
const READ_LEAST: usize = 64;
/// A read that is not filled has emptied the socket, and what comes later is told again. So it is
/// where mio asks the operating system for edges; elsewhere only a failed read leads to new events.
const SHORT_READ_EMPTIES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd",
));

/// What a socket has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Nothing, until an event comes.
    Nothing,
    /// Something.
    Some,
    /// Something, and the end or an error behind it: no further event will tell of that.
    Last,
    /// The end, which was told.
    Ended,
}

impl Input {
    /// Notes what an event tells.
    pub(crate) fn note(&mut self, event: &Event) {
        let is_last = event.is_read_closed() || event.is_error();
        match self {
            Self::Nothing | Self::Some if is_last => *self = Self::Last,
            Self::Nothing if event.is_readable() => *self = Self::Some,
            _ => {}
        }
    }

    /// Whether a read is worth its while.
    pub(crate) fn is_there(self) -> bool {
        matches!(self, Self::Some | Self::Last)
    }

    /// Reads once, into the front of `scratch`: no more than a buffer takes that has so much spare,
    /// which is how its owner counts his bounds. `None` says that nothing is there until an event
    /// comes, and no bytes that the stream has ended.
    pub(crate) fn read<'a>(
        &mut self,
        stream: &mut impl Read,
        spare: usize,
        scratch: &'a mut [u8],
    ) -> io::Result<Option<&'a [u8]>> {
        let most = spare.max(READ_LEAST).min(scratch.len());
        loop {
            match stream.read(scratch.get_mut(..most).unwrap_or_default()) {
                Ok(n) => {
                    if n == 0 {
                        *self = Self::Ended;
                    } else if SHORT_READ_EMPTIES && n < most && *self == Self::Some {
                        *self = Self::Nothing;
                    }
                    return Ok(Some(scratch.get(..n).unwrap_or_default()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    *self = Self::Nothing;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
