//! Letters of what a tracking request brought and the tracker refused.

use std::fmt::Write as _;

use bytes::Bytes;
use windhover_core::UnixTime;
use windhover_core::http::Request;
use windhover_core::tracking::{DecodeError, RefusedRecord, TrackingEndpoint};

use super::letter::is_header_value;
use super::{DeadLetter, Origin};

/// What a record of a batch is, without the encodings of its request.
const JSON: &str = "application/json";
/// What a query is.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// What a request asked for that had records.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Where.
    pub(crate) path: TrackingEndpoint,
    /// `strict=1`.
    pub(crate) strict: bool,
    /// `test=1`.
    pub(crate) test: bool,
    /// The project that its credentials name, as a JSON string.
    pub(crate) token: Option<String>,
}

impl Asked {
    /// The letter of one record of a batch.
    pub(crate) fn record(&self, record: RefusedRecord, time: UnixTime) -> DeadLetter {
        let token = record.token.as_deref().and_then(text);
        let mut target = Target::of(self.path);
        if self.strict {
            target.add("strict", "1");
        }
        if self.test {
            target.add("test", "1");
        }
        target.add_project(self.path, token.as_deref());
        DeadLetter {
            reason: record.fault.reason().to_owned(),
            detail: record.fault.of(self.path.kind()).to_string(),
            origin: Origin::Path(target.text),
            token,
            time,
            content_type: Some(JSON.to_owned()),
            content_encoding: None,
            bytes: record.text.into_vec().into(),
        }
    }

    /// The letter of a request of which nothing is recorded: its body as it came, or its query.
    pub(crate) fn request(
        &self,
        request: &Request<'_>,
        error: &DecodeError,
        time: UnixTime,
    ) -> DeadLetter {
        let token = self.token.as_deref().and_then(text);
        let mut target = Target::of(self.path);
        let header = |name| {
            let values: Vec<_> = request.headers.all(name).collect();
            let value = values.join(&b", "[..]);
            (!value.is_empty() && is_header_value(&value))
                .then(|| String::from_utf8_lossy(&value).into_owned())
        };
        let (bytes, content_type, content_encoding) = if request.body.is_empty() {
            (request.query.as_bytes(), Some(FORM.to_owned()), None)
        } else {
            for pair in recording(request.query).filter(|pair| !is_named(pair, "api_key")) {
                target.add_pair(pair);
            }
            (request.body, header("content-type"), header("content-encoding"))
        };
        target.add_project(self.path, token.as_deref());
        DeadLetter {
            reason: error.reason().to_owned(),
            detail: error.to_string(),
            origin: Origin::Path(target.text),
            token,
            time,
            content_type,
            content_encoding,
            bytes: Bytes::copy_from_slice(bytes),
        }
    }
}

fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// The parameters of a form that say what is recorded, and how: those for its answer are left out, and
/// `ip`, which would give an event the address of whoever sends it again.
pub(super) fn recording(form: &str) -> impl Iterator<Item = &str> {
    const OTHERS: [&str; 5] = ["callback", "img", "ip", "redirect", "verbose"];
    let pairs = form.split('&').filter(|pair| !pair.is_empty());
    pairs.filter(|pair| !OTHERS.iter().any(|name| is_named(pair, name)))
}

fn is_named(pair: &str, name: &str) -> bool {
    pair.split('=').next() == Some(name)
}

/// A path with a query, in visible ASCII.
struct Target {
    text: String,
    separator: char,
}

impl Target {
    fn of(path: TrackingEndpoint) -> Self {
        Self { text: path.path().to_owned(), separator: '?' }
    }

    /// Adds a parameter.
    fn add(&mut self, name: &str, value: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        self.begin(name);
        self.text.push('=');
        self.encode(value, is_plain);
    }

    /// Adds a parameter that is encoded, but for what no query should have.
    fn add_pair(&mut self, pair: &str) {
        self.begin("");
        self.encode(pair, |byte| byte.is_ascii_graphic());
    }

    /// Names the project that an import is for, as its credentials did.
    fn add_project(&mut self, path: TrackingEndpoint, token: Option<&str>) {
        if let (TrackingEndpoint::Import, Some(token)) = (path, token) {
            self.add("api_key", token);
        }
    }

    fn begin(&mut self, name: &str) {
        self.text.push(self.separator);
        self.separator = '&';
        self.text.push_str(name);
    }

    fn encode(&mut self, value: &str, is_plain: impl Fn(u8) -> bool) {
        for byte in value.bytes() {
            if is_plain(byte) {
                self.text.push(char::from(byte));
            } else {
                // Writing to memory does not fail.
                let _ = write!(self.text, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use windhover_core::http::{Headers, Method};

    use super::*;

    fn asked(path: TrackingEndpoint, token: Option<&str>) -> Asked {
        Asked { path, strict: false, test: false, token: token.map(str::to_owned) }
    }

    fn letter(asked: &Asked, request: &Request<'_>) -> DeadLetter {
        asked.request(request, &DecodeError::DataTwice, UnixTime::from_millis(0))
    }

    #[test]
    fn a_letter_goes_where_its_record_came_from() {
        let cases = [
            (TrackingEndpoint::Track, None, "/track"),
            (TrackingEndpoint::Engage, Some("t"), "/engage"),
            (TrackingEndpoint::Import, Some("t1"), "/import?api_key=t1"),
            (TrackingEndpoint::Import, Some("a b&ü"), "/import?api_key=a%20b%26%C3%BC"),
        ];
        for (path, token, expected) in cases {
            let mut target = Target::of(path);
            target.add_project(path, token);
            assert_eq!(target.text, expected);
        }
    }

    #[test]
    fn a_request_keeps_what_says_how_to_read_it() {
        let entries: [(&str, &[u8]); 3] = [
            ("Content-Type", b"application/x-www-form-urlencoded; charset=utf-8"),
            ("Content-Encoding", b"gzip"),
            ("Content-Encoding", b"br"),
        ];
        let query = "verbose=1&strict=1&api_key=other&ip=1&callback=a(&project_id=1&é=1&img=1";
        let mut request = Request::new(Method::Post, "/import", query);
        request.headers = Headers::new(&entries);
        request.body = b"\x1f\x8b";
        let letter = letter(&asked(TrackingEndpoint::Import, Some("\"t 1\"")), &request);
        assert_eq!(
            letter.origin.to_string(),
            "/import?strict=1&project_id=1&%C3%A9=1&api_key=t%201"
        );
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(letter.content_type.as_deref(), Some(form));
        assert_eq!(letter.content_encoding.as_deref(), Some("gzip, br"));
        assert_eq!((&letter.bytes[..], letter.token.as_deref()), (&b"\x1f\x8b"[..], Some("t 1")));
    }

    #[test]
    fn a_query_is_a_form() {
        let request = Request::new(Method::Get, "/track", "data=e%30&verbose=1");
        let letter = letter(&asked(TrackingEndpoint::Track, None), &request);
        assert_eq!(letter.origin.to_string(), "/track");
        assert_eq!(letter.content_type.as_deref(), Some(FORM));
        assert_eq!(letter.content_encoding, None);
        assert_eq!(&letter.bytes[..], b"data=e%30&verbose=1");
    }

    #[test]
    fn a_form_is_sent_again_without_what_is_for_its_answer() {
        let kept: Vec<_> = recording("ip=1&data=a&&verbose=1&ipx=1&redirect=&test=1&img").collect();
        assert_eq!(kept, ["data=a", "ipx=1", "test=1"]);
    }
}
