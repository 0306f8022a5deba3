//! The answers of the tracking API.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::body::ACCEPTED_CODINGS;
use super::cors;
use super::form::decoded;
use super::parameters::{Parameters, Switch};
use super::redirect::RedirectPolicy;
use super::refused::RefusedEvents;
use super::rejection::Rejection;
use crate::http::{Body, Headers, Response, Status};

/// The 1×1 transparent GIF of tracking pixels.
const PIXEL: [u8; 43] = *b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\
    \x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// Longest callback name that is answered to.
const LONGEST_CALLBACK: usize = 256;

/// How a request asked to be answered. It is kept while its events are made durable, so it is
/// small, and owns memory only for a browser's origin, a callback's name or a redirect's target.
///
/// What is answered, whichever of them comes first: a redirect (only of what was recorded), the
/// pixel of `img=1` (even on failure), `NAME(…);` for `callback=NAME`, and otherwise the bare
/// result: `1` or `0`, or with `verbose=1` a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pixel: bool,
    verbose: bool,
    redirect_refused: bool,
    callback: Option<Box<str>>,
    redirect: Option<Box<str>>,
    origin: Option<Box<str>>,
    /// The events that are not recorded; kept for those who are told.
    refused: Option<Box<RefusedEvents>>,
}

/// What became of a request.
#[derive(Clone, Copy)]
enum Outcome<'a> {
    Accepted,
    /// With why, and which events of the batch are to blame.
    Failed(&'a str, Option<&'a RefusedEvents>),
}

impl Reply {
    /// The reply that the parameters ask for, or why they may not.
    pub(super) fn new(
        parameters: &Parameters<'_>,
        headers: &Headers<'_>,
        redirects: &RedirectPolicy,
    ) -> (Self, Result<(), Rejection>) {
        let mut reply = Self {
            pixel: parameters.is_on(Switch::Img),
            verbose: parameters.is_on(Switch::Verbose),
            redirect_refused: false,
            callback: None,
            redirect: None,
            origin: cors::origin(headers),
            refused: None,
        };
        let mut result = Ok(());
        // An empty value asks for nothing: that is how a form sends a field left blank.
        let given = |value: Option<&&[u8]>| value.is_some_and(|value| !value.is_empty());
        if given(parameters.callback.as_ref()) {
            reply.callback = parameters.callback.and_then(callback_name);
            if reply.callback.is_none() {
                result = Err(Rejection::Callback);
            }
        }
        if given(parameters.redirect.as_ref()) {
            reply.redirect = parameters
                .redirect
                .and_then(|encoded| redirects.location(encoded))
                .map(String::into_boxed_str);
            reply.redirect_refused = reply.redirect.is_none();
        }
        (reply, result)
    }

    /// Keeps what is to be told of the events of a batch that are not recorded.
    pub(super) fn note(&mut self, refused: &RefusedEvents) {
        let is_told = self.verbose && !self.pixel;
        if is_told && !refused.list.is_empty() && refused.events > 1 {
            self.refused = Some(Box::new(refused.clone()));
        }
    }

    /// The events that the sink was given are recorded. With `verbose=1` it is told which others of
    /// their batch are not.
    pub fn accepted(&self) -> Response {
        let (content_type, body) = self.body(Outcome::Accepted);
        let mut response = Response::new(Status::OK, content_type, body);
        if let Some(url) = &self.redirect {
            response = Response::new(Status::FOUND, "text/plain", &b"1"[..])
                .with_header("Location", String::from(&**url));
        }
        cors::apply(&mut response, self.origin.as_deref(), false);
        response
    }

    /// No event is recorded, because of what was sent: there is no use in sending it again as it
    /// is. The status is [`Rejection::status`].
    pub fn rejected(&self, rejection: &Rejection) -> Response {
        let message =
            if self.verbose && !self.pixel { rejection.to_string() } else { String::new() };
        let (content_type, body) = self.body(Outcome::Failed(&message, self.refused.as_deref()));
        let mut response = Response::new(rejection.status(), content_type, body);
        if *rejection == Rejection::ContentEncoding {
            response = response.with_header("Accept-Encoding", ACCEPTED_CODINGS);
        }
        cors::apply(&mut response, self.origin.as_deref(), false);
        response
    }

    /// No event is known to be recorded, because it could not be made durable: 503 with
    /// `Retry-After`. Sending the request again is right.
    pub fn not_durable(&self) -> Response {
        let (content_type, body) = self.body(Outcome::Failed(
            "the events could not be made durable: send them again later",
            None,
        ));
        let mut response = Response::new(Status::SERVICE_UNAVAILABLE, content_type, body);
        cors::apply(&mut response, self.origin.as_deref(), true);
        response
    }

    /// Whether a redirect was asked for that the [`RedirectPolicy`] does not allow. The answer is
    /// the one without a redirect; this is for whoever runs the tracker, to be logged or counted.
    pub fn redirect_refused(&self) -> bool {
        self.redirect_refused
    }

    /// The content type and the body of the answer, a redirect aside.
    fn body(&self, outcome: Outcome<'_>) -> (&'static str, Body) {
        if self.pixel {
            return ("image/gif", Body::Borrowed(&PIXEL));
        }
        let result = self.result(outcome);
        match &self.callback {
            Some(name) => {
                let body = [name.as_bytes(), b"(", &result, b");"].concat();
                ("text/javascript", Body::Owned(body))
            }
            None if self.verbose => ("application/json", result),
            None => ("text/plain", result),
        }
    }

    fn result(&self, outcome: Outcome<'_>) -> Body {
        match outcome {
            Outcome::Accepted if self.verbose => match self.refused.as_deref() {
                None => Body::Borrowed(br#"{"status":1,"error":null}"#),
                Some(refused) => {
                    Body::Owned(verbose_error('1', &refused.to_string(), Some(refused)))
                }
            },
            Outcome::Accepted => Body::Borrowed(b"1"),
            Outcome::Failed(message, refused) if self.verbose => {
                Body::Owned(verbose_error('0', message, refused))
            }
            Outcome::Failed(..) => Body::Borrowed(b"0"),
        }
    }
}

fn verbose_error(status: char, message: &str, refused: Option<&RefusedEvents>) -> Vec<u8> {
    let mut body = format!(r#"{{"status":{status},"error":""#).into_bytes();
    for byte in message.bytes() {
        if matches!(byte, b'"' | b'\\') {
            body.push(b'\\');
        }
        body.push(byte);
    }
    body.push(b'"');
    if let Some(refused) = refused {
        body.push(b',');
        refused.push_failed_records(&mut body);
    }
    body.push(b'}');
    body
}

/// The name of a JSONP callback, if it is a path of JavaScript identifiers (ASCII, joined by single
/// dots) and of places in arrays (`lib.queue[12]`), as the official browser library has it. Anything
/// else could be a script of its own.
fn callback_name(encoded: &[u8]) -> Option<Box<str>> {
    if encoded.len() > LONGEST_CALLBACK {
        return None;
    }
    let mut name = String::new();
    let mut place = Place::Start;
    for byte in decoded(encoded) {
        place = match (place, byte) {
            (Place::Start | Place::Identifier, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => {
                Place::Identifier
            }
            (Place::Identifier, b'0'..=b'9') => Place::Identifier,
            (Place::Identifier | Place::Closed, b'.') => Place::Start,
            (Place::Identifier | Place::Closed, b'[') => Place::Open,
            (Place::Open | Place::Index, b'0'..=b'9') => Place::Index,
            (Place::Index, b']') => Place::Closed,
            _ => return None,
        };
        name.push(char::from(byte));
    }
    matches!(place, Place::Identifier | Place::Closed).then(|| name.into_boxed_str())
}

/// What was read last of a callback's name.
#[derive(Clone, Copy)]
enum Place {
    /// Nothing, or a dot: an identifier must follow.
    Start,
    Identifier,
    /// `[`
    Open,
    Index,
    /// `]`
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_path_of_identifiers() {
        for name in [
            "f",
            "_",
            "$",
            "jQuery123_456",
            "a.b_1.$c",
            "window.cb",
            "mixpanel._jsc[123]",
            "a[0][1].b[2]",
        ] {
            assert_eq!(callback_name(name.as_bytes()).as_deref(), Some(name));
        }
        assert_eq!(callback_name(b"a%2Eb").as_deref(), Some("a.b"));
        assert_eq!(callback_name(b"lib._jsc%5B9%5D").as_deref(), Some("lib._jsc[9]"));
        let long = "a".repeat(257);
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "1a",
            "a.1",
            "a-b",
            "a b",
            "a+b",
            "a(",
            "[0]",
            "a[",
            "a[]",
            "a[0",
            "a[0]b",
            "a[0].",
            "a[0].1",
            "a.[0]",
            "a[b]",
            "a[-1]",
            "a[0]]",
            "a[[0]]",
            "a['b']",
            "a;b",
            "alert(1)//",
            "a%0a",
            "a%00",
            "<script>",
            "(function(){})",
            "\u{e9}",
            &long,
        ] {
            assert_eq!(callback_name(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_reply_is_small() {
        assert!(size_of::<Reply>() <= 64);
    }

    #[test]
    fn quotes_in_an_error_are_escaped() {
        assert_eq!(verbose_error('0', r#"a "b" \"#, None), br#"{"status":0,"error":"a \"b\" \\"}"#);
    }
}
