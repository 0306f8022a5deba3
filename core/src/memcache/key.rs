//! Keys, and the many keys of one `get`.

use core::iter::FusedIterator;

use crate::swar;

/// The words of `line`: what stands between spaces. Tabs do not separate.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    line.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// The first word of `line` and what stands behind it; `None` where there is no word.
#[inline]
pub(crate) fn first_word(mut line: &[u8]) -> Option<(&[u8], &[u8])> {
    while let [b' ', behind @ ..] = line {
        line = behind;
    }
    if line.is_empty() { None } else { line.split_at_checked(word_length(line)) }
}

/// How many bytes stand before the first space of `text`, or before its end.
#[inline]
pub(crate) fn word_length(text: &[u8]) -> usize {
    swar::find(text, space)
}

/// Marks spaces.
#[inline]
pub(crate) const fn space(eight: u64) -> u64 {
    swar::equal(eight, b' ')
}

/// The first byte of `word` that may not stand in a key that a client sends (protocol.txt, "Keys": no white
/// space, no control characters), and where it is.
#[inline]
pub(crate) fn forbidden(word: &[u8]) -> Option<(u8, usize)> {
    let mark = |eight| swar::below(eight, b'!') | swar::equal(eight, 0x7f);
    if swar::any(word, mark) { first_forbidden(word) } else { None }
}

#[cold]
fn first_forbidden(word: &[u8]) -> Option<(u8, usize)> {
    let at = word.iter().position(|&byte| byte <= b' ' || byte == 0x7f)?;
    word.get(at).map(|&byte| (byte, at))
}

/// The keys of one retrieval, in the order in which they were asked for. A key that was named
/// twice is here twice.
///
/// Borrowed: from the request's line when it was parsed, from a list when a client builds it.
///
/// ```
/// use windhover_core::memcache::Keys;
///
/// let keys = Keys::new(&[b"one", b"two"]);
/// assert_eq!(keys.clone().count(), 2);
/// assert!(keys.eq([b"one", b"two"]));
/// ```
#[derive(Clone)]
pub struct Keys<'a>(Source<'a>);

#[derive(Clone)]
enum Source<'a> {
    /// The rest of a line: words between spaces.
    Line(&'a [u8]),
    List(&'a [&'a [u8]]),
}

impl<'a> Keys<'a> {
    /// The keys that a client asks for. They are checked when the request is encoded.
    pub const fn new(keys: &'a [&'a [u8]]) -> Self {
        Self(Source::List(keys))
    }

    /// The key of a list of one.
    #[inline]
    pub(crate) const fn only_of_list(&self) -> Option<&'a [u8]> {
        match self.0 {
            Source::List([key]) => Some(key),
            Source::List(_) | Source::Line(_) => None,
        }
    }

    pub(crate) const fn of_line(rest: &'a [u8]) -> Self {
        Self(Source::Line(rest))
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            Source::Line(rest) => {
                let (key, behind) = first_word(rest)?;
                *rest = behind;
                Some(key)
            }
            Source::List(list) => {
                let (first, behind) = list.split_first()?;
                *list = behind;
                Some(first)
            }
        }
    }
}

impl FusedIterator for Keys<'_> {}

impl core::fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.clone().map(Quoted)).finish()
    }
}

/// A key as a person reads it.
struct Quoted<'a>(&'a [u8]);

impl core::fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl PartialEq for Keys<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(self.clone(), other.clone())
    }
}

impl Eq for Keys<'_> {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn spaces_separate_and_tabs_do_not() {
        let keys: Vec<_> = Keys::of_line(b"  a  b\tc d ").collect();
        assert_eq!(keys, [&b"a"[..], b"b\tc", b"d"]);
    }

    #[test]
    fn a_word_of_any_length_ends_at_the_first_space() {
        for length in 0..40 {
            for filling in [b'!', b'\x1f', b'\xa0', b'\xff', 0] {
                let mut text = std::vec![filling; length];
                assert_eq!(word_length(&text), length);
                text.extend_from_slice(b" ! b                ");
                assert_eq!(word_length(&text), length, "{filling:#x}");
            }
        }
    }

    #[test]
    fn keys_of_a_line_equal_those_of_a_list() {
        assert_eq!(Keys::of_line(b"a  b"), Keys::new(&[b"a", b"b"]));
        assert_ne!(Keys::of_line(b"a"), Keys::new(&[b"a", b"a"]));
    }
}
