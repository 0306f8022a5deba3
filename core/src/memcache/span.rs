//! Words as offsets into their line.

use super::{key, number};
use crate::swar;

/// Where a word, or several with spaces between them, stands on a line.
///
/// Half the size of a slice, and it borrows nothing: a connection keeps it while the line stays in a
/// buffer that moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// No word.
    pub(crate) const EMPTY: Self = Self { start: 0, end: 0 };
    /// The longest line whose words have spans.
    pub(crate) const MAX_LINE: usize = u32::MAX as usize;

    /// On a line of at most [`MAX_LINE`](Self::MAX_LINE) bytes.
    #[inline]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        debug_assert!(end <= Self::MAX_LINE);
        Self { start: number::low_32(start as u64), end: number::low_32(end as u64) }
    }

    /// Where `text`, which is a part of `line`, stands on it; of any other text nothing.
    #[inline]
    pub(crate) fn within(line: &[u8], text: &[u8]) -> Self {
        let start = text.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
        match start.checked_add(text.len()) {
            Some(end) if end <= line.len() && !text.is_empty() => Self::new(start, end),
            _ => Self::EMPTY,
        }
    }

    pub(crate) const fn start(self) -> usize {
        self.start as usize
    }

    pub(crate) const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its bytes on its line; nothing on a line that is too short to be its own.
    pub(crate) fn of(self, line: &[u8]) -> &[u8] {
        line.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Span {
    /// The whole word on its line that begins where it does.
    pub(crate) fn word_of(self, line: &[u8]) -> &[u8] {
        let rest = line.get(self.start as usize..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }
}

/// Reads a line from left to right, word by word. Spaces separate, tabs do not.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// Of a line without its end.
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, rest: text }
    }

    /// The line that it reads, without its end.
    pub(crate) const fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How much was read.
    #[inline]
    const fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Goes on behind so many bytes.
    #[inline]
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The next word; `None` where only spaces are left.
    #[inline]
    pub(crate) fn word(&mut self) -> Option<Span> {
        while let [b' ', behind @ ..] = self.rest {
            self.rest = behind;
        }
        let start = self.at();
        self.skip(swar::find_in_rest(self.text, self.rest, key::space));
        let end = self.at();
        (start < end).then(|| Span::new(start, end))
    }

    /// The next word where it stands behind one space and is a number of up to `MOST` digits alone;
    /// `None` for anything else, of which some may be read.
    #[inline]
    pub(crate) fn number<const MOST: usize>(&mut self) -> Option<u64> {
        let [b' ', digits @ ..] = self.rest else {
            return None;
        };
        let (number, length) = number::digits_before(digits);
        self.rest = digits.get(length..).unwrap_or_default();
        match (length, self.rest) {
            (0, _) => None,
            // They cannot overflow.
            (1..=19, [] | [b' ', ..]) if length <= MOST => Some(number),
            (_, [] | [b' ', ..]) if length <= MOST => number::decimal(digits.get(..length)?),
            _ => None,
        }
    }

    /// Where that stands which was not read yet.
    #[inline]
    pub(crate) const fn rest_span(&self) -> Span {
        Span::new(self.at(), self.text.len())
    }

    /// The same without the spaces around it.
    pub(crate) fn trimmed(&self) -> Span {
        let (mut start, mut end) = (self.at(), self.text.len());
        while let Some([b' ', ..]) = self.text.get(start..end) {
            start += 1;
        }
        while let Some([.., b' ']) = self.text.get(start..end) {
            end -= 1;
        }
        Span::new(start, end)
    }
}
