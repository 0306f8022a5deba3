//! The members of one object, in the order received, each name once: the last value given for a
//! name counts, at the place where the name was first given.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::compact;
use super::mend::Repairs;

/// The name of a member.
#[derive(Clone, Debug)]
pub(super) struct Name<'a> {
    /// As it is passed on: with its quotes and escapes.
    pub(super) text: Cow<'a, str>,
    /// What it stands for, if that is not what is between the quotes.
    unescaped: Option<String>,
}

impl<'a> Name<'a> {
    /// A name as it was received, with its quotes.
    pub(super) fn new(received: &'a str, repairs: &mut Repairs) -> Self {
        let text = compact::string(received, repairs);
        let has_escapes = memchr::memchr(b'\\', text.as_bytes()).is_some();
        // No string without lone surrogates is refused.
        let unescaped = has_escapes.then(|| serde_json::from_str(&text).ok()).flatten();
        Self { text, unescaped }
    }

    /// What it stands for: names are equal when this is.
    pub(super) fn as_str(&self) -> &str {
        match &self.unescaped {
            Some(unescaped) => unescaped,
            None => self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default(),
        }
    }
}

/// A member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member<'a, T> {
    /// The name as it was first given.
    pub(super) name: Name<'a>,
    /// The value that was last given for it.
    pub(super) value: Cow<'a, str>,
    /// What the caller knows the name as.
    pub(super) tag: T,
}

/// Members of one object.
#[derive(Clone, Debug)]
pub(super) struct Members<'a, T> {
    list: Vec<Member<'a, T>>,
    /// A fingerprint of each name, in the order of `list`.
    fingerprints: Vec<u32>,
}

impl<T> Default for Members<'_, T> {
    fn default() -> Self {
        Self { list: Vec::new(), fingerprints: Vec::new() }
    }
}

/// One more name would be over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl<'a, T> Members<'a, T> {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.fingerprints.clear();
    }

    pub(super) fn iter(&self) -> core::slice::Iter<'_, Member<'a, T>> {
        self.list.iter()
    }

    /// Takes a member; a name that no other member has yet is given the tag that `tag` has for it.
    /// No more than `limit` names are kept.
    pub(super) fn insert(
        &mut self,
        name: Name<'a>,
        value: Cow<'a, str>,
        limit: usize,
        tag: impl FnOnce(&str) -> T,
    ) -> Result<(), TooMany> {
        let fingerprint = fingerprint(name.as_str().as_bytes());
        if let Some(member) = self.find(name.as_str(), fingerprint) {
            member.value = value;
            return Ok(());
        }
        if self.list.len() >= limit {
            return Err(TooMany);
        }
        let tag = tag(name.as_str());
        self.fingerprints.push(fingerprint);
        self.list.push(Member { name, value, tag });
        Ok(())
    }

    /// Compares fingerprints, several at a time; names only where these are equal.
    fn find(&mut self, name: &str, fingerprint: u32) -> Option<&mut Member<'a, T>> {
        const AT_A_TIME: usize = 16;
        let mut members = self.list.chunks_mut(AT_A_TIME);
        self.fingerprints.chunks(AT_A_TIME).find_map(|chunk| {
            let members = members.next()?;
            let equal = |it: &u32| u32::from(*it == fingerprint);
            if chunk.iter().map(equal).sum::<u32>() == 0 {
                return None;
            }
            members.iter_mut().find(|member| member.name.as_str() == name)
        })
    }
}

/// Tells most names apart by their length, their first eight bytes and their last eight. Names
/// made to collide cost a comparison each, and there are never more of them than the limit.
fn fingerprint(name: &[u8]) -> u32 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (name.iter().fold(0, |bytes, &byte| bytes << 8 | u64::from(byte)), 0),
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
    use crate::tracking::json;

    fn collect(object: &str, limit: usize) -> Result<Vec<(String, String)>, TooMany> {
        let mut members = Members::default();
        json::members(object, |name, value| {
            members.insert(Name::new(name, &mut Repairs::default()), value.into(), limit, |_| ())
        })
        .unwrap()?;
        Ok(members
            .iter()
            .map(|member| (member.name.text.clone().into(), member.value.clone().into()))
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
            assert_eq!(Name::new(received, &mut Repairs::default()).as_str(), expected);
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
