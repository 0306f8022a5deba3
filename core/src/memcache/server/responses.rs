//! Replies: who waits for one, and what of them waits to be written.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::task::Context;

use bytes::BytesMut;

use super::pending::{Expected, Later, Pending, PendingRequest};
use crate::buffer::{Outgoing, Spare};
use crate::cannot_happen::cannot_happen;
use crate::memcache::Data;
use crate::memcache::command::Command;
use crate::memcache::handler::{Reply, ReplyError};
use crate::memcache::meta::{MetaCode, MetaFlags};
use crate::memcache::request::RequestSpans;
use crate::memcache::response::{self, Kind, Response};
use crate::memcache::states::{self, ServerEvent, ServerState};
use crate::{Instant, Now};

/// Room for the first replies of a write, so that it does not grow piece by piece.
const GATHER: usize = 512;

/// What the peer is told when the application gives a reply that the command cannot have.
const INVALID: &[u8] = b"the server made a reply that the command cannot have";
/// What it is told when the application lets go of a request.
const UNANSWERED: &[u8] = b"the server made no reply";
/// What it is told when [`Timeouts::answer`](crate::Timeouts::answer) has passed.
pub(in crate::memcache) const TIMED_OUT: &[u8] = b"the server made no reply in time";

/// The half of a [`ServerConnection`](super::ServerConnection) that takes replies, so that a request,
/// which borrows the other half, can be answered while it is looked at.
///
/// It answers the oldest request that has no reply yet: whoever answers later does so in order, with
/// [`ServerConnection::responses_mut`](super::ServerConnection::responses_mut).
///
/// ```
/// use windhover_core::memcache::request::Request;
/// use windhover_core::memcache::response::Response;
/// use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
/// use windhover_core::{Now, Timeouts};
///
/// let now = Now::default();
/// let (limits, timeouts) = (Limits::default(), Timeouts::default());
/// let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
/// connection.receive(b"get a b\r\n");
/// match connection.poll_output(now) {
///     Output::Request { request: Request::Get(keys), responses, .. } => {
///         for key in keys {
///             responses.respond_value(key, 0, None, key);
///         }
///         responses.respond(&Response::End);
///     }
///     other => panic!("{other:?}"),
/// }
/// let mut slices = [&b""[..]; 1];
/// connection.unsent(&mut slices);
/// assert_eq!(slices[0], b"VALUE a 0 1\r\na\r\nVALUE b 0 1\r\nb\r\nEND\r\n");
/// ```
#[derive(Debug)]
pub struct Responses {
    pub(super) outgoing: Outgoing,
    pub(super) pending: VecDeque<Pending>,
    /// Bytes of replies that wait for those before them.
    buffered: usize,
    /// Which requests are taken: open, locked or verifying.
    pub(super) access: ServerState,
    /// No request is taken before every one is answered.
    held: bool,
    /// The request that was handed out last is to be handed out again, once every one is answered.
    pub(super) postponed: bool,
    pub(super) closing: Closing,
    /// The peer or the server is about to go.
    pub(super) ending: bool,
    /// More waiting bytes are full.
    full: usize,
    /// Why a reply was refused last.
    error: Option<ReplyError>,
}

/// Whether the application has ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    Open,
    /// It has, and the reading half does not know yet; whether replies were under way.
    Asked {
        active: bool,
    },
    Closed,
}

/// Which of the pending requests a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memcache) enum Turn {
    First,
    Last,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memcache) enum Given {
    /// More may follow.
    GoesOn,
    /// It was the last of its reply.
    Ended,
}

impl Responses {
    pub(super) fn new(full: usize) -> Self {
        Self {
            outgoing: Outgoing::new(),
            pending: VecDeque::new(),
            buffered: 0,
            access: ServerState::Open,
            held: false,
            postponed: false,
            closing: Closing::Open,
            ending: false,
            full,
            error: None,
        }
    }

    /// Gives one frame of the reply to the oldest unanswered request. `VALUE`, `STAT` and listing
    /// frames do not end it, any other does ([`response::ReplyEnd`] has the exceptions: `monitor` and
    /// `watch`). Does nothing when no request is pending.
    ///
    /// A frame that cannot answer the command (`STORED` to a `get`) does not go out: the peer gets
    /// `SERVER_ERROR` in place of the rest of this reply, and [`error`](Self::error) says why.
    ///
    /// A value of some size is better given to [`respond_value`](Self::respond_value) or
    /// [`respond_meta_value`](Self::respond_meta_value).
    pub fn respond(&mut self, response: &Response<'_>) {
        // What is wrong with it is kept.
        let _ = self.give(Turn::First, response);
    }

    /// Gives a `VALUE` frame of the reply to the oldest unanswered request; shared data leaves without a
    /// copy where it is long enough for that to pay. End the reply with [`Response::End`].
    pub fn respond_value<'a>(
        &mut self,
        key: &[u8],
        flags: u32,
        cas: Option<u64>,
        data: impl Into<Data<'a>>,
    ) {
        let _ = self.give_value(Turn::First, key, flags, cas, &data.into());
    }

    /// Answers the oldest unanswered request with `VA`, flags and a value; shared data leaves without a
    /// copy where it is long enough for that to pay.
    pub fn respond_meta_value<'a>(&mut self, flags: MetaFlags<'_>, data: impl Into<Data<'a>>) {
        let _ = self.give_meta_value(Turn::First, flags, &data.into());
    }

    /// Takes no further request before every one that was taken is answered: what follows a read
    /// that waits may depend on what it gets. The peer is still read from, until some
    /// [`Limits::line`](crate::memcache::Limits::line) bytes are held back, so that its going away is seen; its
    /// clock stands still.
    pub fn hold_requests(&mut self) {
        self.held = true;
    }

    /// Ends the connection behind the replies given so far: they are written, then
    /// [`Output::CloseWrite`](super::Output::CloseWrite). Requests that are still unanswered stay so,
    /// none is taken any more.
    ///
    /// For an error after which a peer may not go on (kestrel's `ERROR`, then a disconnect: first
    /// [`respond`](Self::respond), then this), and in place of a reply to
    /// [`Request::Shutdown`](crate::memcache::request::Request::Shutdown).
    pub fn close_after_responses(&mut self) {
        let active = !self.pending.is_empty() || !self.outgoing.is_empty();
        self.close(active);
    }

    fn close(&mut self, active: bool) {
        if !matches!(self.closing, Closing::Asked { .. }) {
            self.closing = Closing::Asked { active };
        }
        self.pending.clear();
        self.buffered = 0;
        self.postponed = false;
    }

    /// How many replies are pending.
    pub fn unanswered(&self) -> usize {
        self.pending.len()
    }

    /// Which reply of the application was refused last, if one was: for logs and tests.
    pub const fn error(&self) -> Option<ReplyError> {
        self.error
    }

    /// Whether no request is to be taken for now.
    pub(super) fn holds(&self) -> bool {
        self.postponed || (self.held && !self.pending.is_empty())
    }

    /// Whether as many bytes wait to be written as may.
    pub(in crate::memcache) fn is_full(&self) -> bool {
        self.outgoing.len() + self.buffered > self.full
    }

    /// Whether the oldest reply cannot go on before the peer has taken some of what waits to be written:
    /// [`Timeouts::write`](crate::Timeouts::write) bounds that, and whoever answers is not late.
    pub(in crate::memcache) fn waits_for_peer(&self) -> bool {
        self.outgoing.len() > self.full
    }

    pub(in crate::memcache) const fn is_ending(&self) -> bool {
        self.ending
    }

    /// When the oldest unanswered request must be looked at again, and whether what it waits for then
    /// is its deadline.
    pub(super) fn look_again_at(&self) -> Option<Instant> {
        match self.pending.front()? {
            // The peer is waited for.
            Pending::Request(_) if self.waits_for_peer() => None,
            Pending::Request(request) => {
                let again = request.again_at.unwrap_or(request.deadline);
                Some(again.min(request.deadline))
            }
            // It is written as soon as nothing is before it.
            Pending::Refused { .. } => cannot_happen(None),
        }
    }

    /// Ends the connection where the oldest request, which nobody has deferred, has waited too long. A
    /// later reply could not be told from one to the next request.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Some(Pending::Request(request)) = self.pending.front()
            && request.deferred.is_none()
            && request.deadline <= now
            && !self.waits_for_peer()
        {
            self.respond(&Response::ServerError(TIMED_OUT));
            self.close_after_responses();
        }
    }

    /// A request was handed out.
    pub(super) fn push(&mut self, spans: &RequestSpans, deadline: Instant) {
        let expected = Expected::of(spans);
        self.pending.push_back(Pending::Request(PendingRequest::new(expected, deadline)));
    }

    /// A request was refused; its error takes its place behind the replies that are still pending.
    pub(super) fn push_refused(&mut self, reply: &'static str) {
        self.pending.push_back(Pending::Refused { reply });
        self.flush();
    }

    /// How many bytes of memory replies hold.
    pub(super) fn held_bytes(&self) -> usize {
        self.outgoing.held() + self.buffered
    }

    /// Changes who is let in, by the table.
    pub(super) fn admit(&mut self, event: ServerEvent) {
        let next = states::next(states::SERVER, self.access, &event);
        self.access = next.unwrap_or_else(|| cannot_happen(self.access));
    }

    pub(in crate::memcache) fn give(
        &mut self,
        turn: Turn,
        response: &Response<'_>,
    ) -> Result<Given, ReplyError> {
        self.frame(turn, response.kind(), |out| response::encode(response, gather(out)))
    }

    pub(in crate::memcache) fn give_value(
        &mut self,
        turn: Turn,
        key: &[u8],
        flags: u32,
        cas: Option<u64>,
        data: &Data<'_>,
    ) -> Result<Given, ReplyError> {
        self.frame(turn, Kind::Value, |out| {
            response::encode_value_line(key, flags, data.len(), cas, gather(out));
            put_block(out, data);
        })
    }

    pub(in crate::memcache) fn give_meta_value(
        &mut self,
        turn: Turn,
        flags: MetaFlags<'_>,
        data: &Data<'_>,
    ) -> Result<Given, ReplyError> {
        self.frame(turn, Kind::Meta(MetaCode::Value), |out| {
            response::encode_meta_value_line(flags, data.len(), gather(out));
            put_block(out, data);
        })
    }

    /// Takes a frame of a reply: writes it, keeps it until its turn, or keeps it from the peer.
    fn frame(
        &mut self,
        turn: Turn,
        kind: Kind,
        write: impl FnOnce(&mut Outgoing),
    ) -> Result<Given, ReplyError> {
        let first = turn == Turn::First || self.pending.len() == 1;
        let pending = if first { self.pending.front_mut() } else { self.pending.back_mut() };
        let Some(Pending::Request(request)) = pending else {
            return Err(ReplyError::NotAsked);
        };
        let allowed = request.expected.row.allows(kind);
        let hidden = request.broken || request.expected.hides(kind);
        let out = if first {
            &mut self.outgoing
        } else {
            &mut **request.given.get_or_insert_with(Box::default)
        };
        let before = if first { 0 } else { out.len() };
        let mut result = Ok(());
        if !allowed {
            let error = ReplyError::Invalid { command: request.expected.command(), frame: kind };
            self.error = Some(error);
            result = Err(error);
            if !request.broken && !request.expected.noreply() {
                response::encode(&Response::ServerError(INVALID), gather(out));
            }
            request.broken = true;
        } else if !hidden {
            write(out);
        }
        if !first {
            self.buffered += out.len() - before;
        }
        if !request.expected.ends_with(kind) {
            return result.map(|()| Given::GoesOn);
        }
        let accepted = kind == Kind::Stored && !request.broken;
        if request.expected.command() == Command::Authenticate {
            // Whoever guesses pays for a connection with each guess.
            request.closes |= !accepted;
            self.admit(if accepted { ServerEvent::Accepted } else { ServerEvent::Denied });
        }
        self.end(first);
        result.map(|()| Given::Ended)
    }

    /// A reply has ended.
    fn end(&mut self, first: bool) {
        if first {
            let ended = self.pending.pop_front();
            let closes =
                matches!(ended, Some(Pending::Request(PendingRequest { closes: true, .. })));
            if closes {
                self.close(true);
            }
            self.flush();
        } else {
            self.change(Turn::Last, |request| request.ended = true);
        }
    }

    /// Writes what was kept for its turn and is next in order.
    fn flush(&mut self) {
        while let Some(pending) = self.pending.front_mut() {
            let closes = match pending {
                Pending::Refused { reply } => {
                    self.outgoing.put(reply.as_bytes());
                    self.outgoing.put(b"\r\n");
                    false
                }
                Pending::Request(request) => {
                    if let Some(given) = request.given.take() {
                        self.buffered -= given.len();
                        self.outgoing.append(*given);
                    }
                    if !request.ended {
                        break;
                    }
                    request.closes
                }
            };
            self.pending.pop_front();
            if closes {
                self.close(true);
            }
        }
        self.held &= !self.pending.is_empty();
    }

    /// Asks those that were deferred and are next in order, until one has no reply yet. Whether there
    /// were any.
    pub(in crate::memcache) fn poll_deferred(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(Pending::Request(request)) = self.pending.front_mut()
            && let Some(mut later) = request.deferred.take()
        {
            any = true;
            request.again_at = None;
            let due = request.deadline <= now.instant;
            let mut reply = Reply::new(self, Turn::First, now);
            let waits = later.0.poll(&mut reply, cx).is_pending() && reply.is_open();
            if waits && due && !reply.responses.waits_for_peer() {
                later.0.expired(&mut reply);
            } else if waits {
                self.change(Turn::First, |request| request.deferred = Some(later));
                break;
            }
            reply.finish();
        }
        any
    }

    /// The request that was handed out last is answered by somebody later.
    pub(in crate::memcache) fn defer(&mut self, turn: Turn, later: Later) {
        self.change(turn, |request| request.deferred = Some(later));
    }

    /// When what was deferred is to be asked again at the latest.
    pub(in crate::memcache) fn ask_again_at(&mut self, turn: Turn, at: Instant) {
        self.change(turn, |request| request.again_at = Some(at));
    }

    /// The request that was handed out last takes its turn when every other is answered.
    pub(in crate::memcache) fn postpone(&mut self) {
        self.pending.pop_back();
        self.postponed = true;
    }

    /// The connection ends behind a reply; `ended` says that its last frame was given.
    pub(in crate::memcache) fn close_behind(&mut self, turn: Turn, ended: bool) {
        if ended && (turn == Turn::First || self.pending.is_empty()) {
            self.close(true);
            return;
        }
        let first = turn == Turn::First || self.pending.len() == 1;
        self.change(turn, |request| request.closes = true);
        self.held = true;
        if !ended {
            self.end(first);
        }
    }

    /// Nobody will answer a request any more.
    pub(in crate::memcache) fn let_go(&mut self, turn: Turn) {
        let _ = self.give(turn, &Response::ServerError(UNANSWERED));
    }

    /// Notes something of a request that is being answered.
    fn change(&mut self, turn: Turn, change: impl FnOnce(&mut PendingRequest)) {
        let pending = match turn {
            Turn::First => self.pending.front_mut(),
            Turn::Last => self.pending.back_mut(),
        };
        match pending {
            Some(Pending::Request(request)) => change(request),
            Some(Pending::Refused { .. }) | None => cannot_happen(()),
        }
    }

    /// Whether every earlier request is answered.
    pub(in crate::memcache) fn is_only(&self) -> bool {
        self.pending.len() <= 1
    }

    pub(super) fn release(&mut self) {
        self.outgoing.release();
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
    }

    pub(super) fn reuse(&mut self, spare: &mut Spare) {
        self.outgoing.reuse(spare);
        if self.pending.capacity() == 0 {
            core::mem::swap(&mut self.pending, &mut spare.pending.0);
        }
    }

    pub(super) fn release_to(&mut self, spare: &mut Spare) {
        self.outgoing.release_to(spare);
        if self.pending.is_empty() && spare.pending.0.capacity() == 0 {
            core::mem::swap(&mut self.pending, &mut spare.pending.0);
        }
        self.release();
    }
}

/// Room for those that wait for replies, kept while nobody needs it.
#[derive(Debug, Default)]
pub(crate) struct SparePending(VecDeque<Pending>);

/// The block that replies are gathered in.
fn gather(out: &mut Outgoing) -> &mut BytesMut {
    let tail = out.tail();
    if tail.capacity() == 0 {
        tail.reserve(GATHER);
    }
    tail
}

/// A data block with its end.
fn put_block(out: &mut Outgoing, data: &Data<'_>) {
    if let Some(segments) = data.segments() {
        for segment in segments {
            out.put_segment(segment);
        }
    } else {
        data.chunks().for_each(|chunk| out.put(chunk));
    }
    out.put(b"\r\n");
}
