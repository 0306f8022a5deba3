//! Answers that are owed, in the order of the requests.

use crate::memcache::Dialect;
use crate::memcache::command;
use crate::memcache::meta::MetaCode;
use crate::memcache::request::Request;
use crate::memcache::response::{Kind, Reply};

/// An answer that is owed.
#[derive(Debug)]
pub(super) enum Place {
    /// The application owes it.
    Request(Owed),
    /// The connection refused the request; its answer waits for those before it.
    Refused { reply: &'static str },
}

/// What the connection knows of an answer before it is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    reply: Reply,
    hides: Hides,
}

/// Which frames are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hides {
    Nothing,
    /// `noreply`
    Everything,
    /// The meta flag `q`.
    Codes(&'static [MetaCode]),
}

impl Owed {
    pub(super) fn of(request: &Request<'_>, dialect: Dialect) -> Self {
        let reply = Reply::to(request, dialect);
        let hides = if request.noreply() {
            Hides::Everything
        } else if request.quiet() {
            let row = command::row(request.command(), dialect);
            Hides::Codes(row.map_or(&[], |row| row.quiet))
        } else {
            Hides::Nothing
        };
        Self { reply, hides }
    }

    pub(super) const fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Whether the client asked for no answer at all.
    pub(super) fn noreply(&self) -> bool {
        self.hides == Hides::Everything
    }

    /// Whether a frame is kept from the peer.
    pub(super) fn hides(&self, frame: Kind) -> bool {
        match (self.hides, frame) {
            (Hides::Everything, _) => true,
            (Hides::Codes(codes), Kind::Meta(code)) => codes.contains(&code),
            (_, Kind::End) => self.reply.is_without_end(),
            _ => false,
        }
    }

    /// Takes note of a frame that the application has given; whether it is the last.
    pub(super) fn ends_with(&mut self, frame: Kind) -> bool {
        // The application ends these statistics as any others.
        let stays_open = frame == Kind::Stat && self.reply.is_without_end();
        self.reply.ends_with(frame) && !stays_open
    }
}
