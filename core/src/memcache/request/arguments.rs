//! The words of a line.

use super::Fault;
use crate::memcache::Limits;
use crate::memcache::span::{Scanner, Span};

/// A fault on a line, whether the client asked for no answer, and how many bytes behind the line
/// are to be dropped with it.
#[derive(Clone, Copy)]
pub(crate) struct Refused {
    pub(super) fault: Fault,
    pub(super) noreply: bool,
    pub(super) block: usize,
}

/// Of a line whose form rules out `noreply`.
#[cold]
pub(super) fn refused(fault: Fault) -> Refused {
    Refused { fault, noreply: false, block: 0 }
}

/// Of a line on which `noreply` may have been.
#[cold]
pub(super) fn refused_quietly(fault: Fault, noreply: bool) -> Refused {
    Refused { fault, noreply, block: 0 }
}

/// No command whose arguments are numbered takes more.
const MAX_WORDS: usize = 6;

/// The first arguments of a line, and how many there are.
pub(super) struct Words<'a> {
    text: &'a [u8],
    spans: [Span; MAX_WORDS],
    count: usize,
}

impl<'a> Words<'a> {
    /// The words that are left on the line; those above one too many are not counted.
    #[inline]
    pub(super) fn of(scanner: &mut Scanner<'a>) -> Self {
        let mut spans = [Span::EMPTY; MAX_WORDS];
        let mut count = 0;
        while let Some(word) = scanner.word() {
            count += 1;
            match spans.get_mut(count - 1) {
                Some(place) => *place = word,
                None => break,
            }
        }
        Self { text: scanner.text(), spans, count }
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
        self.count.checked_sub(1).is_some_and(|last| self.word(last) == b"noreply")
    }

    /// Refuses the line unless it has so many words.
    pub(super) fn want(&self, least: usize, most: usize) -> Result<(), Refused> {
        if (least..=most).contains(&self.count) {
            Ok(())
        } else {
            Err(refused(Fault::ArgumentCount))
        }
    }
}

/// `<key> <number>{N} [noreply]` as clients write it: numbers of digits alone, one space between.
/// `None` for anything else, which is then read word by word.
pub(super) struct Plain<const N: usize> {
    pub(super) key: Span,
    pub(super) numbers: [u64; N],
    pub(super) noreply: bool,
}

impl<const N: usize> Plain<N> {
    #[inline]
    pub(super) fn read(scanner: &Scanner<'_>, limits: &Limits) -> Option<Self> {
        let mut scanner = scanner.clone();
        let key = scanner.word().filter(|key| key.len() <= limits.key)?;
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = scanner.number()?;
        }
        let noreply = match scanner.rest() {
            b"" => false,
            b" noreply" => true,
            _ => return None,
        };
        Some(Self { key, numbers, noreply })
    }
}

pub(super) fn check_key(key: Span, limits: &Limits) -> Result<(), Fault> {
    if key.len() > limits.key {
        return Err(Fault::KeyTooLong { length: key.len() });
    }
    Ok(())
}
