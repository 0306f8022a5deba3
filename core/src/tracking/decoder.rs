//! From a request to events.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::event::Stamps;
use super::id::IdSource;
use super::limits::TrackingLimits;
use super::mend::Repairs;
use super::parameters::{Parameters, Switch};
use super::reading::{BatchRule, Reading};
use super::redirect::RedirectPolicy;
use super::refused::{RefusedEvent, RefusedEvents};
use super::rejection::Rejection;
use super::reply::Reply;
use super::sink::EventSink;
use super::{base64, form};
use crate::UnixTime;
use crate::http::{Headers, Method, Request};

/// What the decoder is told beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// When the request was received.
    pub now: UnixTime,
    /// Who sent it: see [`client_address`](super::client_address).
    pub client: IpAddr,
    /// How large and how many events may be.
    pub limits: &'a TrackingLimits,
    /// Where `redirect=` may lead.
    pub redirects: &'a RedirectPolicy,
    /// What one bad event means for the rest of its batch.
    pub rule: BatchRule,
}

/// What became of a request: see [`Decoder::decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// How to answer, when it is known what became of the events.
    pub reply: Reply,
    /// How many events the sink was given, or why it has none.
    pub result: Result<usize, Rejection>,
    /// The events that the sink was not given, in their order. With
    /// [`BatchRule::AllOrNothing`] it is the first one at which decoding ended.
    pub refused: Vec<RefusedEvent>,
    /// What was mended on the way.
    pub repairs: Repairs,
}

/// Decodes tracking requests. It holds nothing of a request but memory that serves for the next,
/// so one of them may serve any number of connections in turn.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{BatchRule, Context, Decoder, Events, IdSource, RedirectPolicy, TrackingLimits};
/// use windhover_core::UnixTime;
///
/// let request = Request::new(
///     Method::Get,
///     "/track",
///     r#"data={"event": "signup", "properties": {"token": "t1", "time": 1334859600}}"#,
/// );
/// let context = Context {
///     now: UnixTime::from_millis(1_334_859_601_234),
///     client: IpAddr::V4(Ipv4Addr::LOCALHOST),
///     limits: &TrackingLimits::default(),
///     redirects: &RedirectPolicy::deny(),
///     rule: BatchRule::default(),
/// };
/// let mut events = Events::new();
/// let batch = Decoder::new().decode(&request, &context, &mut IdSource::new(1, 1), &mut events);
///
/// assert_eq!(batch.result, Ok(1));
/// assert_eq!(
///     events.as_slice()[0],
///     concat!(
///         r#"{"event":"signup","properties":{"token":"t1","time":1334859600000,"#,
///         r#""mp_processing_time_ms":1334859601234,"#,
///         r#""$insert_id":"00000000000000010000000100000000"}}"#
///     )
///     .as_bytes()
/// );
/// assert_eq!(&*batch.reply.accepted().body, b"1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// `data` without its base64 or percent-encoding.
    decoded: Vec<u8>,
    /// Scratch space of the base64 decoder.
    symbols: Vec<u8>,
}

/// Memory beyond this is given back after the request that needed it.
const KEPT: usize = 64 * 1024;

/// The bytes that JSON text of a request is in.
enum Source<'a> {
    /// As they came.
    Plain(&'a [u8]),
    /// The value of `data`, still encoded.
    Data(&'a [u8]),
}

impl Decoder {
    /// A decoder without memory of its own; it allocates with the first request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the events of a request into `sink`. When a [`Rejection`] says why none is recorded,
    /// the sink is told to discard what it was given.
    ///
    /// The request is one that [`route`](super::route) found to be [`Track`](super::Route::Track);
    /// its path is not looked at.
    pub fn decode<S: EventSink + ?Sized>(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ids: &mut IdSource,
        sink: &mut S,
    ) -> Batch {
        let mut parameters = Parameters::default();
        parameters.read(request.query.as_bytes());
        let body = read_body(request, &mut parameters);
        let (mut reply, allowed) = Reply::new(&parameters, &request.headers, context.redirects);
        let source = body.and_then(|body| {
            allowed?;
            choose_source(&parameters, body)
        });
        let (mut repairs, mut refused) = (Repairs::default(), RefusedEvents::default());
        let result = source.and_then(|source| {
            let stamps = Stamps {
                now: context.now,
                ip: parameters.is_on(Switch::Ip).then_some(context.client),
                test: parameters.is_on(Switch::Test),
            };
            let bytes = self.undo_encoding(&source)?;
            Reading {
                limits: context.limits,
                rule: context.rule,
                stamps: &stamps,
                ids,
                sink,
                repairs: &mut repairs,
                refused: &mut refused,
            }
            .read(bytes)
        });
        if self.decoded.capacity().max(self.symbols.capacity()) > KEPT {
            self.release();
        }
        if context.rule == BatchRule::EachEvent {
            reply.note(&refused);
        }
        Batch { reply, result, refused: refused.list, repairs }
    }

    /// Gives back the memory that it keeps for the next request.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    /// The bytes that JSON text is in.
    fn undo_encoding<'a>(&'a mut self, source: &Source<'a>) -> Result<&'a [u8], Rejection> {
        match *source {
            Source::Plain(bytes) => Ok(bytes),
            Source::Data(encoded) => {
                if begins_json(form::decoded(encoded)) {
                    form::decode_into(encoded, &mut self.decoded);
                } else {
                    base64::decode_into(encoded, &mut self.symbols, &mut self.decoded)
                        .map_err(|error| Rejection::Base64 { at: error.at })?;
                }
                Ok(&self.decoded)
            }
        }
    }
}

/// Reads the parameters of a form body; returns a JSON body.
fn read_body<'a>(
    request: &Request<'a>,
    parameters: &mut Parameters<'a>,
) -> Result<Option<&'a [u8]>, Rejection> {
    match request.method {
        Method::Get if request.body.is_empty() => return Ok(None),
        Method::Get => return Err(Rejection::BodyOfGet),
        Method::Post => {}
        _ => return Err(Rejection::Method),
    }
    if request.body.is_empty() {
        return Ok(None);
    }
    if is_compressed(&request.headers) {
        return Err(Rejection::ContentEncoding);
    }
    let is_json = match ContentType::of(&request.headers) {
        ContentType::Json => true,
        // What `curl -d '{…}'` sends calls itself a form; no form begins like that.
        ContentType::FormOrText => begins_json(request.body.iter().copied()),
        ContentType::Other => return Err(Rejection::ContentType),
    };
    if is_json {
        return Ok(Some(request.body));
    }
    parameters.read(request.body);
    Ok(None)
}

fn choose_source<'a>(
    parameters: &Parameters<'a>,
    body: Option<&'a [u8]>,
) -> Result<Source<'a>, Rejection> {
    match (parameters.data, body) {
        _ if parameters.data_twice => Err(Rejection::DataTwice),
        (Some(_), Some(_)) => Err(Rejection::DataTwice),
        (None, Some(body)) => Ok(Source::Plain(body)),
        (Some([]), None) => Err(Rejection::DataEmpty),
        (Some(data), None) => Ok(Source::Data(data)),
        (None, None) => Err(Rejection::DataMissing),
    }
}

/// Whether text begins as an object or array, perhaps behind white space or a byte order mark.
/// Base64 never does.
fn begins_json(bytes: impl Iterator<Item = u8>) -> bool {
    let mut bytes = bytes.skip_while(u8::is_ascii_whitespace);
    matches!(bytes.next(), Some(b'{' | b'[' | 0xef))
}

fn is_compressed(headers: &Headers<'_>) -> bool {
    headers
        .all("content-encoding")
        .any(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
}

/// What the body says it is; parameters such as `charset` are not looked at, the bytes are.
enum ContentType {
    Json,
    /// A form, plain text (which `sendBeacon` says of a form), or nothing.
    FormOrText,
    Other,
}

impl ContentType {
    fn of(headers: &Headers<'_>) -> Self {
        let value = headers.get("content-type").unwrap_or_default();
        let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
        let media_type = media_type.trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        if is("application/json") {
            Self::Json
        } else if is("application/x-www-form-urlencoded") || is("text/plain") || is("") {
            Self::FormOrText
        } else {
            Self::Other
        }
    }
}
