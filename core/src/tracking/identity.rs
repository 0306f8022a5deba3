//! What makes two events the same event, sent twice.

use alloc::borrow::Cow;
use core::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::json;
use crate::UnixTime;

/// What an event is recognised by when it is sent again: its token, its name, its time, its `distinct_id` and
/// the `$insert_id` that its sender gave it. An event without an `$insert_id` of its own has no identity: two
/// that look alike may both have happened.
///
/// Values are compared as JSON: `1` and `"1"` differ, `"a"` and `"\u0061"` do not.
///
/// ```
/// use windhover_core::tracking::{EventIdentity, RecordedIdentity};
///
/// let line = |name: &str| {
///     format!(r#"{{"event":{name},"properties":{{"token":"t","$insert_id":"a1","time":1334859600000}}}}"#)
/// };
/// let (sent, again, other) = (line(r#""buy""#), line(r#""\u0062uy""#), line(r#""sell""#));
/// let digest = |line: &str| {
///     let RecordedIdentity { identity, .. } = EventIdentity::of_record(line.as_bytes())?;
///     Some(identity.digest(&[7; 16]))
/// };
/// assert!(digest(&sent).is_some());
/// assert_eq!(digest(&sent), digest(&again));
/// assert_ne!(digest(&sent), digest(&other));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdentity<'a> {
    pub(super) token: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// `None`: its sender gave none, or one that is not believed.
    pub(super) time: Option<UnixTime>,
    /// Empty if there is none.
    pub(super) distinct_id: Cow<'a, str>,
    pub(super) insert_id: Cow<'a, str>,
}

/// An identity in 16 bytes, which are never all zero: see [`EventIdentity::digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventDigest(pub(super) u128);

impl EventDigest {
    /// The digest of those bytes; `None` when they are all zero, which is no digest.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        Some(u128::from_le_bytes(bytes)).filter(|&digest| digest != 0).map(Self)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// What a recorded event says of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedIdentity<'a> {
    /// With the time that is in the record.
    pub identity: EventIdentity<'a>,
    /// That time is the one at which it was received: it may have come without one.
    pub is_time_of_receipt: bool,
}

impl<'a> EventIdentity<'a> {
    /// SipHash-1-3 of all five under `key`, with 128 bits.
    ///
    /// As long as the key is secret nobody can make two identities with one digest, and by chance two of
    /// `n` have the same with a probability of `n²/2¹²⁹`: 10⁻²⁶ among 10⁶, 10⁻²⁴ among 10⁷.
    pub fn digest(&self, key: &[u8; 16]) -> EventDigest {
        let mut hasher = SipHasher13::new_with_key(key);
        // A JSON value says where it ends.
        for value in [&self.token, &self.name, &self.distinct_id, &self.insert_id] {
            hasher.write(canonical(value).as_bytes());
        }
        // Never `u64::MAX` milliseconds.
        hasher.write_u64(self.time.map_or(u64::MAX, UnixTime::as_millis));
        let digest = u128::from(hasher.finish128());
        EventDigest(digest.max(1))
    }

    /// The same, had it come without a time.
    #[must_use]
    pub fn without_time(mut self) -> Self {
        self.time = None;
        self
    }

    /// The identity of an event as it was [recorded](super::Decoder::decode), to be found in a journal: one line of
    /// JSON. `None` for what is no recorded event, and for one whose `$insert_id` was
    /// [stamped](super::IdSource) on it.
    ///
    /// ```
    /// use windhover_core::tracking::EventIdentity;
    ///
    /// let line = br#"{"event":"buy","properties":{"token":"t","$insert_id":"a1","time":1334859600000,"mp_processing_time_ms":1334859601234}}"#;
    /// let recorded = EventIdentity::of_record(line).expect("it has an identity");
    /// assert!(!recorded.is_time_of_receipt);
    /// assert_eq!(EventIdentity::of_record(br#"{"event":"buy","properties":{"token":"t"}}"#), None);
    /// ```
    pub fn of_record(line: &'a [u8]) -> Option<RecordedIdentity<'a>> {
        let text = core::str::from_utf8(line).ok()?;
        let mut found = Found::default();
        let mut properties = None;
        json::members(text, |name, value| {
            match &*unescaped(name) {
                "event" => found.name = Some(value),
                "properties" => properties = Some(value),
                _ => {}
            }
            Ok::<_, ()>(())
        })
        .ok()?
        .ok()?;
        json::members(properties?, |name, value| {
            found.take(&unescaped(name), value);
            Ok::<_, ()>(())
        })
        .ok()?
        .ok()?;
        let insert_id = found.insert_id.filter(|id| is_given(id) && !found.is_stamped)?;
        let time: u64 = found.time?.parse().ok()?;
        let identity = Self {
            token: found.token?.into(),
            name: found.name?.into(),
            time: Some(UnixTime::from_millis(time)),
            distinct_id: found.distinct_id.unwrap_or_default().into(),
            insert_id: insert_id.into(),
        };
        Some(RecordedIdentity { identity, is_time_of_receipt: found.time == found.processed })
    }
}

/// Whether a value of `$insert_id` is one that a sender gave.
pub(super) fn is_given(insert_id: &str) -> bool {
    !matches!(insert_id, "null" | "\"\"")
}

/// Members of a record, as JSON.
#[derive(Default)]
struct Found<'a> {
    name: Option<&'a str>,
    token: Option<&'a str>,
    time: Option<&'a str>,
    distinct_id: Option<&'a str>,
    insert_id: Option<&'a str>,
    processed: Option<&'a str>,
    /// `$insert_id` is where stamps stand, and looks like one.
    is_stamped: bool,
    follows_processed: bool,
}

impl<'a> Found<'a> {
    fn take(&mut self, name: &str, value: &'a str) {
        let follows_processed = core::mem::take(&mut self.follows_processed);
        match name {
            "token" => self.token = Some(value),
            "time" => self.time = Some(value),
            "distinct_id" => self.distinct_id = Some(value),
            "mp_processing_time_ms" => {
                self.processed = Some(value);
                self.follows_processed = true;
            }
            "$insert_id" => {
                self.insert_id = Some(value);
                let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                self.is_stamped = follows_processed
                    && value.len() == 34
                    && value.trim_matches('"').bytes().all(is_hex);
            }
            _ => {}
        }
    }
}

/// What a member's name stands for. In a record none has lone surrogates.
fn unescaped(name: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', name.as_bytes()).is_some() {
        return Cow::Owned(serde_json::from_str(name).unwrap_or_default());
    }
    Cow::Borrowed(name.get(1..name.len().saturating_sub(1)).unwrap_or_default())
}

/// A JSON value with one spelling for each string.
fn canonical(value: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    spelled(value).map_or(Cow::Borrowed(value), Cow::Owned)
}

#[cold]
fn spelled(value: &str) -> Option<alloc::string::String> {
    let text: alloc::string::String = serde_json::from_str(value).ok()?;
    serde_json::to_string(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::http::{Headers, Method, Request};
    use crate::tracking::{
        BatchRule, Context, Decoder, IdSource, RecordSink, RedirectPolicy, TrackingEndpoint,
        TrackingLimits,
    };

    const KEY: [u8; 16] = *b"0123456789abcdef";

    fn identity() -> EventIdentity<'static> {
        EventIdentity {
            token: "\"t\"".into(),
            name: "\"buy\"".into(),
            time: Some(UnixTime::from_millis(7)),
            distinct_id: "\"d\"".into(),
            insert_id: "\"i\"".into(),
        }
    }

    #[test]
    fn each_of_the_five_makes_another_event_and_another_key_another_digest() {
        let first = identity().digest(&KEY);
        assert_eq!(identity().digest(&KEY), first);
        let others = [
            EventIdentity { token: "\"u\"".into(), ..identity() },
            EventIdentity { name: "\"sell\"".into(), ..identity() },
            EventIdentity { time: Some(UnixTime::from_millis(8)), ..identity() },
            identity().without_time(),
            EventIdentity { distinct_id: "1".into(), ..identity() },
            EventIdentity { distinct_id: "\"1\"".into(), ..identity() },
            EventIdentity { distinct_id: "".into(), ..identity() },
            EventIdentity { insert_id: "\"j\"".into(), ..identity() },
            // The same letters, divided elsewhere.
            EventIdentity { token: "\"tb\"".into(), name: "\"uy\"".into(), ..identity() },
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(other.digest(&KEY), first, "{other:?}");
            for another in &others[..index] {
                assert_ne!(other.digest(&KEY), another.digest(&KEY), "{other:?} {another:?}");
            }
        }
        assert_ne!(identity().digest(b"another key of16"), first);
    }

    #[test]
    fn a_string_is_the_same_however_it_is_spelled() {
        let spelled = EventIdentity { name: "\"\\u0062uy\"".into(), ..identity() };
        assert_eq!(spelled.digest(&KEY), identity().digest(&KEY));
        let slash = |text: &'static str| EventIdentity { insert_id: text.into(), ..identity() };
        assert_eq!(slash("\"a\\/b\"").digest(&KEY), slash("\"a/b\"").digest(&KEY));
        assert_ne!(slash("\"a\\\"b\"").digest(&KEY), slash("\"ab\"").digest(&KEY));
    }

    #[test]
    fn what_is_no_event_with_an_id_of_its_own_has_no_identity() {
        let of = |properties: &str| {
            let line = std::format!(r#"{{"event":"e","properties":{properties}}}"#);
            EventIdentity::of_record(line.as_bytes()).map(|it| it.is_time_of_receipt)
        };
        assert_eq!(
            of(r#"{"token":"t","time":5,"$insert_id":"i","mp_processing_time_ms":6}"#),
            Some(false)
        );
        assert_eq!(
            of(r#"{"token":"t","time":6,"$insert_id":"i","mp_processing_time_ms":6}"#),
            Some(true)
        );
        let stamped = r#"{"token":"t","time":6,"mp_processing_time_ms":6,"$insert_id":"0123456789abcdef0000000700000000"}"#;
        assert_eq!(of(stamped), None);
        let given = r#"{"token":"t","time":6,"mp_processing_time_ms":6,"$insert_id":"0123456789ABCDEF0000000700000000"}"#;
        assert_eq!(of(given), Some(true));
        for properties in
            ["{}", "[]", "7", r#"{"token":"t","$insert_id":"i"}"#, r#"{"time":5,"$insert_id":"i"}"#]
        {
            assert_eq!(of(properties), None, "{properties}");
        }
        for line in [
            "",
            "{",
            "7",
            "{}",
            "\u{0}",
            r#"{"properties":{"token":"t","time":5,"$insert_id":"i"}}"#,
        ] {
            assert_eq!(EventIdentity::of_record(line.as_bytes()), None, "{line}");
        }
        assert_eq!(EventIdentity::of_record(b"\xff"), None);
    }

    /// Records, and the digest of each.
    #[derive(Default)]
    struct Told {
        lines: Vec<Vec<u8>>,
        digests: Vec<Option<EventDigest>>,
        last: Option<EventDigest>,
    }

    impl RecordSink for Told {
        fn begin_record(&mut self) -> &mut Vec<u8> {
            self.lines.push(Vec::new());
            self.lines.last_mut().unwrap()
        }

        fn identify(&mut self, identity: &EventIdentity<'_>) {
            self.last = Some(identity.digest(&KEY));
        }

        fn end_record(&mut self) {
            self.digests.push(self.last.take());
        }

        fn discard(&mut self, _: usize) {
            panic!("nothing is refused");
        }
    }

    fn decode(properties: &str, now: u64) -> (Option<EventDigest>, Option<EventDigest>) {
        let json = std::format!(r#"{{"event":"b\u0075y","properties":{{{properties}}}}}"#);
        let headers = [("Content-Type", &b"application/json"[..])];
        let mut request = Request::new(Method::Post, "/track", "");
        request.headers = Headers::new(&headers);
        request.body = json.as_bytes();
        let context = Context {
            now: UnixTime::from_millis(now),
            client: core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
            limits: &TrackingLimits::default(),
            redirects: &RedirectPolicy::deny(),
            rule: BatchRule::default(),
        };
        let mut told = Told::default();
        let (mut ids, endpoint) = (IdSource::new(1, 1), TrackingEndpoint::Track);
        let decoded = Decoder::new().decode(endpoint, &request, &context, &mut ids, &mut told);
        assert_eq!(decoded.result, Ok(1), "{properties}");
        let recorded = EventIdentity::of_record(&told.lines[0]).map(|recorded| {
            let RecordedIdentity { identity, is_time_of_receipt } = recorded;
            let identity = if is_time_of_receipt { identity.without_time() } else { identity };
            identity.digest(&KEY)
        });
        (told.digests[0], recorded)
    }

    #[test]
    fn a_record_has_the_identity_that_was_told_of_the_event_and_so_has_the_event_sent_again() {
        for properties in [
            r#""token":"t","$insert_id":"a","time":1334859600"#,
            r#""$insert_id" : "\u0061", "token":"\t", "distinct_id": 7, "time":"1334859600.5""#,
            r#""token":"t","$insert_id":"a""#,
            r#""token":"t","$insert_id":"a","time":null,"distinct_id":"d""#,
            // Too far ahead to be believed.
            r#""token":"t","$insert_id":"a","time":1934859600"#,
            r#""token":"t","$insert_id":{"a": [1]},"distinct_id":null"#,
            r#""token":"t","$insert_id":"a","$insert_id":"b","mp_processing_time_ms":5"#,
        ] {
            let (told, recorded) = decode(properties, 1_334_859_600_777);
            assert!(told.is_some(), "{properties}");
            assert_eq!(told, recorded, "{properties}");
            assert_eq!(decode(properties, 1_334_859_700_000), (told, told), "{properties}");
        }
        for properties in
            [r#""token":"t""#, r#""token":"t","$insert_id":null"#, r#""token":"t","$insert_id":"""#]
        {
            assert_eq!(decode(properties, 1_334_859_600_777).0, None, "{properties}");
        }
    }
}
