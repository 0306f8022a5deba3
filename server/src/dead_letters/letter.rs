//! What stands in the dead-letter queue: one line of JSON that says why, whence and when, then the
//! record's bytes as they were.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use windhover_core::UnixTime;

/// Where a record was on its way from, and so where `windhover replay` sends it again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The queue of that name, from which it could not be sent on: put there again.
    Queue(String),
    /// A path of the HTTP listener, with its query if it has one (`/track`, `/import?strict=1`): sent
    /// there again by `POST`.
    Path(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue:{name}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("queue:") {
            Some(name) => Some(Self::Queue(name.to_owned())),
            // It becomes part of a request's first line.
            None if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some(Self::Path(text.to_owned()))
            }
            None => None,
        }
    }
}

/// A record that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why: a word of a small fixed set, by which metrics count (`token_missing`); never empty.
    pub reason: String,
    /// The same in a sentence; may be empty.
    pub detail: String,
    /// Where it was on its way from.
    pub origin: Origin,
    /// The project that it is for, as far as its sender said so.
    pub token: Option<String>,
    /// When it was refused.
    pub time: UnixTime,
    /// What the bytes are, as the request's `Content-Type` said it; of one that had none, `None`.
    pub content_type: Option<String>,
    /// How they are compressed, as the request's `Content-Encoding` said it.
    pub content_encoding: Option<String>,
    /// The record, as it came.
    pub bytes: Bytes,
}

/// Why an item cannot be read as a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LetterError {
    /// No line ends in it.
    NoLine,
    /// The first line is no JSON object.
    NotJson,
    /// The first line lacks that member, or it is of another type than it should be.
    Member(&'static str),
    /// Nothing can be sent to that origin.
    Origin(String),
}

impl fmt::Display for LetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLine => f.write_str("it has no first line"),
            Self::NotJson => f.write_str("its first line is not a JSON object"),
            Self::Member(name) => write!(f, "its first line has no fitting `{name}`"),
            Self::Origin(text) => {
                write!(f, "its origin is {text:?}, which is neither `queue:NAME` nor a path")
            }
        }
    }
}

impl std::error::Error for LetterError {}

/// Whether a header may have that value, in letters that JSON and HTTP write alike.
pub(super) fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|byte| (b' '..=b'~').contains(byte))
}

impl DeadLetter {
    /// Appends the item that it is in the queue:
    /// `{"time":MS,"reason":"…","detail":"…","origin":"…","token":"…","content_type":"…","content_encoding":"…"}`,
    /// a line feed, the bytes. What is empty is left out.
    pub fn write(&self, into: &mut Vec<u8>) {
        let time = self.time.as_millis();
        into.extend_from_slice(format!("{{\"time\":{time}").as_bytes());
        let origin = self.origin.to_string();
        let members = [
            ("reason", self.reason.as_str()),
            ("detail", &self.detail),
            ("origin", &origin),
            ("token", self.token.as_deref().unwrap_or_default()),
            ("content_type", self.content_type.as_deref().unwrap_or_default()),
            ("content_encoding", self.content_encoding.as_deref().unwrap_or_default()),
        ];
        for (name, value) in members.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = Value::from(value);
            into.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
        into.extend_from_slice(b"}\n");
        into.extend_from_slice(&self.bytes);
    }

    /// Reads an item of the queue.
    ///
    /// # Errors
    /// [`LetterError`] for what [`write`](Self::write) did not write.
    pub fn read(item: &Bytes) -> Result<Self, LetterError> {
        let end = memchr::memchr(b'\n', item).ok_or(LetterError::NoLine)?;
        let line = item.get(..end).unwrap_or_default();
        let line: Value = serde_json::from_slice(line).map_err(|_| LetterError::NotJson)?;
        let line = line.as_object().ok_or(LetterError::NotJson)?;
        let text = |name| match line.get(name) {
            None => Ok(None),
            // What is empty is not written.
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(LetterError::Member(name)),
        };
        // They become headers of a request.
        let header = |name| match text(name)? {
            Some(value) if !is_header_value(value.as_bytes()) => Err(LetterError::Member(name)),
            value => Ok(value),
        };
        let time = line.get("time").and_then(Value::as_u64).ok_or(LetterError::Member("time"))?;
        let origin = text("origin")?.ok_or(LetterError::Member("origin"))?;
        Ok(Self {
            reason: text("reason")?.ok_or(LetterError::Member("reason"))?,
            detail: text("detail")?.unwrap_or_default(),
            origin: Origin::parse(&origin).ok_or(LetterError::Origin(origin))?,
            token: text("token")?,
            time: UnixTime::from_millis(time),
            content_type: header("content_type")?,
            content_encoding: header("content_encoding")?,
            bytes: item.slice(end + 1..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            reason: "token_missing".to_owned(),
            detail: "`token` is \"missing\"\n".to_owned(),
            origin: Origin::Path("/track?verbose=1".to_owned()),
            token: Some("t".to_owned()),
            time: UnixTime::from_millis(1_321_499_371_000),
            content_type: None,
            content_encoding: None,
            bytes: Bytes::from_static(b"{\"event\":\n\xff\0"),
        }
    }

    fn written(letter: &DeadLetter) -> Bytes {
        let mut item = Vec::new();
        letter.write(&mut item);
        item.into()
    }

    #[test]
    fn a_letter_is_a_line_of_json_and_the_record() {
        let line = br#"{"time":1321499371000,"reason":"token_missing","detail":"`token` is \"missing\"\n","origin":"/track?verbose=1","token":"t"}"#;
        assert_eq!(written(&letter()), [&line[..], b"\n{\"event\":\n\xff\0"].concat());
    }

    #[test]
    fn letters_read_back_as_written() {
        let queue = DeadLetter {
            origin: Origin::Queue("events".to_owned()),
            token: None,
            detail: String::new(),
            bytes: Bytes::new(),
            ..letter()
        };
        let form = DeadLetter {
            content_type: Some("multipart/form-data; boundary=\"a b\"".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            ..letter()
        };
        for letter in [letter(), queue, form] {
            assert_eq!(DeadLetter::read(&written(&letter)), Ok(letter));
        }
    }

    #[test]
    fn what_is_empty_is_as_if_it_were_not_there() {
        let line = b"{\"time\":1,\"reason\":\"r\",\"origin\":\"/\",\"token\":\"\",\"content_type\":\"\"}\n";
        let letter = DeadLetter::read(&Bytes::from_static(line)).unwrap();
        assert_eq!((&letter.token, &letter.content_type), (&None, &None));
        assert_eq!(DeadLetter::read(&written(&letter)), Ok(letter));
    }

    #[test]
    fn what_is_no_letter_is_named() {
        let member = LetterError::Member;
        let origin = |text: &str| LetterError::Origin(text.to_owned());
        for (item, error) in [
            ("", LetterError::NoLine),
            ("{}", LetterError::NoLine),
            ("x\n", LetterError::NotJson),
            ("[]\n", LetterError::NotJson),
            ("{}\n", member("time")),
            ("{\"time\":-1}\n", member("time")),
            ("{\"time\":1}\n", member("origin")),
            ("{\"time\":1,\"origin\":\"/\"}\n", member("reason")),
            ("{\"time\":1,\"origin\":\"/\",\"reason\":7}\n", member("reason")),
            ("{\"time\":1,\"origin\":\"/\",\"reason\":\"\"}\n", member("reason")),
            ("{\"time\":1,\"origin\":\"\",\"reason\":\"r\"}\n", member("origin")),
            ("{\"time\":1,\"origin\":\"/\",\"reason\":\"r\",\"token\":7}\n", member("token")),
            ("{\"time\":1,\"reason\":\"r\",\"origin\":\"x\"}\n", origin("x")),
            (
                "{\"time\":1,\"origin\":\"/\",\"reason\":\"r\",\"content_type\":\"a\\r\\nb: c\"}\n",
                member("content_type"),
            ),
            (
                "{\"time\":1,\"reason\":\"r\",\"origin\":\"/ HTTP/1.1\\r\\n\"}\n",
                origin("/ HTTP/1.1\r\n"),
            ),
        ] {
            assert_eq!(
                DeadLetter::read(&Bytes::from_static(item.as_bytes())),
                Err(error),
                "{item}"
            );
        }
    }
}
