//! Words as offsets into their line.

use super::key;

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

    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Within a line of at most `MAX_LINE` bytes nothing is cut off here.
        let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
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
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Of a line without its end.
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The line that it reads, without its end.
    pub(crate) const fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The next word; `None` where only spaces are left.
    #[inline]
    pub(crate) fn word(&mut self) -> Option<Span> {
        let mut start = self.at;
        while let Some(b' ') = self.text.get(start) {
            start += 1;
        }
        let word = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        self.at = start + key::word_length(word);
        Some(Span::new(start, self.at))
    }

    /// The next word where it stands behind one space and is a number of up to 19 digits, which
    /// cannot overflow.
    #[inline]
    pub(crate) fn digits(&mut self) -> Option<u64> {
        let [b' ', word @ ..] = self.text.get(self.at..)? else {
            return None;
        };
        let mut number: u64 = 0;
        let mut length = 0;
        for &byte in word {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                if byte == b' ' {
                    break;
                }
                return None;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            length += 1;
        }
        self.at += 1 + length;
        (1..=19).contains(&length).then_some(number)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> Span {
        Span::new(self.at, self.text.len())
    }

    /// What was not read yet, without the spaces around it.
    pub(crate) fn trimmed(&self) -> Span {
        let (mut start, mut end) = (self.at, self.text.len());
        while let Some([b' ', ..]) = self.text.get(start..end) {
            start += 1;
        }
        while let Some([.., b' ']) = self.text.get(start..end) {
            end -= 1;
        }
        Span::new(start, end)
    }
}
