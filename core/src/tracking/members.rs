//! The members of one object, in the order received, each name once: the last value given for a
//! name counts, at the place where the name was first given.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::compact::{self, Value};
use super::mend::Repairs;
use super::scan::{TextRange, Token};

/// The name of a member.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Where it was received, with its quotes.
    range: TextRange,
    /// Of one with escapes.
    escaped: Option<Box<EscapedName>>,
}

#[derive(Clone, Debug)]
struct EscapedName {
    /// As it is passed on, if that is not as it was received: with its quotes and escapes.
    changed: Option<String>,
    /// What it stands for.
    unescaped: String,
}

impl Name {
    /// A name as it was received in `text`.
    #[inline]
    pub(super) fn new(text: &str, token: Token, repairs: &mut Repairs) -> Self {
        let range = token.range;
        let escaped =
            (!token.is_plain).then(|| Box::new(EscapedName::new(range.of(text), repairs)));
        Self { range, escaped }
    }

    /// What it stands for: names are equal when this is.
    #[inline]
    pub(super) fn unescaped<'a>(&'a self, text: &'a str) -> &'a str {
        match &self.escaped {
            Some(escaped) => &escaped.unescaped,
            None => text.get(self.range.start + 1..self.range.end - 1).unwrap_or_default(),
        }
    }

    /// It as it is passed on, of the text that it was received in.
    #[inline]
    pub(super) fn of<'a>(&'a self, text: &'a str) -> &'a str {
        let changed = self.escaped.as_ref().and_then(|escaped| escaped.changed.as_deref());
        changed.unwrap_or_else(|| self.range.of(text))
    }
}

impl EscapedName {
    #[cold]
    fn new(received: &str, repairs: &mut Repairs) -> Self {
        let text = compact::string(received, repairs);
        // No string without lone surrogates is refused.
        let unescaped = serde_json::from_str(&text).unwrap_or_default();
        let changed = match text {
            Cow::Owned(changed) => Some(changed),
            Cow::Borrowed(_) => None,
        };
        Self { changed, unescaped }
    }
}

/// A member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member<T> {
    /// The name as it was first given.
    pub(super) name: Name,
    /// The value that was last given for it.
    pub(super) value: Value,
    /// What the caller knows the name as.
    pub(super) tag: T,
}

impl<T> Member<T> {
    /// Where it was received, if it is passed on like that: name, colon and value.
    #[inline]
    pub(super) fn received(&self) -> Option<TextRange> {
        let (name, value) = (self.name.range, self.value.received()?);
        let is_together = self.name.escaped.is_none() && value.start == name.end + 1;
        is_together.then_some(TextRange { start: name.start, end: value.end })
    }
}

/// Members of one object.
#[derive(Clone, Debug)]
pub(super) struct Members<T> {
    list: Vec<Member<T>>,
    /// A fingerprint of each name, in the order of `list`.
    fingerprints: Vec<u32>,
    /// A bit for each fingerprint, by six of its bits: where it is not set, no other member has the name.
    seen: u64,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { list: Vec::new(), fingerprints: Vec::new(), seen: 0 }
    }
}

/// One more name would be over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl<T> Members<T> {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.fingerprints.clear();
        self.seen = 0;
    }

    pub(super) fn iter(&self) -> core::slice::Iter<'_, Member<T>> {
        self.list.iter()
    }

    /// How many bytes it keeps for the next object.
    pub(super) fn capacity(&self) -> usize {
        self.list.capacity() * size_of::<Member<T>>()
            + self.fingerprints.capacity() * size_of::<u32>()
    }

    /// Takes a member of `text`; a name that no other member has yet is given the tag that `tag` has for it.
    /// No more than `limit` names are kept.
    #[inline]
    pub(super) fn insert(
        &mut self,
        text: &str,
        name: Name,
        value: Value,
        limit: usize,
        tag: impl FnOnce(&str) -> T,
    ) -> Result<(), TooMany> {
        let unescaped = name.unescaped(text);
        let fingerprint = fingerprint(unescaped.as_bytes());
        let bit = 1 << (fingerprint >> 26);
        if self.seen & bit != 0
            && let Some(member) = self.find(text, unescaped, fingerprint)
        {
            member.value = value;
            return Ok(());
        }
        if self.list.len() >= limit {
            return Err(TooMany);
        }
        let tag = tag(unescaped);
        self.seen |= bit;
        self.fingerprints.push(fingerprint);
        self.list.push(Member { name, value, tag });
        Ok(())
    }

    /// Compares fingerprints, several at a time; names only where these are equal.
    fn find(&mut self, text: &str, name: &str, fingerprint: u32) -> Option<&mut Member<T>> {
        const AT_A_TIME: usize = 16;
        let mut members = self.list.chunks_mut(AT_A_TIME);
        self.fingerprints.chunks(AT_A_TIME).find_map(|chunk| {
            let members = members.next()?;
            let equal = |it: &u32| u32::from(*it == fingerprint);
            if chunk.iter().map(equal).sum::<u32>() == 0 {
                return None;
            }
            members.iter_mut().find(|member| member.name.unescaped(text) == name)
        })
    }
}

/// Tells most names apart by their length, their first eight bytes and their last eight. Names
/// made to collide cost a comparison each, and there are never more of them than the limit.
fn fingerprint(name: &[u8]) -> u32 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => (name.iter().fold(0, |bytes, &byte| bytes << 8 | u64::from(byte)), 0),
        },
    };
    let mixed =
        (first ^ last.rotate_left(29) ^ (name.len() as u64).rotate_left(59)).wrapping_mul(MIX);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;
    use crate::tracking::scan::{Bounds, Scanner};

    fn collect(object: &str, limit: usize) -> Result<Vec<(String, String)>, TooMany> {
        let mut members = Members::default();
        let mut scanner = Scanner::new(object, Vec::new());
        scanner
            .object(|scanner, name| {
                let name = Name::new(object, name, &mut Repairs::default());
                let value = scanner.value(Bounds::NONE)?;
                let value = Value::new(scanner, value, &mut Repairs::default()).unwrap();
                Ok(members.insert(object, name, value, limit, |_| ()))
            })
            .unwrap()?;
        Ok(members
            .iter()
            .map(|member| (member.name.of(object).into(), member.value.of(object).into()))
            .collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn the_last_value_counts_at_the_place_of_the_first() {
        assert_eq!(
            collect(r#"{"a":1,"b":2,"a":3,"c":4,"b":5}"#, 3),
            Ok(std::vec![pair(r#""a""#, "3"), pair(r#""b""#, "5"), pair(r#""c""#, "4")])
        );
    }

    #[test]
    fn names_are_equal_when_what_they_stand_for_is() {
        assert_eq!(
            collect(r#"{"tok\u0065n":1,"token":2,"t\u006fken":3,"a\/b":4,"a/b":5}"#, 2),
            Ok(std::vec![pair(r#""tok\u0065n""#, "3"), pair(r#""a\/b""#, "5")])
        );
        // Half a surrogate pair is cleaned up first, whichever half it is.
        assert_eq!(
            collect(r#"{"\ud83d":1,"\ude00":2,"\ufffd":3}"#, 1),
            Ok(std::vec![pair(r#""\ufffd""#, "3")])
        );
    }

    #[test]
    fn escapes_of_names_are_undone() {
        let cases = [
            (r#""""#, ""),
            (r#""token""#, "token"),
            ("\"tok\\u0065n\"", "token"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\ud83d\ude00é\u00e9""#, "😀éé"),
            (r#""\ud83d-\ude00""#, "\u{fffd}-\u{fffd}"),
            (r#""\u0000""#, "\0"),
        ];
        for (received, expected) in cases {
            let range = TextRange { start: 0, end: received.len() };
            let token = Token { range, is_plain: !received.contains('\\') };
            let name = Name::new(received, token, &mut Repairs::default());
            assert_eq!(name.unescaped(received), expected);
        }
    }

    #[test]
    fn names_with_equal_ends_are_told_apart() {
        assert_eq!(
            collect(r#"{"abcdefgh-1-abcdefgh":1,"abcdefgh-2-abcdefgh":2}"#, 2).map(|m| m.len()),
            Ok(2)
        );
    }

    #[test]
    fn names_that_differ_in_a_byte_have_other_fingerprints() {
        for name in ["ab", "abcdefg", "abcdefgh", "abcdefgh-1-abcdefgh"] {
            for at in (0..name.len()).filter(|at| name.len() < 9 || !(8..11).contains(at)) {
                let mut other = name.as_bytes().to_vec();
                other[at] ^= 1;
                assert_ne!(fingerprint(name.as_bytes()), fingerprint(&other), "{name} at {at}");
            }
        }
    }

    #[test]
    fn one_name_more_than_the_limit_is_too_many() {
        assert_eq!(collect(r#"{"a":1,"b":2,"c":3}"#, 2), Err(TooMany));
    }

    #[test]
    fn many_names_are_found_again() {
        let members: Vec<_> =
            (0..254 * 2).map(|n| std::format!("\"property {}\":{n}", n % 254)).collect();
        let members = collect(&std::format!("{{{}}}", members.join(",")), 254).unwrap();
        assert_eq!(members.len(), 254);
        assert_eq!(members[253], pair("\"property 253\"", "507"));
    }
}
