//! From a request to events.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::event::{Event, EventReader, Stamps};
use super::id::IdSource;
use super::json::Unreadable;
use super::parameters::{Parameters, Switch};
use super::redirect::RedirectPolicy;
use super::rejection::{EventFault, Rejection};
use super::reply::Reply;
use super::sink::EventSink;
use super::{base64, form, json};
use crate::http::{Headers, Method, Request};
use crate::{Limits, UnixTime};

/// What the decoder is told beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// When the request was received.
    pub now: UnixTime,
    /// Who sent it: see [`client_address`](super::client_address).
    pub client: IpAddr,
    /// Of these, [`event`](Limits::event), [`value`](Limits::value), [`batch`](Limits::batch),
    /// [`properties`](Limits::properties), [`array`](Limits::array) and [`depth`](Limits::depth)
    /// count here.
    pub limits: &'a Limits,
    /// Where `redirect=` may lead.
    pub redirects: &'a RedirectPolicy,
}

/// Decodes tracking requests. It holds nothing of a request but memory that serves for the next,
/// so one of them may serve any number of connections in turn.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{Context, Decoder, Events, IdSource, RedirectPolicy};
/// use windhover_core::{Limits, UnixTime};
///
/// let request = Request::new(
///     Method::Get,
///     "/track",
///     r#"data={"event": "signup", "properties": {"token": "t1", "time": 1334859600}}"#,
/// );
/// let context = Context {
///     now: UnixTime::from_millis(1_334_859_601_234),
///     client: IpAddr::V4(Ipv4Addr::LOCALHOST),
///     limits: &Limits::default(),
///     redirects: &RedirectPolicy::deny(),
/// };
/// let mut events = Events::new();
/// let (reply, result) =
///     Decoder::new().decode(&request, &context, &mut IdSource::new(1, 1), &mut events);
///
/// assert_eq!(result, Ok(1));
/// assert_eq!(
///     events.as_slice()[0],
///     concat!(
///         r#"{"event":"signup","properties":{"token":"t1","time":1334859600000,"#,
///         r#""mp_processing_time_ms":1334859601234,"#,
///         r#""$insert_id":"00000000000000010000000100000000"}}"#
///     )
///     .as_bytes()
/// );
/// assert_eq!(&*reply.accepted().body, b"1");
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

    /// Decodes the events of a request into `sink`: how many there were, or why none is recorded,
    /// in which case the sink is told to discard what it was given. Either way comes the reply, to
    /// be given when it is known what became of the events.
    ///
    /// The request is one that [`route`](super::route) found to be [`Track`](super::Route::Track);
    /// its path is not looked at.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] when anything in the request is wrong: one bad event of a batch means that
    /// none is recorded.
    pub fn decode<S: EventSink + ?Sized>(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ids: &mut IdSource,
        sink: &mut S,
    ) -> (Reply, Result<usize, Rejection>) {
        let mut parameters = Parameters::default();
        parameters.read(request.query.as_bytes());
        let body = read_body(request, &mut parameters);
        let (reply, allowed) = Reply::new(&parameters, &request.headers, context.redirects);
        let source = body.and_then(|body| {
            allowed?;
            choose_source(&parameters, body)
        });
        let result = source.and_then(|source| {
            let stamps = Stamps {
                now: context.now,
                ip: parameters.is_on(Switch::Ip).then_some(context.client),
                test: parameters.is_on(Switch::Test),
            };
            self.decode_source(&source, context.limits, &stamps, ids, sink)
        });
        if self.decoded.capacity().max(self.symbols.capacity()) > KEPT {
            self.release();
        }
        (reply, result)
    }

    /// Gives back the memory that it keeps for the next request.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    fn decode_source<S: EventSink + ?Sized>(
        &mut self,
        source: &Source<'_>,
        limits: &Limits,
        stamps: &Stamps,
        ids: &mut IdSource,
        sink: &mut S,
    ) -> Result<usize, Rejection> {
        let bytes = match *source {
            Source::Plain(bytes) => bytes,
            Source::Data(encoded) => {
                if begins_json(form::decoded(encoded)) {
                    form::decode_into(encoded, &mut self.decoded);
                } else {
                    base64::decode_into(encoded, &mut self.symbols, &mut self.decoded)
                        .map_err(|error| Rejection::Base64 { at: error.at })?;
                }
                &self.decoded
            }
        };
        let text = core::str::from_utf8(bytes)
            .map_err(|error| Rejection::Utf8 { at: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let reader = EventReader::default();
        let mut batch = Batch { reader, limits, stamps, ids, sink, events: 0 };
        let result = batch.read(text);
        let events = batch.events;
        match result {
            Ok(()) => Ok(events),
            Err(rejection) => {
                sink.discard(events);
                Err(rejection)
            }
        }
    }
}

/// The events of one request, while they are read.
struct Batch<'a, 't, S: ?Sized> {
    reader: EventReader<'t>,
    limits: &'a Limits,
    stamps: &'a Stamps,
    ids: &'a mut IdSource,
    sink: &'a mut S,
    /// How many were given to the sink.
    events: usize,
}

impl<'t, S: EventSink + ?Sized> Batch<'_, 't, S> {
    /// Takes a whole document: one event, or an array of them.
    fn read(&mut self, text: &'t str) -> Result<(), Rejection> {
        let is_array = text.trim_ascii_start().starts_with('[');
        let taken = if is_array {
            json::elements(text, |element| {
                // The element is JSON: the array was read around it.
                self.event(element).unwrap_or_else(|_| Err(self.refused(EventFault::NotAnObject)))
            })
        } else {
            self.event(text)
        };
        taken.unwrap_or_else(|_| Err(json::rejection(text)))?;
        if self.events == 0 {
            return Err(Rejection::BatchEmpty);
        }
        Ok(())
    }

    fn event(&mut self, text: &'t str) -> Result<Result<(), Rejection>, Unreadable> {
        if self.events >= self.limits.batch {
            return Ok(Err(Rejection::BatchTooLarge { limit: self.limits.batch }));
        }
        let event = self.reader.read(text, self.limits, self.stamps.now)?;
        Ok(event.and_then(|event| self.write(&event)).map_err(|fault| self.refused(fault)))
    }

    fn write(&mut self, event: &Event<'_>) -> Result<(), EventFault> {
        let out = self.sink.begin_event();
        let before = out.len();
        self.reader.write(event, self.stamps, self.ids, out);
        let limit = self.limits.event.min(self.limits.value);
        if out.len() - before > limit {
            return Err(EventFault::TooLarge { limit });
        }
        self.sink.end_event();
        self.events += 1;
        Ok(())
    }

    fn refused(&self, fault: EventFault) -> Rejection {
        Rejection::Event { index: self.events, fault }
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
