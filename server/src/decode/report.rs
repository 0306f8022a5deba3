//! The explanation of one request.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::value::RawValue;
use windhover_core::http::{HttpLimits, Output, Request, Response, ServerConnection};
use windhover_core::tracking::{
    self, BatchRule, Context, DecodeStep, Decoded, Decoder, EventIdentity, IdSource, Records,
    RedirectPolicy, Route, TrackingEndpoint, TrackingLimits, explain,
};
use windhover_core::{Now, Timeouts, UnixTime};

use super::DecodeArgs;

/// Longest text that is shown of what came.
const SHOWN: usize = 160;

/// Explains the request that `wire` has; whether anything of it would be recorded.
pub(super) fn report(wire: &[u8], args: &DecodeArgs, out: &mut dyn Write) -> io::Result<bool> {
    let unix = args.now.map_or_else(now, UnixTime::from_secs);
    let now = Now { unix, ..Now::default() };
    // Whatever body it is given, the limits on what is in it are those of `serve`.
    let limits = HttpLimits::default().with_body(wire.len().max(10 * 1024 * 1024));
    let mut connection = ServerConnection::new(&limits, &Timeouts::default(), now.instant)
        .with_refusals(tracking::refused);
    connection.receive(wire);
    connection.end_of_stream();
    if let Output::Request(request) = connection.poll_output(now) {
        return explained(&request, args, unix, out);
    }
    match connection.take_refused().or_else(|| connection.error()) {
        Some(error) => line(out, "refused", &format!("{}: {error}", error.reason()))?,
        None => line(out, "refused", "it is cut off")?,
    }
    let mut slices: [&[u8]; 8] = [&[]; 8];
    let count = connection.unsent(&mut slices);
    let answer = slices.get(..count).unwrap_or_default().concat();
    let status = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    line(
        out,
        "answer",
        status.strip_prefix("HTTP/1.1 ").unwrap_or("none: the connection is closed"),
    )?;
    Ok(false)
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn line(out: &mut dyn Write, what: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{what:<9} {text}")
}

fn explained(
    request: &Request<'_>,
    args: &DecodeArgs,
    now: UnixTime,
    out: &mut dyn Write,
) -> io::Result<bool> {
    line(out, "request", &format!("{} {}", request.method, shown(request.path.as_bytes())))?;
    let response = match tracking::route(request.method, request.path) {
        Route::Record(endpoint) => return recorded(endpoint, request, args, now, out),
        Route::Preflight => {
            line(out, "route", "a browser asks whether it may send a request from another origin")?;
            tracking::preflight(request)
        }
        Route::NotBuilt(path) => {
            line(out, "route", "a path of the libraries that has nothing to do with events")?;
            path.response(&request.headers)
        }
        Route::MethodNotAllowed => {
            line(
                out,
                "refused",
                &format!("method_not_allowed: {} records nothing", request.method),
            )?;
            tracking::method_not_allowed(request)
        }
        _ => {
            line(
                out,
                "refused",
                "not_found: no such path; events go to /track or /import, updates to /engage or /groups",
            )?;
            tracking::not_found(&request.headers)
        }
    };
    answer(&response, out)?;
    Ok(false)
}

fn recorded(
    endpoint: TrackingEndpoint,
    request: &Request<'_>,
    args: &DecodeArgs,
    now: UnixTime,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let limits = TrackingLimits::default();
    for name in ["content-type", "content-encoding"] {
        if let Some(value) = request.headers.get(name) {
            line(out, "header", &format!("{name}: {}", shown(value)))?;
        }
    }
    let steps = explain(request, &limits);
    for found in &steps.steps {
        step(found, out)?;
    }
    let redirects = RedirectPolicy::hosts(args.redirect_hosts.iter().cloned());
    let rule = if args.all_or_nothing { BatchRule::AllOrNothing } else { BatchRule::EachEvent };
    let context = Context { now, client: args.from, limits: &limits, redirects: &redirects, rule };
    let (mut ids, mut sink) = (IdSource::new(0, 0), Records::new());
    let decoded = Decoder::new().decode(endpoint, request, &context, &mut ids, &mut sink);
    if let Some(token) = &decoded.token {
        line(out, "token", &format!("{token}, of the credentials"))?;
    }
    let text = steps.text.unwrap_or_default();
    let came = documents(&text);
    outcomes(endpoint, &decoded, &sink, &came, out)?;
    let repairs = decoded.repairs;
    if repairs.characters > 0 {
        line(out, "mended", &format!("characters that became U+FFFD: {}", repairs.characters))?;
    }
    if repairs.numbers > 0 {
        line(out, "mended", &format!("numbers that became null: {}", repairs.numbers))?;
    }
    if decoded.reply.redirect_refused() {
        line(out, "refused", "the redirect: its host is none of --redirect-host")?;
    }
    let response = match &decoded.result {
        Ok(_) => decoded.reply.accepted(),
        Err(rejection) => {
            line(out, "refused", &format!("{}: {rejection}", rejection.reason()))?;
            decoded.reply.rejected(rejection)
        }
    };
    answer(&response, out)?;
    Ok(decoded.result.is_ok())
}

fn step(step: &DecodeStep, out: &mut dyn Write) -> io::Result<()> {
    match step {
        DecodeStep::Parameters { in_body, names } => {
            let names: Vec<String> = names
                .iter()
                .map(|(name, len)| format!("{} ({len})", shown(name.as_bytes())))
                .collect();
            line(out, if *in_body { "form" } else { "query" }, &names.join(", "))
        }
        DecodeStep::Inflated { from, to } => {
            line(out, "undone", &format!("compression: {from} bytes are {to}"))
        }
        DecodeStep::Multipart { length } => {
            line(out, "body", &format!("a multipart form of {length} bytes"))
        }
        DecodeStep::JsonBody { length } => line(out, "body", &format!("JSON of {length} bytes")),
        DecodeStep::Lines { length } => {
            line(out, "body", &format!("JSON in lines, {length} bytes"))
        }
        DecodeStep::JsonData { from, to } => {
            line(out, "undone", &format!("percent-encoding of data: {from} bytes are {to} of JSON"))
        }
        DecodeStep::Base64 { from, to } => {
            line(out, "undone", &format!("base64 of data: {from} bytes are {to}"))
        }
        _ => Ok(()),
    }
}

/// What became of each record, in order.
fn outcomes(
    endpoint: TrackingEndpoint,
    decoded: &Decoded,
    sink: &Records,
    came: &[&RawValue],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut refused = decoded.refused.iter().peekable();
    let mut recorded = sink.as_slice().iter();
    let total = sink.as_slice().len() + decoded.refused.len();
    for index in 0..total {
        let name = format!("record {index}");
        if let Some(record) = refused.next_if(|record| record.index == index) {
            let fault = record.fault;
            line(
                out,
                &name,
                &format!("refused, {}: {}", fault.reason(), fault.of(endpoint.kind())),
            )?;
            line(out, "  as", &shown(&record.text))?;
        } else if let Some(record) = recorded.next() {
            line(out, &name, "recorded")?;
            if let Some(before) = came.get(index) {
                changes(before.get(), record, out)?;
            }
            let again = EventIdentity::of_record(record).is_some();
            if endpoint.kind() == tracking::RecordKind::Event {
                let text = if again { "recorded once, by" } else { "recorded twice, for want of" };
                line(out, "  twice", &format!("{text} an $insert_id of its own"))?;
            }
            line(out, "  as", &String::from_utf8_lossy(record))?;
        }
    }
    Ok(())
}

/// What is in the record that did not come so.
fn changes(before: &str, record: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let record = String::from_utf8_lossy(record);
    let (before, after) = (members(before), members(&record));
    for (name, value) in &after {
        match before.get(name) {
            None => line(out, "  added", &format!("{name} {}", value.get()))?,
            Some(came) if squeezed(came.get()) != squeezed(value.get()) => {
                let came = shown(came.get().as_bytes());
                line(out, "  changed", &format!("{name} {came} to {}", value.get()))?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Text without the white space that is not in strings.
fn squeezed(json: &str) -> String {
    let mut is_string = false;
    let mut is_escaped = false;
    json.chars()
        .filter(|&c| {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = is_string,
                '"' => is_string = !is_string,
                _ => {}
            }
            is_string || !c.is_ascii_whitespace()
        })
        .collect()
}

/// The members of a record: of an event those of its properties.
fn members(record: &str) -> BTreeMap<String, &RawValue> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(record).unwrap_or_default();
    match members.get("properties") {
        Some(properties) => serde_json::from_str(properties.get()).unwrap_or_default(),
        None => members,
    }
}

/// The records as they came, as far as they are JSON.
fn documents(text: &[u8]) -> Vec<&RawValue> {
    let text = std::str::from_utf8(text).unwrap_or_default().trim_start_matches('\u{feff}');
    if let Ok(array) = serde_json::from_str(text) {
        return array;
    }
    serde_json::Deserializer::from_str(text).into_iter().map_while(Result::ok).collect()
}

fn answer(response: &Response, out: &mut dyn Write) -> io::Result<()> {
    let (status, body) = (response.status, shown(&response.body));
    line(out, "answer", format!("{} {} {body}", status.0, status.reason()).trim_end())?;
    for (name, value) in &response.headers {
        line(out, "", &format!("{name}: {value}"))?;
    }
    Ok(())
}

/// Text for one line of a terminal, not all of it where it is long.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let escaped = |c: char| {
        let control = c.is_control().then(|| c.escape_default());
        control.clone().into_iter().flatten().chain(control.is_none().then_some(c))
    };
    let mut line: String = text.chars().take(SHOWN).flat_map(escaped).collect();
    if text.chars().count() > SHOWN {
        line.push('…');
    }
    line
}
