//! Chunked bodies, undone in place as they come (RFC 9112 §7.1).

use super::encode::is_token_byte;
use super::error::HttpError;

/// Most digits of a chunk's size; leading zeros count.
const DIGITS: usize = 64;

/// The decoder of one chunked body.
///
/// The data of the chunks is moved to the front of the buffer that they came in, once; the framing
/// between them is taken byte by byte and forgotten, so that a body never needs more memory than
/// its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    /// The size of this chunk so far, or what of its data has not come yet.
    size: u64,
    digits: usize,
    /// Data undone so far; it lies at the front of the buffer.
    decoded: usize,
    /// Most data there may be.
    limit: usize,
    /// How many bytes of extensions and trailers may still come.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// White space behind a size: an extension must follow.
    BeforeExtension,
    Extension,
    SizeNewline,
    Data,
    DataReturn,
    DataNewline,
    /// The first byte of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    /// Behind the colon.
    Trailer,
    TrailerNewline,
    LastNewline,
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Every byte was taken. The first `decoded` bytes of the buffer are data; those behind them
    /// can go.
    More { decoded: usize },
    /// The body is whole: the first `decoded` bytes are its data, and it ended before `end`.
    Whole { decoded: usize, end: usize },
}

impl Chunked {
    /// A decoder for a body of at most `limit` bytes of data, with at most `overhead` bytes of
    /// extensions and trailers.
    pub(super) fn new(limit: usize, overhead: usize) -> Self {
        Self { state: State::Size, size: 0, digits: 0, decoded: 0, limit, overhead }
    }

    /// Takes the bytes of `buffer` that lie behind the data undone so far.
    pub(super) fn decode(&mut self, buffer: &mut [u8]) -> Result<Progress, HttpError> {
        let mut at = self.decoded;
        while let Some(&byte) = buffer.get(at) {
            if self.state == State::Data {
                at += self.take_data(buffer, at);
                continue;
            }
            at += 1;
            self.state = match (self.state, byte) {
                (State::Size, b';' | b' ' | b'\t' | b'\r') if self.digits == 0 => {
                    return Err(HttpError::Chunk);
                }
                (State::Size | State::BeforeExtension, b';') => State::Extension,
                (State::Size | State::BeforeExtension, b' ' | b'\t') => {
                    self.spend_overhead()?;
                    State::BeforeExtension
                }
                (State::Size | State::Extension, b'\r') => State::SizeNewline,
                (State::Size, digit) => self.take_digit(digit)?,
                (State::SizeNewline, b'\n') => self.end_size()?,
                (State::DataReturn, b'\r') => State::DataNewline,
                (State::DataNewline, b'\n') => State::Size,
                (State::TrailerStart, b'\r') => State::LastNewline,
                (State::Trailer, b'\r') => State::TrailerNewline,
                (State::TrailerNewline, b'\n') => State::TrailerStart,
                (State::LastNewline, b'\n') => {
                    return Ok(Progress::Whole { decoded: self.decoded, end: at });
                }
                (State::Extension, byte) if is_text(byte) => {
                    self.spend_overhead()?;
                    State::Extension
                }
                // A field and nothing else: no folded line, nor what could be taken for a request.
                (State::TrailerStart | State::TrailerName, byte) if is_token_byte(byte) => {
                    self.spend_overhead()?;
                    State::TrailerName
                }
                (State::TrailerName, b':') => {
                    self.spend_overhead()?;
                    State::Trailer
                }
                (State::Trailer, byte) if is_text(byte) => {
                    self.spend_overhead()?;
                    State::Trailer
                }
                _ => return Err(HttpError::Chunk),
            };
        }
        Ok(Progress::More { decoded: self.decoded })
    }

    /// Moves the data at `at` behind the data undone so far, and says how much there was.
    fn take_data(&mut self, buffer: &mut [u8], at: usize) -> usize {
        let come = buffer.len() - at;
        let n = usize::try_from(self.size).map_or(come, |size| size.min(come));
        if at != self.decoded {
            buffer.copy_within(at..at + n, self.decoded);
        }
        self.decoded += n;
        self.size -= n as u64;
        if self.size == 0 {
            self.state = State::DataReturn;
        }
        n
    }

    fn take_digit(&mut self, digit: u8) -> Result<State, HttpError> {
        let value = char::from(digit).to_digit(16).ok_or(HttpError::Chunk)?;
        self.digits += 1;
        if self.digits > DIGITS {
            return Err(HttpError::Chunk);
        }
        self.size = self
            .size
            .checked_mul(16)
            .and_then(|size| size.checked_add(u64::from(value)))
            .ok_or(HttpError::BodyTooLarge { limit: self.limit })?;
        Ok(State::Size)
    }

    fn end_size(&mut self) -> Result<State, HttpError> {
        self.digits = 0;
        if self.size > (self.limit - self.decoded) as u64 {
            return Err(HttpError::BodyTooLarge { limit: self.limit });
        }
        Ok(if self.size == 0 { State::TrailerStart } else { State::Data })
    }

    fn spend_overhead(&mut self) -> Result<(), HttpError> {
        self.overhead = self.overhead.checked_sub(1).ok_or(HttpError::ChunkOverhead)?;
        Ok(())
    }
}

/// What may stand in a line beside its end: no control characters but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
