//! The answers of the tracking API.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::body::ACCEPTED_CODINGS;
use super::cors;
use super::endpoint::{RecordKind, TrackingEndpoint};
use super::error::DecodeError;
use super::form::decoded;
use super::parameters::{Parameters, Switch};
use super::redirect::RedirectPolicy;
use super::refused::RefusedRecords;
use crate::http::{Body, Method, Request, Response, Status};

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
///
/// A body of `/import` that is no form is answered in a form of its own instead, with the status of
/// the request in it, and 400 where anything is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingReply {
    form: Form,
    redirect_refused: bool,
    /// How many records the sink was given.
    recorded: u32,
    callback: Option<Box<str>>,
    redirect: Option<Box<str>>,
    origin: Option<Box<str>>,
    /// What is told of the records that are not kept.
    refused: Option<Box<Told>>,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `1` or `0`.
    Digit,
    /// `verbose=1`, or `strict=1` for updates of profiles.
    Verbose,
    /// `img=1`
    Pixel,
    /// That of `/import`, to a sender that looks at the status to know whether all went well.
    StrictImport,
    /// That of `/import`.
    Import,
}

/// What a sender is told of the records of its batch that are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// One sentence.
    summary: String,
    /// The member `failed_records` of the answer.
    failed_records: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Copy)]
enum Outcome<'a> {
    Accepted,
    /// With why, and which records of the batch are to blame.
    Failed(&'a str, Option<&'a Told>),
}

impl TrackingReply {
    /// The reply that the parameters ask for, or why they may not.
    pub(super) fn new(
        endpoint: TrackingEndpoint,
        parameters: &Parameters<'_>,
        request: &Request<'_>,
        redirects: &RedirectPolicy,
    ) -> (Self, Result<(), DecodeError>) {
        let headers = &request.headers;
        let mut reply = Self {
            form: Form::of(endpoint, parameters, request.method),
            redirect_refused: false,
            recorded: 0,
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
                result = Err(DecodeError::Callback);
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

    /// Keeps what is to be told of the records of a batch.
    pub(super) fn note(&mut self, recorded: usize, refused: &RefusedRecords) {
        self.recorded = u32::try_from(recorded).unwrap_or(u32::MAX);
        let is_told = match self.form {
            Form::Digit | Form::Pixel => false,
            Form::Verbose => refused.records > 1,
            Form::Import | Form::StrictImport => true,
        };
        if is_told && !refused.list.is_empty() {
            self.refused = Some(Box::new(Told {
                summary: refused.to_string(),
                failed_records: refused.failed_records(),
            }));
        }
    }

    /// The records that the sink was given are safe. With `verbose=1` it is told which others of
    /// their batch are not recorded.
    pub fn accepted(&self) -> Response {
        if self.form.is_import() {
            return self.import(Status::OK, None, false);
        }
        let (content_type, body) = self.body(Outcome::Accepted);
        let mut response = Response::new(Status::OK, content_type, body);
        if let Some(url) = &self.redirect {
            response = Response::new(Status::FOUND, "text/plain", &b"1"[..])
                .with_header("Location", String::from(&**url));
        }
        cors::apply(&mut response, self.origin.as_deref(), false);
        response
    }

    /// Nothing is recorded, because of what was sent: there is no use in sending it again as it is.
    /// The status is [`DecodeError::status`], but for `/import` 400 in the place of 200.
    pub fn rejected(&self, rejection: &DecodeError) -> Response {
        let mut response = if self.form.is_import() {
            let status = match rejection.status() {
                Status::OK => Status::BAD_REQUEST,
                status => status,
            };
            self.import(status, Some(&rejection.to_string()), false)
        } else {
            let is_told = self.form == Form::Verbose;
            let message = if is_told { rejection.to_string() } else { String::new() };
            let (content_type, body) =
                self.body(Outcome::Failed(&message, self.refused.as_deref()));
            let mut response = Response::new(rejection.status(), content_type, body);
            cors::apply(&mut response, self.origin.as_deref(), false);
            response
        };
        match rejection {
            DecodeError::ContentEncoding => {
                response.headers.push(("Accept-Encoding", ACCEPTED_CODINGS.into()));
            }
            DecodeError::Unauthorized => {
                response.headers.push(("WWW-Authenticate", "Basic realm=\"import\"".into()));
            }
            _ => {}
        }
        response
    }

    /// No event is known to be recorded, because it could not be made durable: 503 with
    /// `Retry-After`. Sending the request again is right.
    pub fn not_durable(&self) -> Response {
        const WHY: &str = "the events could not be made durable: send them again later";
        if self.form.is_import() {
            return self.import(Status::SERVICE_UNAVAILABLE, Some(WHY), true);
        }
        let (content_type, body) = self.body(Outcome::Failed(WHY, None));
        let mut response = Response::new(Status::SERVICE_UNAVAILABLE, content_type, body);
        cors::apply(&mut response, self.origin.as_deref(), true);
        response
    }

    /// Nothing is recorded, because a token has sent more than it may: 429 with `Retry-After` of so many
    /// seconds. Sending the request again then is right.
    pub fn rate_limited(&self, seconds: u64) -> Response {
        const WHY: &str = "too many events of one token: send them again later";
        let mut response = if self.form.is_import() {
            self.import(Status::TOO_MANY_REQUESTS, Some(WHY), true)
        } else {
            let (content_type, body) = self.body(Outcome::Failed(WHY, None));
            Response::new(Status::TOO_MANY_REQUESTS, content_type, body)
        };
        response.headers.clear();
        cors::apply(&mut response, self.origin.as_deref(), false);
        response.headers.push(("Access-Control-Expose-Headers", "Retry-After".into()));
        response.headers.push(("Retry-After", seconds.to_string().into()));
        response
    }

    /// Whether a redirect was asked for that the [`RedirectPolicy`] does not allow. The answer is
    /// the one without a redirect; this is for whoever runs the tracker, to be logged or counted.
    pub fn redirect_refused(&self) -> bool {
        self.redirect_refused
    }

    /// The answer of `/import`: nothing is recorded where it says why.
    fn import(&self, status: Status, why: Option<&str>, retry: bool) -> Response {
        // What the API answers to a batch that is partly wrong.
        const PARTLY: &str = "some data points in the request failed validation";
        let refused = self.refused.as_deref().filter(|_| !retry);
        let is_partly = why.is_none() && refused.is_some() && self.form == Form::StrictImport;
        let status = if is_partly { Status::BAD_REQUEST } else { status };
        // Of records that are wrong the API says so in one sentence, and tells each.
        let why = match refused {
            Some(_) => (status != Status::OK).then_some(PARTLY),
            None => why,
        };
        let recorded = if status == Status::OK || is_partly { self.recorded } else { 0 };
        let mut response = import_answer(status, why, refused, recorded);
        cors::apply(&mut response, self.origin.as_deref(), retry);
        response
    }

    /// The content type and the body of the answer, a redirect aside.
    fn body(&self, outcome: Outcome<'_>) -> (&'static str, Body) {
        if self.form == Form::Pixel {
            return ("image/gif", Body::Borrowed(&PIXEL));
        }
        let result = self.result(outcome);
        match &self.callback {
            Some(name) => {
                let body = [name.as_bytes(), b"(", &result, b");"].concat();
                ("text/javascript", Body::Owned(body))
            }
            None if self.form == Form::Verbose => ("application/json", result),
            None => ("text/plain", result),
        }
    }

    fn result(&self, outcome: Outcome<'_>) -> Body {
        let is_verbose = self.form == Form::Verbose;
        match outcome {
            Outcome::Accepted if is_verbose => match self.refused.as_deref() {
                None => Body::Borrowed(br#"{"status":1,"error":null}"#),
                Some(told) => Body::Owned(verbose_error('1', &told.summary, Some(told))),
            },
            Outcome::Accepted => Body::Borrowed(b"1"),
            Outcome::Failed(message, told) if is_verbose => {
                Body::Owned(verbose_error('0', message, told))
            }
            Outcome::Failed(..) => Body::Borrowed(b"0"),
        }
    }
}

/// The answer of `/import`, as the API has it, before it is shared with the page that asked.
fn import_answer(
    status: Status,
    why: Option<&str>,
    refused: Option<&Told>,
    recorded: u32,
) -> Response {
    let code = status.0;
    let mut body = format!(r#"{{"code":{code}"#).into_bytes();
    if let Some(why) = why {
        body.extend_from_slice(b",\"error\":");
        push_string(why, &mut body);
    }
    if let Some(told) = refused {
        body.push(b',');
        body.extend_from_slice(&told.failed_records);
    }
    let phrase = status.reason();
    let end = format!(r#","num_records_imported":{recorded},"status":"{phrase}"}}"#);
    body.extend_from_slice(end.as_bytes());
    Response::new(status, "application/json", body)
}

/// What is answered to a request of that path for which nothing is decoded: its error in words, and
/// for `/import` in the form that its senders read.
pub(super) fn failed(path: Option<&str>, status: Status, why: &str) -> Response {
    match path.and_then(TrackingEndpoint::of) {
        Some(TrackingEndpoint::Import) => import_answer(status, Some(why), None, 0),
        _ => Response::new(status, "text/plain; charset=utf-8", format!("{why}\n").into_bytes()),
    }
}

impl Form {
    fn of(endpoint: TrackingEndpoint, parameters: &Parameters<'_>, method: Method) -> Self {
        let is_update = endpoint.kind() != RecordKind::Event;
        // A form is the `/import` of before, which was answered as `/track` is.
        if endpoint == TrackingEndpoint::Import
            && method == Method::Post
            && parameters.data.is_none()
        {
            let is_strict = parameters.is_on(Switch::Strict);
            return if is_strict { Self::StrictImport } else { Self::Import };
        }
        if parameters.is_on(Switch::Img) {
            Self::Pixel
        } else if parameters.is_on(Switch::Verbose) || is_update && parameters.is_on(Switch::Strict)
        {
            Self::Verbose
        } else {
            Self::Digit
        }
    }

    fn is_import(self) -> bool {
        matches!(self, Self::Import | Self::StrictImport)
    }
}

fn verbose_error(status: char, message: &str, told: Option<&Told>) -> Vec<u8> {
    let mut body = format!(r#"{{"status":{status},"error":"#).into_bytes();
    push_string(message, &mut body);
    if let Some(told) = told {
        body.push(b',');
        body.extend_from_slice(&told.failed_records);
    }
    body.push(b'}');
    body
}

/// Appends a message, which has no control characters, as a JSON string.
fn push_string(message: &str, body: &mut Vec<u8>) {
    body.push(b'"');
    for byte in message.bytes() {
        if matches!(byte, b'"' | b'\\') {
            body.push(b'\\');
        }
        body.push(byte);
    }
    body.push(b'"');
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
        assert!(size_of::<TrackingReply>() <= 64);
    }

    #[test]
    fn quotes_in_an_error_are_escaped() {
        assert_eq!(verbose_error('0', r#"a "b" \"#, None), br#"{"status":0,"error":"a \"b\" \\"}"#);
    }
}
