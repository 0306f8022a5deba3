//! The words of a line.

use super::RequestFault;
use crate::memcache::span::{Scanner, Span};
use crate::memcache::{Limits, number};

/// A fault on a line, whether the client asked for no answer, and how many bytes behind the line
/// are to be dropped with it.
#[derive(Clone, Copy)]
pub(crate) struct Refused {
    pub(super) fault: RequestFault,
    pub(super) noreply: bool,
    pub(super) block: usize,
}

/// Of a line whose form rules out `noreply`.
#[cold]
pub(super) fn refused(fault: RequestFault) -> Refused {
    Refused { fault, noreply: false, block: 0 }
}

/// Of a line on which `noreply` may have been.
#[cold]
pub(super) fn refused_quietly(fault: RequestFault, noreply: bool) -> Refused {
    Refused { fault, noreply, block: 0 }
}

/// No command looks at more arguments by their number.
const MAX_WORDS: usize = 6;
/// memcached splits a line into so many words, its verb among them: those behind have no meaning.
pub(super) const MAX_TOKENS: usize = 23;

/// The first arguments of a line, the last one, and how many there are.
pub(super) struct Words<'a> {
    text: &'a [u8],
    spans: [Span; MAX_WORDS],
    last: Span,
    count: usize,
}

impl<'a> Words<'a> {
    /// The words that are left on the line behind its verb, as far as memcached looks at them.
    #[inline]
    pub(super) fn of(scanner: &mut Scanner<'a>) -> Self {
        let mut spans = [Span::EMPTY; MAX_WORDS];
        let mut last = Span::EMPTY;
        let mut count = 0;
        while count < MAX_TOKENS - 1
            && let Some(word) = scanner.word()
        {
            if let Some(place) = spans.get_mut(count) {
                *place = word;
            }
            last = word;
            count += 1;
        }
        Self { text: scanner.text(), spans, last, count }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Where the word of that number stands; empty where there is none.
    pub(super) fn span(&self, at: usize) -> Span {
        self.spans.get(at).copied().unwrap_or(Span::EMPTY)
    }

    /// The word of that number; empty where there is none.
    #[inline]
    pub(super) fn word(&self, at: usize) -> &'a [u8] {
        self.span(at).of(self.text)
    }

    /// memcached looks at the last word, whatever its place, before it looks at the others.
    pub(super) fn noreply(&self) -> bool {
        self.last.of(self.text) == b"noreply"
    }

    /// Refuses the line unless it has as many words at least.
    pub(super) fn want(&self, least: usize) -> Result<(), Refused> {
        if self.count < least { Err(refused(RequestFault::ArgumentCount)) } else { Ok(()) }
    }

    /// Refuses the line unless it has at least and at most so many words.
    pub(super) fn want_between(&self, least: usize, most: usize) -> Result<(), Refused> {
        if self.count > most { Err(refused(RequestFault::ArgumentCount)) } else { self.want(least) }
    }
}

/// `<key> <number>{N} <number> [noreply]` as clients write it: numbers of digits alone, one space
/// between, the last one of up to `MOST` digits. `None` for anything else, which is then read word by
/// word.
pub(super) struct Plain<const N: usize, const MOST: usize> {
    pub(super) key: Span,
    pub(super) numbers: [u64; N],
    pub(super) last: u64,
    pub(super) noreply: bool,
}

impl<const N: usize, const MOST: usize> Plain<N, MOST> {
    #[inline]
    pub(super) fn read(scanner: &Scanner<'_>, limits: &Limits) -> Option<Self> {
        let mut scanner = scanner.clone();
        let key = scanner.word().filter(|key| key.len() <= limits.key)?;
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = scanner.number::<{ number::MAX_DIGITS_64 }>()?;
        }
        let last = scanner.number::<MOST>()?;
        let noreply = match scanner.rest() {
            b"" => false,
            b" noreply" => true,
            _ => return None,
        };
        Some(Self { key, numbers, last, noreply })
    }
}

pub(super) fn check_key(key: Span, limits: &Limits) -> Result<(), RequestFault> {
    if key.len() > limits.key {
        return Err(RequestFault::KeyTooLong { length: key.len() });
    }
    Ok(())
}
