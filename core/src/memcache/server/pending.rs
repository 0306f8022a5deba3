//! Requests that wait for their replies, in order.

use alloc::boxed::Box;

use crate::Instant;
use crate::buffer::Outgoing;
use crate::memcache::command::{Command, Row};
use crate::memcache::handler::Deferred;
use crate::memcache::request::RequestSpans;
use crate::memcache::response::{Kind, ReplyEnd};

/// What waits for its turn in the order of replies.
#[derive(Debug)]
pub(super) enum Pending {
    /// The application has a request to answer.
    Request(PendingRequest),
    /// The connection refused the request; its error waits for the replies before it.
    Refused { reply: &'static str },
}

/// A request that was handed out.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) expected: Expected,
    /// The reply must have ended by then.
    pub(super) deadline: Instant,
    /// What was deferred wants to be asked again then.
    pub(super) again_at: Option<Instant>,
    /// A frame was given that cannot answer the request; the peer has been told so, and sees nothing
    /// more of this reply.
    pub(super) broken: bool,
    /// The last frame was given.
    pub(super) ended: bool,
    /// The connection ends behind this reply.
    pub(super) closes: bool,
    /// Frames that wait for earlier replies.
    pub(super) given: Option<Box<Outgoing>>,
    /// Who gives the reply later.
    pub(super) deferred: Option<Later>,
}

impl PendingRequest {
    pub(super) const fn new(expected: Expected, deadline: Instant) -> Self {
        Self {
            expected,
            deadline,
            again_at: None,
            broken: false,
            ended: false,
            closes: false,
            given: None,
            deferred: None,
        }
    }
}

/// A reply that comes later.
pub(in crate::memcache) struct Later(pub(in crate::memcache) Box<dyn Deferred>);

impl core::fmt::Debug for Later {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Later")
    }
}

/// What a request alone says of its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) row: &'static Row,
    reply: ReplyEnd,
    hides: Hides,
}

/// Which frames are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hides {
    Nothing,
    /// `noreply`
    Everything,
    /// The meta flag `q`: what the row says.
    Quiet,
}

impl Expected {
    pub(super) fn of(spans: &RequestSpans) -> Self {
        let hides = if spans.noreply() {
            Hides::Everything
        } else if spans.quiet() {
            Hides::Quiet
        } else {
            Hides::Nothing
        };
        Self { row: spans.row(), reply: spans.reply(), hides }
    }

    pub(super) const fn command(&self) -> Command {
        self.row.command
    }

    /// Whether the client asked for no reply at all.
    pub(super) fn noreply(&self) -> bool {
        self.hides == Hides::Everything
    }

    /// Whether a frame is kept from the peer.
    pub(super) fn hides(&self, frame: Kind) -> bool {
        match (self.hides, frame) {
            (Hides::Everything, _) => true,
            (Hides::Quiet, Kind::Meta(code)) => self.row.quiet.contains(&code),
            (_, Kind::End) => self.reply.hides_end(),
            _ => false,
        }
    }

    /// Takes note of a frame that was given; whether it is the last.
    pub(super) fn ends_with(&mut self, frame: Kind) -> bool {
        // The application ends these statistics as any others.
        let stays_open = frame == Kind::Stat && self.reply.is_without_end();
        self.reply.ends_with(frame) && !stays_open
    }
}
