//! Any bytes, read as a tracking request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use windhover_core::UnixTime;
use windhover_core::http::{Headers, Method, Request, Response};
use windhover_core::tracking::{
    BatchRule, Context, DecodeError, Decoder, EventDigest, EventIdentity, ForwardedHeader,
    IdSource, OverBudget, RecordSink, Records, RedirectPolicy, Route, TrackingEndpoint,
    TrackingLimits, TrackingReply, TrustedProxies, client_address, explain, form_pairs,
    method_not_allowed, not_found, overloaded, preflight, route,
};

use crate::reference::forwarded;
use crate::reference::json::{self, Json};
use crate::reference::tracking::{self as reference, Parameters, Refusal};

/// 2012-04-19 18:20:01.234 UTC.
const NOW: UnixTime = UnixTime::from_millis(1_334_859_601_234);
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const HOSTS: [&str; 2] = ["ok.example", "*.good.example"];

/// What is recorded of a request, and what is answered, is what a simple, slow reader says; a
/// refused request leaves nothing behind.
pub fn tracking(input: &[u8]) {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end {
        Some(end) => (&input[..end], &input[end + 4..]),
        None => (input, &b""[..]),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    // Values are bytes.
    let raw: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    let raw = |value: &str| {
        let same = |line: &&&[u8]| {
            line.strip_suffix(b"\r").is_some_and(|line| {
                let text = String::from_utf8_lossy(line);
                text.split_once(": ").is_some_and(|(_, text)| text == value)
            })
        };
        let line = raw.iter().find(same).and_then(|line| line.strip_suffix(b"\r"));
        line.and_then(|line| {
            let at = line.windows(2).position(|two| two == b": ")?;
            line.get(at + 2..)
        })
    };
    let (method, target) = lines.next().unwrap_or_default().split_once(' ').unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(&str, &[u8])> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name, raw(value).unwrap_or(value.as_bytes())))
        .collect();
    let mut request = Request::new(Method::from_name(method).unwrap_or(Method::Trace), path, query);
    request.headers = Headers::new(&headers);
    request.body = body;
    let plain = reference::Request { method, query: query.as_bytes(), headers: &headers, body };

    let client = client(&request, &headers);
    if depth(body) > DEEP {
        too_deep(&request, client);
        return;
    }
    let none = TrackingLimits::default().with_array(0).with_properties(1);
    for limits in [small_limits(), none, TrackingLimits::default()] {
        decode(&request, &plain, client, &limits);
    }
    routes(&request, method);
}

/// Arrays and objects within each other, of which the reference remembers every level.
const DEEP: usize = 200;

/// How deep arrays and objects are nested, which may be in any text.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Of a request that is nested so deep nothing is recorded that is, and it is told what was not.
fn too_deep(request: &Request<'_>, client: IpAddr) {
    let endpoint = endpoint(request.path).unwrap_or_default();
    let (redirects, rule) = (RedirectPolicy::hosts(HOSTS), BatchRule::EachEvent);
    let limits = &TrackingLimits::default();
    let context = Context { now: NOW, client, limits, redirects: &redirects, rule };
    let (mut ids, mut sink) = (IdSource::new(10, 11), Records::new());
    let batch = Decoder::new().decode(endpoint, request, &context, &mut ids, &mut sink);
    let lines = sink.take();
    assert_eq!(lines.len(), batch.result.clone().unwrap_or(0));
    assert!(lines.iter().all(|line| depth(line) <= DEEP), "it was recorded");
    match batch.result {
        Ok(_) => assert!(!batch.refused.is_empty(), "nobody is told"),
        Err(refused) => assert!(crate::property::tells(&refused)),
    }
}

fn small_limits() -> TrackingLimits {
    TrackingLimits::default()
        .with_event(260)
        .with_batch(3)
        .with_properties(4)
        .with_array(3)
        .with_depth(2)
        .with_inflated(400)
        .with_ratio(3)
}

fn decode(
    request: &Request<'_>,
    plain: &reference::Request<'_>,
    client: IpAddr,
    limits: &TrackingLimits,
) {
    let endpoint = endpoint(request.path).unwrap_or_default();
    let redirects = RedirectPolicy::hosts(HOSTS);
    let rule = BatchRule::EachEvent;
    let context = Context { now: NOW, client, limits, redirects: &redirects, rule };
    let mut decoder = Decoder::new();
    // One that was used is as good as a new one.
    for connection in [11, 12] {
        let mut ids = IdSource::new(10, connection);
        let mut sink = Records::new();
        let batch = decoder.decode(endpoint, request, &context, &mut ids, &mut sink);
        let (reply, result) = (batch.reply, batch.result);
        assert_eq!(sink.as_slice().len(), result.clone().unwrap_or(0));
        let lines: Vec<String> = sink
            .take()
            .into_iter()
            .map(|line| String::from_utf8(line).expect("JSON is UTF-8"))
            .collect();
        let mut drawn = 0;
        let id = || {
            drawn += 1;
            format!("{:016x}{connection:08x}{:08x}", 10, drawn - 1)
        };
        let (expected, parameters) = reference::decode(endpoint, plain, NOW, client, limits, id);
        match (&result, &expected) {
            (Ok(count), Ok((events, refused))) => {
                assert_eq!((*count, &lines), (events.len(), events));
                let told: Vec<_> = batch.refused.iter().map(|it| (it.index, it.fault)).collect();
                assert_eq!(&told, refused);
                assert!(batch.refused.iter().all(|it| !it.fault.reason().is_empty()));
            }
            (Err(rejection), Err(refusal)) => {
                assert!(lines.is_empty(), "a refused request was recorded: {lines:?}");
                assert!(same(rejection, refusal), "{rejection:?}, expected {refusal:?}");
                assert!(crate::property::tells(rejection) && !rejection.reason().is_empty());
                let nothing =
                    ["data_missing", "data_empty", "batch_empty", "method", "json_too_deep"];
                let brought_nothing = nothing.contains(&rejection.reason());
                assert_eq!(rejection.has_lost_something(), !brought_nothing);
            }
            _ => panic!("{result:?}, expected {expected:?}"),
        }
        all_or_nothing(endpoint, request, &context, &result, batch.refused.len());
        explained(request, limits, &result);
        identified(endpoint, request, &context);
        within_budgets(endpoint, request, &context, &result);
        if endpoint == TrackingEndpoint::Import
            && request.method == Method::Post
            && !parameters.has_data()
        {
            import_answers(&reply, &result, &parameters, batch.refused.len(), request);
        } else {
            answers(endpoint, &reply, &result, &parameters, batch.refused.len(), request);
        }
        decoder.release();
    }
}

/// With a budget it is all the same, or nothing is done.
fn within_budgets(
    endpoint: TrackingEndpoint,
    request: &Request<'_>,
    context: &Context<'_>,
    result: &Result<usize, DecodeError>,
) {
    for budget in [0, 100, 400, usize::MAX] {
        let (mut ids, mut sink) = (IdSource::new(10, 0), Records::new());
        let decoded =
            Decoder::new().decode_within(budget, endpoint, request, context, &mut ids, &mut sink);
        match decoded {
            Ok(decoded) => assert_eq!(decoded.result, *result),
            Err(OverBudget) => {
                assert!(sink.as_slice().is_empty());
                assert!(budget < request.body.len() || budget < context.limits.inflated);
            }
        }
    }
}

/// What is recorded is explained, up to the text that it was in.
fn explained(request: &Request<'_>, limits: &TrackingLimits, result: &Result<usize, DecodeError>) {
    let explained = explain(request, limits);
    match (&explained.text, result) {
        (Err(error), Err(rejection)) => assert!(!error.reason().is_empty(), "{rejection:?}"),
        (Err(error), Ok(_)) => panic!("{error:?} of what was recorded"),
        (Ok(_), _) => {}
    }
    assert!(form_pairs(request.query).count() <= request.query.len());
}

const KEY: [u8; 16] = *b"0123456789abcdef";

/// Records, and by what each was told to be recognised.
#[derive(Default)]
struct Identified {
    lines: Vec<(Vec<u8>, Option<EventDigest>)>,
    begun: Vec<u8>,
    digest: Option<EventDigest>,
}

impl RecordSink for Identified {
    fn begin_record(&mut self) -> &mut Vec<u8> {
        self.begun.clear();
        &mut self.begun
    }

    fn identify(&mut self, identity: &EventIdentity<'_>) {
        self.digest = Some(identity.digest(&KEY));
    }

    fn end_record(&mut self) {
        self.lines.push((std::mem::take(&mut self.begun), self.digest.take()));
    }

    fn discard(&mut self, records: usize) {
        self.digest = None;
        self.lines.truncate(self.lines.len() - records);
    }
}

/// An event is recognised by its record, but for one whose id stands as if it were stamped.
fn identified(endpoint: TrackingEndpoint, request: &Request<'_>, context: &Context<'_>) {
    let (mut sink, mut ids) = (Identified::default(), IdSource::new(10, 11));
    let _ = Decoder::new().decode(endpoint, request, context, &mut ids, &mut sink);
    for (line, told) in sink.lines {
        let recorded = EventIdentity::of_record(&line);
        if told.is_none() && recorded.is_some() {
            assert!(!is_stamped(&line), "{}", String::from_utf8_lossy(&line));
        }
        let (Some(told), Some(recorded)) = (told, recorded) else {
            continue;
        };
        let timed = recorded.identity.digest(&KEY);
        let untimed = recorded.identity.without_time().digest(&KEY);
        let is_known = told == timed || recorded.is_time_of_receipt && told == untimed;
        assert!(is_known, "{}", String::from_utf8_lossy(&line));
    }
}

/// Whether its `$insert_id` stands where the stamps of a record are.
fn is_stamped(line: &[u8]) -> bool {
    let line = json::read(&String::from_utf8_lossy(line));
    let Some(Json::Object(members)) = line else { return false };
    let named = |of: &(String, Json), name: &str| json::unescaped(&of.0) == name;
    let properties = members.into_iter().rev().find(|member| named(member, "properties"));
    let Some((_, Json::Object(properties))) = properties else { return false };
    let mut before = properties.iter().rev().skip_while(|it| !named(it, "$insert_id")).skip(1);
    before.next().is_some_and(|member| named(member, "mp_processing_time_ms"))
}

/// By the other rule nothing is recorded, unless all is.
fn all_or_nothing(
    endpoint: TrackingEndpoint,
    request: &Request<'_>,
    context: &Context<'_>,
    result: &Result<usize, DecodeError>,
    refused: usize,
) {
    let context = Context { rule: BatchRule::AllOrNothing, ..*context };
    let mut sink = Records::new();
    let mut ids = IdSource::new(10, 0);
    let batch = Decoder::new().decode(endpoint, request, &context, &mut ids, &mut sink);
    assert_eq!(sink.as_slice().len(), batch.result.clone().unwrap_or(0));
    if matches!(result, Err(DecodeError::BatchTooLarge { .. })) {
        assert!(batch.result.is_err(), "{:?}", batch.result);
    } else if refused == 0 {
        assert_eq!(batch.result, *result);
    } else {
        assert!(matches!(batch.result, Err(DecodeError::Record { .. })), "{:?}", batch.result);
    }
}

fn same(rejection: &DecodeError, refusal: &Refusal) -> bool {
    match (rejection, refusal) {
        (DecodeError::Record { index, fault, .. }, Refusal::Record(at, expected)) => {
            index == at && fault == expected && !fault.to_string().is_empty()
        }
        (
            DecodeError::Json { .. }
            | DecodeError::JsonCut { .. }
            | DecodeError::JsonTrailing { .. }
            | DecodeError::JsonTooDeep { .. }
            | DecodeError::NotEvents,
            Refusal::Json,
        ) => true,
        (DecodeError::Inflate { fault }, Refusal::Compressed) => !fault.to_string().is_empty(),
        (_, Refusal::Reason(reason)) => rejection.reason() == *reason,
        _ => false,
    }
}

/// The endpoint of a path.
fn endpoint(path: &str) -> Option<TrackingEndpoint> {
    Some(match path.strip_suffix('/').unwrap_or(path) {
        "/track" => TrackingEndpoint::Track,
        "/import" => TrackingEndpoint::Import,
        "/engage" => TrackingEndpoint::Engage,
        "/groups" => TrackingEndpoint::Groups,
        _ => return None,
    })
    .inspect(|endpoint| assert_eq!(endpoint.path(), format!("/{}", endpoint.name())))
}

/// The answers of `/import` are JSON that tells status and count, and each record that failed.
fn import_answers(
    reply: &TrackingReply,
    result: &Result<usize, DecodeError>,
    parameters: &Parameters,
    refused: usize,
    request: &Request<'_>,
) {
    let (recorded, answer) = match result {
        Ok(count) => (*count, reply.accepted()),
        Err(rejection) => (0, reply.rejected(rejection)),
    };
    headers_hold(&answer, request);
    let status = match result {
        Ok(_) if parameters.strict && refused > 0 => 400,
        Ok(_) => 200,
        Err(rejection) => rejection.status().0.max(400),
    };
    assert_eq!(answer.status.0, status);
    let text = String::from_utf8_lossy(&answer.body);
    assert!(json::read(&text).is_some(), "{text}");
    assert!(text.starts_with(&format!("{{\"code\":{status},\"")), "{text}");
    assert!(text.contains(&format!("\"num_records_imported\":{recorded},")), "{text}");
    assert_eq!(tells(&answer, refused), refused > 0, "{text}");
    let unsafe_now = reply.not_durable();
    headers_hold(&unsafe_now, request);
    assert_eq!(unsafe_now.status.0, 503);
    assert!(json::read(&String::from_utf8_lossy(&unsafe_now.body)).is_some());
}

fn answers(
    endpoint: TrackingEndpoint,
    reply: &TrackingReply,
    result: &Result<usize, DecodeError>,
    parameters: &Parameters,
    refused: usize,
    request: &Request<'_>,
) {
    let is_update = matches!(endpoint, TrackingEndpoint::Engage | TrackingEndpoint::Groups);
    let verbose = parameters.verbose || is_update && parameters.strict;
    let given = |value: &Option<Vec<u8>>| value.clone().filter(|value| !value.is_empty());
    let redirect = given(&parameters.redirect);
    let location = redirect.as_ref().and_then(|encoded| reference::redirect(encoded, &HOSTS));
    assert_eq!(reply.redirect_refused(), redirect.is_some() && location.is_none());
    let callback = given(&parameters.callback).and_then(|name| reference::callback(&name));
    let wrap = |text: String| match (&callback, parameters.img) {
        (_, true) => None,
        (Some(name), false) => Some(format!("{name}({text});")),
        (None, false) => Some(text),
    };
    let accepted = reply.accepted();
    headers_hold(&accepted, request);
    if let Some(encoded) = &redirect {
        anywhere(encoded);
    }
    if let Some(location) = location {
        assert_eq!(accepted.status.0, 302);
        assert!(
            accepted.headers.iter().any(|(name, value)| *name == "Location" && *value == *location)
        );
    } else {
        let text = if verbose { r#"{"status":1,"error":null}"# } else { "1" };
        assert_eq!(accepted.status.0, 200);
        if !tells(&accepted, refused) {
            body_is(&accepted, wrap(text.to_owned()));
        }
    }
    let failed = |message: &str| {
        wrap(if verbose {
            let message = message.replace('\\', "\\\\").replace('"', "\\\"");
            format!(r#"{{"status":0,"error":"{message}"}}"#)
        } else {
            "0".to_owned()
        })
    };
    if let Err(rejection) = result {
        let rejected = reply.rejected(rejection);
        headers_hold(&rejected, request);
        assert_eq!(rejected.status, rejection.status());
        let is_read = !matches!(
            rejection,
            DecodeError::ContentEncoding | DecodeError::ContentType | DecodeError::Inflate { .. }
        );
        assert!(is_read || rejected.status.0 >= 400, "{rejection:?}");
        if !tells(&rejected, refused) {
            body_is(&rejected, failed(&rejection.to_string()));
        }
    }
    let unsafe_now = reply.not_durable();
    headers_hold(&unsafe_now, request);
    assert_eq!(unsafe_now.status.0, 503);
    assert_eq!(unsafe_now.fixed_headers.get("Retry-After"), Some("2"));
    body_is(&unsafe_now, failed("the events could not be made durable: send them again later"));
}

/// Whether the answer tells of each event of a batch that is not recorded; it is JSON then, but for
/// a callback around it.
fn tells(answer: &Response, refused: usize) -> bool {
    let text = String::from_utf8_lossy(&answer.body);
    let Some((_, records)) = text.split_once(r#","failed_records":["#) else {
        return false;
    };
    assert_eq!(records.matches(r#","field":""#).count(), refused, "{text}");
    let start = text.find('{').expect("an object");
    let end = text.rfind('}').expect("an object");
    assert!(json::read(&text[start..=end]).is_some(), "{text}");
    true
}

/// A policy that allows all, or nothing, by what else an address must be.
fn anywhere(encoded: &[u8]) {
    let Ok(url) = String::from_utf8(reference::decoded(encoded)) else {
        return;
    };
    assert!(!RedirectPolicy::deny().allows(&url));
    let one = RedirectPolicy::hosts(["*"]).allows(&url);
    assert!(one || !RedirectPolicy::hosts(HOSTS).allows(&url), "all hosts, but not {url}");
    assert!(!RedirectPolicy::hosts(["*x"]).allows(&url), "no pattern");
}

/// A text, or the pixel.
fn body_is(response: &Response, text: Option<String>) {
    match text {
        Some(text) => assert_eq!(String::from_utf8_lossy(&response.body), text),
        None => {
            assert!(response.body.starts_with(b"GIF89a") && response.content_type == "image/gif");
        }
    }
}

/// Nothing of what the peer sent can become another header.
fn headers_hold(response: &Response, request: &Request<'_>) {
    for (_, value) in &response.headers {
        assert!(!value.chars().any(|it| it != '\t' && it.is_control()), "{value:?}");
    }
    let allowed = |name: &str| {
        response.headers.iter().any(|(key, _)| *key == name)
            || response.fixed_headers.get(name).is_some()
    };
    assert!(allowed("Access-Control-Allow-Origin"));
    let usable = request.headers.get("origin").is_some_and(|origin| {
        (1..=1024).contains(&origin.len()) && origin.iter().all(u8::is_ascii_graphic)
    });
    assert_eq!(allowed("Access-Control-Allow-Credentials"), usable);
}

/// The last element of `Forwarded` that a proxy of one's own wrote, as its grammar reads it.
fn last_forwarded(request: &Request<'_>, headers: &[(&str, &[u8])]) {
    let mut elements = Some(Vec::new());
    for (_, value) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("forwarded")) {
        let read = forwarded::forwarded(value);
        elements = elements.zip(read).map(|(all, more)| [all, more].concat());
    }
    for hops in 1..3 {
        let proxies = TrustedProxies { hops, header: ForwardedHeader::Forwarded };
        let named = elements.as_ref().and_then(|all| all.get(all.len().checked_sub(hops)?));
        let text = named.and_then(|named| String::from_utf8(named.clone()).ok());
        let expected = text.and_then(|text| address(&text)).unwrap_or(PEER).to_canonical();
        assert_eq!(client_address(&request.headers, PEER, &proxies), expected, "{elements:?}");
    }
}

fn proxies(hops: usize) -> TrustedProxies {
    TrustedProxies { hops, header: ForwardedHeader::XForwardedFor }
}

/// The last address that a proxy wrote, where it wrote one.
fn client(request: &Request<'_>, headers: &[(&str, &[u8])]) -> IpAddr {
    assert_eq!(client_address(&request.headers, PEER, &TrustedProxies::default()), PEER);
    last_forwarded(request, headers);
    let entries: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"))
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        // What is no text is no address.
        .map(|entry| String::from_utf8(entry.to_vec()).unwrap_or_default())
        .collect();
    for hops in 1..3 {
        let entry = entries.len().checked_sub(hops).map(|at| &entries[at]);
        let expected = entry.and_then(|entry| address(entry)).unwrap_or(PEER).to_canonical();
        assert_eq!(client_address(&request.headers, PEER, &proxies(hops)), expected, "{entries:?}");
    }
    client_address(&request.headers, PEER, &proxies(1))
}

fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.strip_prefix('"').and_then(|entry| entry.strip_suffix('"')).unwrap_or(entry);
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(in_brackets)
}

fn routes(request: &Request<'_>, method: &str) {
    let ours = endpoint(request.path);
    let path = request.path.strip_suffix('/').unwrap_or(request.path);
    let unbuilt_path = ["/flags", "/flags/definitions", "/settings", "/record", "/decide"];
    if let (true, "GET" | "POST") = (unbuilt_path.contains(&path), method) {
        let Route::NotBuilt(found) = route(request.method, request.path) else {
            panic!("{path} is answered with nothing");
        };
        assert_eq!(format!("/{}", found.name()), path.replace("flags/", "flag_"));
        let answer = found.response(&request.headers);
        headers_hold(&answer, request);
        assert!(json::read(&String::from_utf8_lossy(&answer.body)).is_some());
        return;
    }
    let expected = match (ours, method) {
        (_, "OPTIONS") => Route::Preflight,
        (None, _) if !unbuilt_path.contains(&path) => Route::NotFound,
        (Some(endpoint), "GET" | "POST") => Route::Record(endpoint),
        _ => Route::MethodNotAllowed,
    };
    assert_eq!(route(request.method, request.path), expected, "{}", request.path);
    let later = overloaded(request);
    for (answer, status) in
        [(not_found(&request.headers), 404), (method_not_allowed(request), 405), (later, 503)]
    {
        assert_eq!(answer.status.0, status);
        headers_hold(&answer, request);
    }
    let preflight = preflight(request);
    assert_eq!(preflight.status.0, 204);
    headers_hold(&preflight, request);
}
