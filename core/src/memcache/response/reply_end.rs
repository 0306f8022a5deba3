//! Where a reply ends.

use super::Kind;
use crate::memcache::command::{self, ReplyForm, Row};
use crate::memcache::request::{Request, is_dump, is_without_end};
use crate::memcache::{Dialect, command::Command};

/// Follows one reply, frame by frame, to its end. Both roles need it: which frame is the last
/// depends on the request, and for `monitor` and `watch` on the frames before it. (An error line in
/// the reply to a retrieval of several keys may be one key's: there
/// [`ClientConnection`](crate::memcache::ClientConnection) knows more.)
///
/// ```
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::request::Request;
/// use windhover_core::memcache::response::{Kind, ReplyEnd};
///
/// let monitor = Request::Monitor { queue: b"jobs", seconds: 10, max: None };
/// let mut reply = ReplyEnd::to(&monitor, Dialect::Kestrel);
/// assert!(!reply.ends_with(Kind::Value));
/// assert!(!reply.ends_with(Kind::End)); // of the item
/// assert!(reply.ends_with(Kind::End)); // of the time
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyEnd {
    command: Command,
    form: ReplyForm,
    /// What the arguments say of its end.
    ending: Ending,
    /// The frame before was a `VALUE` or a `STAT`.
    after_item: bool,
}

/// What the arguments of some commands say of the end of their replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing.
    Usual,
    /// `stats sizes_enable` and `stats sizes_disable`: memcached sends no `END`.
    WithoutEnd,
    /// `lru_crawler metadump` and `mgdump`: newer memcached says `OK` before it lists the items.
    BehindOk,
}

impl ReplyEnd {
    /// The reply to that request.
    pub fn to(request: &Request<'_>, dialect: Dialect) -> Self {
        let command = request.command();
        let form = command::row(command, dialect).map_or(ReplyForm::One, |row| row.form);
        let ending = match request {
            Request::Stats { arguments } if is_without_end(arguments, dialect) => {
                Ending::WithoutEnd
            }
            Request::Admin { command: Command::LruCrawler, arguments, .. }
                if is_dump(arguments) =>
            {
                Ending::BehindOk
            }
            _ => Ending::Usual,
        };
        Self { command, form, ending, after_item: false }
    }

    /// The reply to a request of that row.
    pub(crate) const fn of(row: &Row, ending: Ending) -> Self {
        Self { command: row.command, form: row.form, ending, after_item: false }
    }

    /// What is answered.
    pub const fn command(&self) -> Command {
        self.command
    }

    /// Whether the `END` of this reply is not sent, as memcached forgets it behind `stats
    /// sizes_enable` and `stats sizes_disable`: the `STAT` line is all.
    pub const fn is_without_end(&self) -> bool {
        matches!(self.ending, Ending::WithoutEnd)
    }

    /// Whether an `END` is not to be sent as the next frame: only the `STAT` line before it ends the reply
    /// for the peer.
    pub(crate) const fn hides_end(self) -> bool {
        self.is_without_end() && self.after_item
    }

    /// Takes note of the next frame; whether it is the last.
    pub fn ends_with(&mut self, frame: Kind) -> bool {
        let is_item = matches!(frame, Kind::Value | Kind::Stat);
        let after_item = core::mem::replace(&mut self.after_item, is_item);
        match frame {
            Kind::Value | Kind::Listing => false,
            Kind::Stat => self.is_without_end(),
            Kind::End => self.form != ReplyForm::Monitor || !after_item,
            Kind::Ok => self.form != ReplyForm::Endless && self.ending != Ending::BehindOk,
            Kind::Stored
            | Kind::NotStored
            | Kind::Exists
            | Kind::Deleted
            | Kind::NotFound
            | Kind::Touched
            | Kind::Reset
            | Kind::Version
            | Kind::Number
            | Kind::Meta(_)
            | Kind::MetaDebug
            | Kind::MetaNoop
            | Kind::Line
            | Kind::Error
            | Kind::ClientError
            | Kind::ServerError => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(request: &Request<'_>, dialect: Dialect, frames: &[Kind]) -> std::vec::Vec<bool> {
        let mut reply = ReplyEnd::to(request, dialect);
        frames.iter().map(|&frame| reply.ends_with(frame)).collect()
    }

    #[test]
    fn the_end_depends_on_the_request() {
        use Kind::{End, Error, Listing, Ok, Stat, Value};
        let get = Request::Version;
        assert_eq!(ends(&get, Dialect::Memcached, &[Value, Stat, End]), [false, false, true]);
        let watch = Request::Admin { command: Command::Watch, arguments: b"", noreply: false };
        assert_eq!(ends(&watch, Dialect::Memcached, &[Ok, Listing, Error]), [false, false, true]);
        let sizes = Request::Stats { arguments: b"sizes_enable" };
        assert_eq!(ends(&sizes, Dialect::Memcached, &[Stat]), [true]);
        assert!(ReplyEnd::to(&sizes, Dialect::Memcached).is_without_end());
        for (arguments, expected) in [
            (&b"metadump all"[..], [false, false, true]),
            (b"mgdump hash", [false, false, true]),
            (b"enable", [true, false, true]),
        ] {
            let crawler =
                Request::Admin { command: Command::LruCrawler, arguments, noreply: false };
            assert_eq!(ends(&crawler, Dialect::Memcached, &[Ok, Listing, End]), expected);
        }
        let monitor = Request::Monitor { queue: b"q", seconds: 1, max: Some(2) };
        assert_eq!(
            ends(&monitor, Dialect::Kestrel, &[Value, End, Value, End, End]),
            [false, false, false, false, true]
        );
        assert_eq!(ends(&monitor, Dialect::Kestrel, &[Error]), [true]);
    }
}
