//! What has come on a connection, and the frames that were found in it: all that can be done with the bytes
//! of a reply before it is asked which request it answers.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

#[cfg(feature = "client")]
use super::block::Block;
use super::{MAX_DISCARDED, Oversized};
use crate::buffer::Incoming;
use crate::cannot_happen::cannot_happen;
use crate::memcache::request::BLOCK_END;
use crate::memcache::response::{self, ResponseError, ResponseLine, ResponseSpans};
#[cfg(feature = "client")]
use crate::memcache::response::{ItemLine, Kind, VALUE};
use crate::memcache::states::{self, ClientEvent, ClientState};
use crate::memcache::{Dialect, Limits};

/// The longest value that is handed on as one slice.
const SEGMENT: usize = Incoming::SEGMENT;

/// So many frames are found at most before they are to be taken: a client asks for a hundred keys at most in one
/// request, whose answer is taken in one go.
#[cfg(feature = "client")]
const FOUND: usize = 128;

/// How replies are read: in which dialect, and within which limits.
#[derive(Clone, Debug)]
pub struct ReplyParser {
    pub(super) dialect: Dialect,
    /// With a `value` of what is read at all.
    pub(super) limits: Limits,
    /// The longest value that is handed on.
    largest: usize,
}

impl ReplyParser {
    /// That of a connection with the same dialect and limits.
    pub fn new(dialect: Dialect, limits: &Limits) -> Self {
        let mut limits = limits.clone();
        let largest = if dialect.is_queue() { MAX_DISCARDED } else { limits.value };
        limits.value = limits.value.max(MAX_DISCARDED);
        Self { dialect, limits, largest }
    }

    /// What stands on a line, and why its item is too large where its length does not say so.
    #[inline]
    pub(super) fn parse<'a>(
        &self,
        text: &'a [u8],
        oversized: &mut Option<Oversized>,
    ) -> Result<ResponseLine<'a>, ResponseError> {
        let mut parsed = response::parse_line(text, self.dialect, &self.limits);
        if let Err(ResponseError::FlagsTooLarge { flags }) = parsed {
            *oversized = Some(Oversized::Flags { flags });
            parsed = response::parse_line_with_any_flags(text, &self.limits);
        }
        parsed
    }
}

/// What has come on one connection and was not handed on yet.
///
/// A connection has its own. With the feature `client` it can also be in the hands of who reads the socket:
/// bytes go into [`read_buffer`](Self::read_buffer), [`parse`](Self::parse) finds frames in them, with nothing
/// of the connection at hand, and the connection takes those
/// ([`Cluster::take_received`](crate::client::Cluster::take_received)).
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Received {
    incoming: Incoming,
    state: State,
    /// Frames that wait for the connection, in their order.
    pub(super) found: VecDeque<Found>,
    /// How many bytes at the front of `incoming` are those of frames that were handed on, and with them those
    /// of frames that were found.
    handed_on: usize,
    parsed: usize,
    /// How many bytes there were at the last look, and whether some have come since.
    seen: usize,
    has_come: bool,
    /// A line or a value was none: nothing behind it can be told.
    is_malformed: bool,
    /// What leaves the front of the buffer has to wait for what stands before it to be handed on.
    is_blocked: bool,
    /// Not all that has come was looked at.
    pub(super) has_more: bool,
}

/// What is being read. [`states::CLIENT`] shows how they follow each other.
#[derive(Debug, Default)]
enum State {
    /// A line, or nothing yet.
    #[default]
    Line,
    /// The value of the line before it: both stay in the buffer.
    Value { line: usize, length: usize },
    /// A value above [`SEGMENT`], which leaves the buffer piece by piece.
    Large(Box<Large>),
    /// A value that is too large for us: so much of it, with its end, is still to be dropped.
    Discarding { left: usize },
    /// Nothing more is read.
    Failed,
}

/// A value that is collected without a copy.
#[derive(Debug)]
struct Large {
    segments: Vec<Bytes>,
    left: usize,
    /// Somebody waits for it, as far as is known.
    is_wanted: bool,
}

/// Something that was found.
#[derive(Debug)]
pub(super) enum Found {
    /// An item, whole and copied.
    #[cfg(feature = "client")]
    Item(FoundItem),
    Line(FoundLine),
    /// The value that the last line announced is whole, and stands behind it.
    Value {
        line: usize,
        length: usize,
        copy: Option<Bytes>,
    },
    /// The same of a large one.
    Large(Vec<Bytes>),
    /// The value that is too large for us has ended.
    Discarded,
    Malformed(ResponseError),
}

/// An item of at most [`SEGMENT`] bytes, as nearly all are.
#[cfg(feature = "client")]
#[derive(Debug)]
pub(super) struct FoundItem {
    pub(super) line: ItemLine,
    pub(super) value: Bytes,
}

/// A line, and what is known of the value that it announces.
#[derive(Debug)]
pub(super) struct FoundLine {
    /// Its length, with its end.
    pub(super) length: usize,
    pub(super) spans: ResponseSpans,
    pub(super) value: Announced,
}

#[cfg(feature = "client")]
impl FoundLine {
    /// The word that is all of the line, where it is one that ends a reply.
    #[inline]
    pub(super) fn word(&self) -> Option<Kind> {
        let kind = self.spans.kind();
        let ends = matches!(
            kind,
            Kind::End
                | Kind::Stored
                | Kind::NotStored
                | Kind::Exists
                | Kind::Deleted
                | Kind::NotFound
                | Kind::Touched
        );
        ends.then_some(kind)
    }
}

#[derive(Debug)]
pub(super) enum Announced {
    /// None belongs to the frame.
    Nothing,
    /// It is whole, and stands behind the line.
    Here {
        length: usize,
        copy: Option<Bytes>,
    },
    /// It follows in one piece.
    Later,
    /// It follows in segments, and the line has left the buffer.
    Large {
        line: Bytes,
        length: usize,
    },
    Oversized(Oversized),
}

#[cfg(feature = "client")]
impl FoundItem {
    /// How many bytes it is on the wire.
    pub(super) fn length(&self) -> usize {
        self.line.length + self.line.data + BLOCK_END.len()
    }

    /// The same as any other line.
    pub(super) fn into_line(self) -> FoundLine {
        let Self { line, value } = self;
        let value = Announced::Here { length: line.data, copy: Some(value) };
        FoundLine { length: line.length, spans: ResponseSpans::of_item(&line), value }
    }
}

impl State {
    /// Its name in the table.
    const fn name(&self) -> ClientState {
        match self {
            Self::Line => ClientState::Line,
            Self::Value { .. } => ClientState::Value,
            Self::Large(_) => ClientState::LargeValue,
            Self::Discarding { .. } => ClientState::Discarding,
            Self::Failed => ClientState::Failed,
        }
    }
}

impl Received {
    /// Nothing has come, and there is no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer with spare capacity that a read appends to. At most 64 KiB is reserved, whatever length
    /// the server has declared.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        self.drop_handed_on();
        let have = self.incoming.len() - self.parsed;
        let whole = match &self.state {
            State::Line | State::Failed => 0,
            State::Value { line, length } => line + length + BLOCK_END.len(),
            State::Large(large) => large.left + BLOCK_END.len(),
            State::Discarding { left } => *left,
        };
        self.incoming.read_buffer(whole.saturating_sub(have))
    }

    /// Finds the frames in what has come, and copies small values out of it. Whether there is more to find
    /// once these were taken.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use core::time::Duration;
    /// # use windhover_core::Instant;
    /// # use windhover_core::client::{Call, Cluster, ClusterOptions, ClusterOutput, Server};
    /// # use windhover_core::memcache::request::{Prepared, Request};
    /// use windhover_core::memcache::{Dialect, Received, ReplyParser};
    ///
    /// # let (now, options) = (Instant::default(), ClusterOptions::default());
    /// let parser = ReplyParser::new(Dialect::Memcached, &options.limits);
    /// # let version = Prepared::new(&Request::Version, Bytes::new(), Dialect::Memcached, &options.limits)?;
    /// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
    /// # let id = cluster.owner(b"key").expect("there is a server");
    /// # cluster.submit(Call::to(version, id), now + Duration::from_millis(250), now)?;
    /// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
    /// # cluster.connected(connection, now);
    /// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
    /// # cluster.wrote(connection, 9);
    /// // Who has read the socket needs no lock for this; the cluster does the rest.
    /// let mut received = Received::new();
    /// received.read_buffer().extend_from_slice(b"VERSION 1.6.45\r\n");
    /// assert!(!received.parse(&parser));
    /// cluster.take_received(connection, &mut received);
    /// assert!(matches!(cluster.poll_output(now), ClusterOutput::Completed(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "client")]
    pub fn parse(&mut self, parser: &ReplyParser) -> bool {
        self.look();
        let mut block = Block::default();
        while self.found.len() < FOUND {
            if let Some(item) = self.find_item(parser, &mut block) {
                self.found.push_back(Found::Item(item));
                continue;
            }
            // What is no item at all, or none that is whole, is found in the general way, which may move the bytes.
            block = Block::default();
            let Some(found) = self.find(parser, true) else { break };
            self.found.push_back(found);
        }
        self.seen = self.incoming.len();
        self.has_more = self.found.len() >= FOUND || self.is_blocked;
        self.has_more
    }

    /// Gives back the memory that only much at once needs.
    pub fn trim(&mut self) {
        self.drop_handed_on();
        self.incoming.trim();
    }

    /// Gives the memory back where nothing is held.
    pub fn release(&mut self) {
        self.drop_handed_on();
        self.incoming.release();
        if self.found.is_empty() {
            self.found = VecDeque::new();
        }
    }

    /// Notes whether bytes have come since the last look.
    pub(super) fn look(&mut self) {
        self.has_come |= self.incoming.len() != self.seen;
    }

    /// Whether bytes have come since this was asked last.
    pub(super) fn take_come(&mut self) -> bool {
        core::mem::take(&mut self.has_come)
    }

    /// What is there was looked at.
    pub(super) fn note_seen(&mut self) {
        self.seen = self.incoming.len();
    }

    /// Finds an item that has come as a whole, in one look and without a search for the end of its line.
    #[cfg(feature = "client")]
    #[inline]
    fn find_item(&mut self, parser: &ReplyParser, block: &mut Block) -> Option<FoundItem> {
        if !self.is_at_line() || self.is_malformed {
            return None;
        }
        let bytes = self.incoming.bytes();
        let rest = bytes.get(self.parsed..)?;
        let line = response::item_line(rest, &parser.limits)?;
        if line.data > SEGMENT.min(parser.largest) {
            return None;
        }
        let whole = line.length + line.data + BLOCK_END.len();
        rest.get(line.length..whole)?.strip_suffix(BLOCK_END)?;
        let start = self.parsed + line.length;
        let is_followed = rest.get(whole..).is_some_and(|next| next.starts_with(VALUE));
        let value = block.copy(bytes, start..start + line.data, is_followed);
        self.is_blocked = false;
        self.pass(whole, &[ClientEvent::ValueAnnounced, ClientEvent::ValueComplete]);
        Some(FoundItem { line, value })
    }

    /// How many items were found before anything else.
    #[cfg(feature = "client")]
    pub(super) fn items_in_a_row(&self) -> usize {
        self.found.iter().take_while(|found| matches!(found, Found::Item(_))).count()
    }

    /// The next that was found where it is an item.
    #[cfg(feature = "client")]
    #[inline]
    pub(super) fn take_item(&mut self) -> Option<FoundItem> {
        match self.found.front()? {
            Found::Item(_) => match self.found.pop_front() {
                Some(Found::Item(item)) => Some(item),
                _ => cannot_happen(None),
            },
            _ => None,
        }
    }

    /// The first bytes that were not handed on.
    pub(super) fn front(&self) -> &[u8] {
        self.incoming.bytes().get(self.handed_on..).unwrap_or_default()
    }

    /// So many of them were, which were parsed.
    pub(super) fn hand_on(&mut self, bytes: usize) {
        self.handed_on = (self.handed_on + bytes).min(self.parsed);
    }

    /// Drops what was handed on. To be called once for many frames: what is left moves up.
    pub(super) fn drop_handed_on(&mut self) {
        if self.handed_on > 0 {
            self.incoming.consume(self.handed_on);
            self.parsed -= self.handed_on;
            self.handed_on = 0;
        }
    }

    /// Nobody waits for the large value that comes.
    pub(super) fn forget_large(&mut self) {
        if let State::Large(large) = &mut self.state {
            large.is_wanted = false;
            large.segments = Vec::new();
        }
    }

    /// Whether all that has come was handed on.
    pub(super) fn is_empty(&self) -> bool {
        self.incoming.len() == self.handed_on && self.found.is_empty()
    }

    /// Whether what comes next is a line.
    pub(super) const fn is_at_line(&self) -> bool {
        matches!(self.state, State::Line)
    }

    /// Finds the next frame, or the next part of one. `None` where more has to come, or where what was found
    /// has to be handed on first.
    pub(super) fn find(&mut self, parser: &ReplyParser, copies: bool) -> Option<Found> {
        self.is_blocked = false;
        if self.is_malformed {
            return None;
        }
        match &mut self.state {
            State::Line => self.find_line(parser, copies),
            State::Value { line, length } => {
                let (line, length) = (*line, *length);
                let whole = line + length + BLOCK_END.len();
                let block = self.incoming.bytes().get(self.parsed..)?.get(line..whole)?;
                let Some(data) = block.strip_suffix(BLOCK_END) else {
                    return Some(self.malformed(ResponseError::BadDataBlock));
                };
                let copy = copies.then(|| Bytes::copy_from_slice(data));
                self.change(ClientEvent::ValueComplete, State::Line);
                self.parsed += whole;
                Some(Found::Value { line, length, copy })
            }
            State::Large(_) | State::Discarding { .. } if self.handed_on < self.parsed => {
                self.is_blocked = true;
                None
            }
            State::Large(large) => {
                if self.handed_on > 0 {
                    self.incoming.consume(self.handed_on);
                    (self.handed_on, self.parsed) = (0, 0);
                }
                while large.left > 0 {
                    let segment = self.incoming.take_segment(large.left)?;
                    large.left -= segment.len();
                    if large.is_wanted {
                        large.segments.push(segment);
                    }
                }
                self.find_end()
            }
            State::Discarding { left } => {
                let mut rest = *left;
                self.drop_handed_on();
                let data = rest.saturating_sub(BLOCK_END.len()).min(self.incoming.len());
                self.incoming.consume(data);
                rest -= data;
                self.state = State::Discarding { left: rest };
                if rest > BLOCK_END.len() {
                    return None;
                }
                self.find_end()
            }
            State::Failed => cannot_happen(None),
        }
    }

    /// The end of a value that has left the buffer.
    fn find_end(&mut self) -> Option<Found> {
        self.drop_handed_on();
        if self.incoming.bytes().get(..BLOCK_END.len())? != BLOCK_END {
            return Some(self.malformed(ResponseError::BadDataBlock));
        }
        self.incoming.consume(BLOCK_END.len());
        Some(match self.change(ClientEvent::ValueComplete, State::Line) {
            State::Large(large) => Found::Large(large.segments),
            _ => Found::Discarded,
        })
    }

    fn find_line(&mut self, parser: &ReplyParser, copies: bool) -> Option<Found> {
        let text = match self.next_text(&parser.limits)? {
            Ok(text) => text,
            Err(error) => return Some(self.malformed(error)),
        };
        let mut oversized = None;
        let parsed = parser.parse(text, &mut oversized);
        let line = match &parsed {
            Ok(line) => line,
            Err(error) => return Some(self.malformed(*error)),
        };
        let spans = ResponseSpans::of(&line.response, text);
        let (length, data) = (text.len(), line.data);
        let value = match data {
            None => {
                self.pass(length, &[ClientEvent::Frame]);
                Announced::Nothing
            }
            Some(data) => {
                let leaves = oversized.is_none() && (SEGMENT + 1..=parser.largest).contains(&data);
                if leaves && self.handed_on < self.parsed {
                    self.is_blocked = true;
                    return None;
                }
                self.announce(parser, length, data, oversized, copies)
            }
        };
        Some(Found::Line(FoundLine { length, spans, value }))
    }

    /// The line behind what was parsed, which is not passed yet. `None` where it has not come as a whole.
    #[inline]
    pub(super) fn next_text(&mut self, limits: &Limits) -> Option<Result<&[u8], ResponseError>> {
        let Some(newline) = self.incoming.find_newline_from(self.parsed) else {
            let is_too_long = self.incoming.len() - self.parsed > limits.line;
            return is_too_long.then_some(Err(ResponseError::LineTooLong));
        };
        self.incoming.bytes().get(self.parsed..newline + 1).map(Ok)
    }

    /// Passes so many bytes, which the `events` of a whole frame are of.
    #[inline]
    pub(super) fn pass(&mut self, bytes: usize, events: &[ClientEvent]) {
        debug_assert_eq!(
            events.iter().try_fold(self.state.name(), |state, event| {
                states::next(states::CLIENT, state, event)
            }),
            Some(ClientState::Line),
            "{events:?} in {:?}",
            self.state
        );
        self.parsed += bytes;
    }

    /// Passes a line of `length` bytes that announces a value of `data` bytes, and this with it where it is
    /// whole. All before it was handed on where that is longer than [`SEGMENT`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it returns is large, and not to be moved")]
    pub(super) fn announce(
        &mut self,
        parser: &ReplyParser,
        length: usize,
        data: usize,
        oversized: Option<Oversized>,
        copies: bool,
    ) -> Announced {
        if oversized.is_some() || data > parser.largest {
            self.parsed += length;
            let left = data + BLOCK_END.len();
            self.change(ClientEvent::OversizedValueAnnounced, State::Discarding { left });
            return Announced::Oversized(oversized.unwrap_or(Oversized::Value {
                length: u64::try_from(data).unwrap_or(u64::MAX),
                limit: parser.largest,
            }));
        }
        if data > SEGMENT {
            debug_assert_eq!(self.handed_on, self.parsed, "what stands before it would be lost");
            self.drop_handed_on();
            let line = self.incoming.take(length);
            let large = Large { segments: Vec::new(), left: data, is_wanted: true };
            self.change(ClientEvent::LargeValueAnnounced, State::Large(Box::new(large)));
            return Announced::Large { line, length: data };
        }
        let whole = length + data + BLOCK_END.len();
        let behind = self.incoming.bytes().get(self.parsed + length..self.parsed + whole);
        let here = behind.and_then(|block| block.strip_suffix(BLOCK_END));
        let here = here.map(|data| copies.then(|| Bytes::copy_from_slice(data)));
        if let Some(copy) = here {
            self.pass(whole, &[ClientEvent::ValueAnnounced, ClientEvent::ValueComplete]);
            return Announced::Here { length: data, copy };
        }
        self.change(ClientEvent::ValueAnnounced, State::Value { line: length, length: data });
        Announced::Later
    }

    fn malformed(&mut self, error: ResponseError) -> Found {
        self.is_malformed = true;
        Found::Malformed(error)
    }

    /// Nothing more is read.
    pub(super) fn fail(&mut self, event: ClientEvent) {
        // A line that may not have come is found to be that with its value on the way already.
        let from = [ClientState::Line, self.state.name()];
        debug_assert!(
            from.iter().any(|from| states::next(states::CLIENT, *from, &event).is_some()),
            "{event:?} in {:?}",
            self.state
        );
        self.state = State::Failed;
        self.found.clear();
    }

    /// Goes where the event leads, as the table says; the state that was left.
    fn change(&mut self, event: ClientEvent, state: State) -> State {
        debug_assert_eq!(
            states::next(states::CLIENT, self.state.name(), &event),
            Some(state.name()),
            "{event:?} in {:?}",
            self.state
        );
        core::mem::replace(&mut self.state, state)
    }
}
