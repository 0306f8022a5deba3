//! A parsed line that borrows nothing.

use core::time::Duration;

use super::{BLOCK_END, Request, RequestError, RequestFault, StoreRequest};
use crate::memcache::Limits;
use crate::memcache::command::{self, Arguments, Command, Row};
use crate::memcache::kestrel::{QueueRead, ReadMode};
use crate::memcache::meta::{MetaFlags, MetaRequest};
use crate::memcache::response::{Ending, ReplyEnd};
use crate::memcache::span::Span;
use crate::memcache::{Dialect, Keys};

/// What [`parse_spans`](super::parse_spans) found on a request's line: numbers by value, words as
/// offsets into the line.
///
/// It borrows nothing, so that a connection can keep it while it waits for the data block, or for
/// its turn, and then [`resolve`](Self::resolve) the [`Request`] from the same line without parsing
/// it again. Nothing is allocated: the keys of a `get` and the flags of a meta command are the span
/// of what they take of the line, and are split when they are iterated.
///
/// ```
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::Limits;
/// use windhover_core::memcache::request::{self, Request, StoreRequest};
///
/// let mut buffer = b"set greeting 0 0 5\r\n".to_vec();
/// let spans = request::parse_spans(&buffer, Dialect::Memcached, &Limits::default())?;
/// assert_eq!(spans.data(), Some(5));
///
/// let line = buffer.len();
/// buffer.extend_from_slice(b"hello\r\n"); // which may move the line
/// assert_eq!(spans.resolve(&buffer[..line]), Request::Set(StoreRequest::new(b"greeting")));
/// # Ok::<(), request::RequestError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSpans {
    pub(super) row: &'static Row,
    /// The key or queue.
    pub(super) key: Span,
    /// What else is text: keys, flags, arguments, a consumer group.
    pub(super) rest: Span,
    /// The exptime or delay; the `max` of `monitor`.
    pub(super) signed: i64,
    /// The delta, cas unique, level, number of megabytes, seconds, milliseconds or reads.
    pub(super) unsigned: u64,
    /// The client's flags.
    pub(super) client_flags: u32,
    /// The length of the data block, where the row has one.
    pub(super) length: u32,
    /// What a queue's read does.
    pub(super) mode: ReadMode,
    /// Whether the optional argument is there: a delay, a time to wait, a `max`, `/sync`, `b`; or the
    /// arguments say something of the reply's end.
    pub(super) option: bool,
    pub(super) noreply: bool,
    pub(super) quiet: bool,
}

impl RequestSpans {
    pub(super) const fn new(row: &'static Row) -> Self {
        Self {
            row,
            key: Span::EMPTY,
            rest: Span::EMPTY,
            signed: 0,
            unsigned: 0,
            client_flags: 0,
            length: 0,
            mode: ReadMode::Remove,
            option: false,
            noreply: false,
            quiet: false,
        }
    }

    /// Those of the `set` that authenticates, whose words stand in its data block of that length.
    pub(crate) fn of_credentials(dialect: Dialect, length: usize) -> Option<Self> {
        let row = command::row(Command::Authenticate, dialect)?;
        Some(Self { length: u32::try_from(length).ok()?, ..Self::new(row) })
    }

    /// How long the request itself lets the server wait for something to happen.
    pub(crate) fn wait(&self) -> Duration {
        match self.row.arguments {
            Arguments::QueueRead if self.option => Duration::from_millis(self.unsigned),
            Arguments::Monitor => Duration::from_secs(self.unsigned),
            _ => Duration::ZERO,
        }
    }

    /// The request, borrowed from `line`, which is to be the line that was parsed, at whatever
    /// place: on another one it has other words. (Of [`Request::Authenticate`], whose words stand in
    /// its data block, it is that block.)
    #[inline]
    pub fn resolve<'a>(&self, line: &'a [u8]) -> Request<'a> {
        (self.row.resolve)(self, line)
    }

    /// The row of the command in the table.
    pub const fn row(&self) -> &'static Row {
        self.row
    }

    /// The command by name.
    pub const fn command(&self) -> Command {
        self.row.command
    }

    /// The length of the data block that follows the line, without its own `\r\n`; `None` where none
    /// follows. At most `limits.value`.
    pub const fn data(&self) -> Option<usize> {
        if self.row.data { Some(self.length as usize) } else { None }
    }

    /// Whether the client wants no answer at all ([`Request::noreply`]).
    pub const fn noreply(&self) -> bool {
        self.noreply
    }

    /// Whether the client wants no answer that it expects ([`Request::quiet`]).
    pub const fn quiet(&self) -> bool {
        self.quiet
    }

    /// What follows its reply to the end.
    pub fn reply(&self) -> ReplyEnd {
        ReplyEnd::of(
            self.row,
            match self.row.command {
                Command::Stats if self.option => Ending::WithoutEnd,
                Command::LruCrawler if self.option => Ending::BehindOk,
                _ => Ending::Usual,
            },
        )
    }

    /// Refuses a request whose data block is above the limit; `line` is the line's length.
    pub(crate) fn check_length(
        &self,
        line: usize,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<(), RequestError> {
        match self.data() {
            Some(length) if length > limits.value => {
                let skip = line + length + BLOCK_END.len();
                let fault = RequestFault::ValueTooLarge { length };
                Err(RequestError::new(fault, Some(self.command()), dialect, self.noreply, skip))
            }
            _ => Ok(()),
        }
    }
}

/// What the rows of the table build their requests from.
impl RequestSpans {
    pub(crate) fn key<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        self.key.of(line)
    }

    pub(crate) fn optional_key<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        Some(self.key.of(line)).filter(|key| !key.is_empty())
    }

    pub(crate) fn rest<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        self.rest.of(line)
    }

    pub(crate) fn keys<'a>(&self, line: &'a [u8]) -> Keys<'a> {
        Keys::of_line(self.rest.of(line))
    }

    pub(crate) fn store<'a>(&self, line: &'a [u8]) -> StoreRequest<'a> {
        StoreRequest {
            key: self.key.of(line),
            flags: self.client_flags,
            exptime: self.signed,
            noreply: self.noreply,
        }
    }

    pub(crate) fn meta<'a>(&self, line: &'a [u8]) -> MetaRequest<'a> {
        MetaRequest::new(self.key.of(line), MetaFlags::new(self.rest.of(line)))
    }

    pub(crate) fn queue_read<'a>(&self, line: &'a [u8]) -> QueueRead<'a> {
        let mut read = QueueRead::new(self.key.of(line), self.mode);
        read.asked = self.key.word_of(line);
        if self.option {
            read.timeout = Some(Duration::from_millis(self.unsigned));
        }
        if !self.rest.is_empty() {
            read.group = Some(self.rest.of(line));
        }
        read
    }

    pub(crate) const fn exptime(&self) -> i64 {
        self.signed
    }

    pub(crate) fn optional_exptime(&self) -> Option<i64> {
        self.option.then_some(self.signed)
    }

    pub(crate) const fn unsigned(&self) -> u64 {
        self.unsigned
    }

    /// A number that was parsed as one of 32 bits.
    pub(crate) fn unsigned_32(&self) -> u32 {
        u32::try_from(self.unsigned).unwrap_or(u32::MAX)
    }

    pub(crate) fn optional_max(&self) -> Option<u32> {
        self.option.then(|| u32::try_from(self.signed).unwrap_or(u32::MAX))
    }

    pub(crate) const fn has_option(&self) -> bool {
        self.option
    }
}
