//! From a request to events.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::body::{Body, begins_json};
use super::credentials;
use super::endpoint::TrackingEndpoint;
use super::error::{DecodeError, InflateFault};
use super::id::IdSource;
use super::limits::TrackingLimits;
use super::mend::Repairs;
use super::multipart::{self, NotMultipart};
use super::parameters::{Parameters, Switch};
use super::reading::{BatchRule, Reading};
use super::record::ReaderMemory;
use super::redirect::RedirectPolicy;
use super::refused::{RefusedRecord, RefusedRecords};
use super::reply::TrackingReply;
use super::sink::RecordSink;
use super::stamps::Stamps;
use super::{base64, form};
use crate::UnixTime;
use crate::http::Request;

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
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use windhover_core::UnixTime;
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{
///     BatchRule, Context, Decoded, Decoder, IdSource, RecordFault, Records, RedirectPolicy,
///     RefusedRecord, Repairs, TrackingEndpoint, TrackingLimits, TrackingReply,
/// };
///
/// // A number that JSON does not have, and an event without a name.
/// let request = Request::new(
///     Method::Get,
///     "/track",
///     r#"data=[{"event":"buy","properties":{"token":"t","price":NaN}},{"properties":{"token":"t"}}]"#,
/// );
/// # let context = Context {
/// #     now: UnixTime::from_secs(1_334_859_601),
/// #     client: IpAddr::V4(Ipv4Addr::LOCALHOST),
/// #     limits: &TrackingLimits::default(),
/// #     redirects: &RedirectPolicy::deny(),
/// #     rule: BatchRule::default(),
/// # };
/// # let (endpoint, mut ids) = (TrackingEndpoint::Track, IdSource::new(1, 1));
/// let mut records = Records::new();
/// let decoded = Decoder::new().decode(endpoint, &request, &context, &mut ids, &mut records);
/// let Decoded { reply, result, refused, repairs, .. } = decoded;
/// assert_eq!((result, records.as_slice().len()), (Ok(1), 1));
/// let [RefusedRecord { index: 1, fault: RecordFault::NameMissing, .. }] = &refused[..] else {
///     panic!("the second one is refused, and no other");
/// };
/// assert!(matches!(repairs, Repairs { numbers: 1, characters: 0, .. }));
/// // When the journal has the record; or when it could not take it.
/// let reply: TrackingReply = reply;
/// assert_eq!(&*reply.accepted().body, b"1");
/// assert_eq!((reply.not_durable().status.0, &*reply.not_durable().body), (503, &b"0"[..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// How to answer, when it is known what became of the records.
    pub reply: TrackingReply,
    /// How many records the sink was given, or why it has none.
    pub result: Result<usize, DecodeError>,
    /// The records that the sink was not given, in their order. With
    /// [`BatchRule::AllOrNothing`] it is the first one at which decoding ended.
    pub refused: Vec<RefusedRecord>,
    /// What was mended on the way.
    pub repairs: Repairs,
    /// `strict=1` was asked for, of an endpoint that has it.
    pub strict: bool,
    /// `test=1` was asked for.
    pub test: bool,
    /// The project that the credentials of an import name, as a JSON string.
    pub token: Option<String>,
}

/// A request is larger than [`Decoder::decode_within`] was to decode.
///
/// ```
/// # use core::net::{IpAddr, Ipv4Addr};
/// # use windhover_core::UnixTime;
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{
///     BatchRule, Context, Decoder, IdSource, OverBudget, Records, RedirectPolicy, TrackingEndpoint,
///     TrackingLimits,
/// };
///
/// let mut request = Request::new(Method::Post, "/track", "");
/// request.body = br#"{"event":"buy","properties":{"token":"t"}}"#;
/// # let context = Context {
/// #     now: UnixTime::from_secs(1_334_859_601),
/// #     client: IpAddr::V4(Ipv4Addr::LOCALHOST),
/// #     limits: &TrackingLimits::default(),
/// #     redirects: &RedirectPolicy::deny(),
/// #     rule: BatchRule::default(),
/// # };
/// # let (endpoint, mut ids, mut records) = (TrackingEndpoint::Track, IdSource::new(1, 1), Records::new());
/// // A loop that others wait for takes small requests alone; this one goes to a worker.
/// let decoded = Decoder::new().decode_within(16, endpoint, &request, &context, &mut ids, &mut records);
/// assert_eq!(decoded, Err(OverBudget));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget;

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is larger than it may be to be decoded at once")
    }
}

impl core::error::Error for OverBudget {}

/// Decodes tracking requests. It holds nothing of a request but memory that serves for the next,
/// so one of them may serve any number of connections in turn.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use windhover_core::UnixTime;
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::{
///     BatchRule, Context, Decoder, IdSource, Records, RedirectPolicy, TrackingEndpoint,
///     TrackingLimits,
/// };
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
/// let (mut ids, mut events) = (IdSource::new(1, 1), Records::new());
/// let batch =
///     Decoder::new().decode(TrackingEndpoint::Track, &request, &context, &mut ids, &mut events);
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
    /// The body without its compression.
    inflated: Vec<u8>,
    reader: ReaderMemory,
}

/// Memory beyond this is given back after the request that needed it.
const KEPT: usize = 64 * 1024;

/// The bytes that JSON text of a request is in.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// As they came.
    Json(&'a [u8]),
    /// As they came, a document in each line.
    Lines(&'a [u8]),
    /// The value of `data`, still encoded.
    Data(&'a [u8]),
}

impl Decoder {
    /// A decoder without memory of its own; it allocates with the first request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the records of a request into `sink`. When a [`DecodeError`] says why none is recorded,
    /// the sink is told to discard what it was given.
    ///
    /// The endpoint is the one of the request's path, as [`route`](super::route) finds it; the path
    /// itself is not looked at.
    pub fn decode<S: RecordSink + ?Sized>(
        &mut self,
        endpoint: TrackingEndpoint,
        request: &Request<'_>,
        context: &Context<'_>,
        ids: &mut IdSource,
        sink: &mut S,
    ) -> Decoded {
        let mut inflated = core::mem::take(&mut self.inflated);
        let body = Body::of(request, context.limits, &mut inflated);
        let decoded = self.decode_body(endpoint, request, body, context, ids, sink);
        self.keep(inflated);
        decoded
    }

    /// The same, if the body has no more than `budget` bytes, also after its compression is undone. For
    /// an application that decodes small requests where they come in, and large ones where nobody waits
    /// for it: decoding takes some milliseconds for each MiB.
    ///
    /// # Errors
    ///
    /// [`OverBudget`], after as much was looked at as the budget allows; the sink was given nothing.
    pub fn decode_within<S: RecordSink + ?Sized>(
        &mut self,
        budget: usize,
        endpoint: TrackingEndpoint,
        request: &Request<'_>,
        context: &Context<'_>,
        ids: &mut IdSource,
        sink: &mut S,
    ) -> Result<Decoded, OverBudget> {
        if request.body.len() > budget {
            return Err(OverBudget);
        }
        let limits = context.limits.clone().with_inflated(budget.min(context.limits.inflated));
        let mut inflated = core::mem::take(&mut self.inflated);
        let body = Body::of(request, &limits, &mut inflated);
        let is_over = budget < context.limits.inflated
            && body
                == Err(DecodeError::Inflate { fault: InflateFault::TooLarge { limit: budget } });
        let decoded = if is_over {
            Err(OverBudget)
        } else {
            Ok(self.decode_body(endpoint, request, body, context, ids, sink))
        };
        self.keep(inflated);
        decoded
    }

    /// Keeps memory for the next request, unless it is much.
    fn keep(&mut self, inflated: Vec<u8>) {
        self.inflated = inflated;
        let [decoded, symbols, inflated] =
            [&self.decoded, &self.symbols, &self.inflated].map(Vec::capacity);
        let capacities = [decoded, symbols, inflated, self.reader.capacity()];
        if capacities.into_iter().any(|capacity| capacity > KEPT) {
            self.release();
        }
    }

    fn decode_body<S: RecordSink + ?Sized>(
        &mut self,
        endpoint: TrackingEndpoint,
        request: &Request<'_>,
        body: Result<Body<'_>, DecodeError>,
        context: &Context<'_>,
        ids: &mut IdSource,
        sink: &mut S,
    ) -> Decoded {
        let mut parameters = Parameters::default();
        parameters.read(request.query.as_bytes());
        let mut form = Vec::new();
        let body = body.and_then(|body| {
            match body {
                Body::Form(form) => parameters.read(form),
                Body::Multipart(content_type, body) => {
                    form = multipart::to_form(content_type, body)
                        .map_err(|NotMultipart| DecodeError::Multipart)?;
                    parameters.read(&form);
                }
                Body::None | Body::Json(_) | Body::Lines(_) => {}
            }
            Ok(body)
        });
        let (mut reply, allowed) =
            TrackingReply::new(endpoint, &parameters, request, context.redirects);
        let credentials = match endpoint {
            TrackingEndpoint::Import => credentials::token(&request.headers, &parameters),
            _ => Ok(None),
        };
        let named = credentials.as_ref().ok().cloned().flatten();
        let source = body.and_then(|body| {
            allowed?;
            let token = credentials?;
            Ok((choose_source(&parameters, body)?, token))
        });
        let encoded = match source {
            Ok((Source::Data(encoded), _)) => encoded,
            _ => &[],
        };
        // `/track` has no such parameter.
        let strict = endpoint != TrackingEndpoint::Track && parameters.is_on(Switch::Strict);
        let test = parameters.is_on(Switch::Test);
        let (mut repairs, mut refused) = (Repairs::default(), RefusedRecords::default());
        let mut reader = core::mem::take(&mut self.reader);
        let result = source.and_then(|(source, token)| {
            let stamps = Stamps {
                now: context.now,
                ip: parameters.is_on(Switch::Ip).then_some(context.client),
                test,
                token,
                kind: endpoint.kind(),
                strict,
            };
            let bytes = self.undo_encoding(&source)?;
            let mut reading = Reading {
                limits: context.limits,
                rule: context.rule,
                stamps: &stamps,
                ids,
                sink,
                repairs: &mut repairs,
                refused: &mut refused,
                memory: &mut reader,
            };
            match source {
                Source::Lines(_) => reading.read_lines(bytes),
                Source::Json(_) | Source::Data(_) => reading.read(bytes),
            }
        });
        self.reader = reader;
        let result = result.map_err(|rejection| said_as_it_is(rejection, encoded, &self.decoded));
        if context.rule == BatchRule::EachEvent {
            reply.note(*result.as_ref().unwrap_or(&0), &refused);
        }
        Decoded { reply, result, refused: refused.list, repairs, strict, test, token: named }
    }

    /// Gives back the memory that it keeps for the next request.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    /// The bytes that JSON text is in.
    pub(super) fn undo_encoding<'a>(
        &'a mut self,
        source: &Source<'a>,
    ) -> Result<&'a [u8], DecodeError> {
        match *source {
            Source::Json(bytes) | Source::Lines(bytes) => Ok(bytes),
            Source::Data(encoded) => {
                if begins_json(form::decoded(encoded)) {
                    form::decode_into(encoded, &mut self.decoded);
                } else {
                    base64::decode_into(encoded, &mut self.symbols, &mut self.decoded)
                        .map_err(|error| DecodeError::Base64 { at: error.at })?;
                }
                Ok(&self.decoded)
            }
        }
    }
}

pub(super) fn choose_source<'a>(
    parameters: &Parameters<'a>,
    body: Body<'a>,
) -> Result<Source<'a>, DecodeError> {
    match (parameters.data, body) {
        _ if parameters.data_twice => Err(DecodeError::DataTwice),
        (Some(_), Body::Json(_) | Body::Lines(_)) => Err(DecodeError::DataTwice),
        (None, Body::Json(json)) => Ok(Source::Json(json)),
        (None, Body::Lines(lines)) => Ok(Source::Lines(lines)),
        (Some([]), _) => Err(DecodeError::DataEmpty),
        (Some(data), _) => Ok(Source::Data(data)),
        (None, _) => Err(DecodeError::DataMissing),
    }
}

/// Why events are refused, where the value of `data` that they were looked for in is `encoded`, or what it
/// stands for, is something else that senders write.
#[cold]
fn said_as_it_is(rejection: DecodeError, encoded: &[u8], decoded: &[u8]) -> DecodeError {
    // What programs make of an event that they do not have.
    const NOTHING: [&[u8]; 5] = [b"null", b"undefined", b"true", b"false", b"NaN"];
    let is_of_text = matches!(
        rejection,
        DecodeError::Base64 { .. }
            | DecodeError::Utf8 { .. }
            | DecodeError::Json { .. }
            | DecodeError::JsonCut { .. }
            | DecodeError::JsonTrailing { .. }
    );
    if encoded.is_empty() || !is_of_text {
        return rejection;
    }
    let mut text = Vec::new();
    form::decode_into(encoded, &mut text);
    match text.trim_ascii() {
        text if text.iter().all(|&byte| byte == b'=' || byte.is_ascii_whitespace()) => {
            DecodeError::DataEmpty
        }
        text if text.starts_with(b"\"") || NOTHING.contains(&text) => DecodeError::NotEvents,
        // The same in base64.
        _ if matches!(rejection, DecodeError::Json { .. }) && NOTHING.contains(&decoded) => {
            DecodeError::NotEvents
        }
        _ => rejection,
    }
}
