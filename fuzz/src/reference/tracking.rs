//! The tracking API, read simply: what becomes of a request's events.

use std::net::IpAddr;

use windhover_core::UnixTime;
use windhover_core::tracking::{RecordFault, RecordKind, TrackingEndpoint, TrackingLimits};

use super::json::{self, Json, unescaped, whole};
use super::{base64, inflate};

/// What a request is made of.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As written.
    pub method: &'a str,
    /// Behind the `?`.
    pub query: &'a [u8],
    /// Names and values.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body.
    pub body: &'a [u8],
}

/// The lines that are recorded, and what of a batch is not.
pub type Recorded = (Vec<String>, Vec<(usize, RecordFault)>);

/// Why nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Told by its reason alone ([`DecodeError::reason`](windhover_core::tracking::DecodeError::reason)).
    Reason(&'static str),
    /// The body cannot be made plain, or comes to too much.
    Compressed,
    /// The text is not JSON, or goes on behind it.
    Json,
    /// This record is not as it must be.
    Record(usize, RecordFault),
}

/// A request's parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    data: Vec<Vec<u8>>,
    /// The first value of `callback`, encoded.
    pub callback: Option<Vec<u8>>,
    /// The first value of `redirect`, encoded.
    pub redirect: Option<Vec<u8>>,
    ip: bool,
    /// `verbose=1`
    pub verbose: bool,
    /// `img=1`
    pub img: bool,
    test: bool,
    /// `strict=1`
    pub strict: bool,
    api_key: Option<Vec<u8>>,
    project_id: Option<Vec<u8>>,
}

impl Parameters {
    /// Whether `data` was given.
    pub fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    fn add(&mut self, form: &[u8]) {
        for pair in form.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let (name, value) = (decoded(&pair[..end]), pair.get(end + 1..).unwrap_or_default());
            let on = decoded(value) == b"1";
            match &name[..] {
                b"data" => self.data.push(value.to_vec()),
                b"callback" => drop(self.callback.get_or_insert_with(|| value.to_vec())),
                b"redirect" => drop(self.redirect.get_or_insert_with(|| value.to_vec())),
                b"ip" => self.ip |= on,
                b"verbose" => self.verbose |= on,
                b"img" => self.img |= on,
                b"test" => self.test |= on,
                b"strict" => self.strict |= on,
                b"api_key" => drop(self.api_key.get_or_insert_with(|| decoded(value))),
                b"project_id" => drop(self.project_id.get_or_insert_with(|| decoded(value))),
                _ => {}
            }
        }
    }
}

/// A form's value without its coding.
pub fn decoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < value.len() {
        let digits =
            value.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (value[at], digits) {
            (b'%', Some(digits)) => {
                let digits = std::str::from_utf8(digits).expect("they are digits");
                out.push(u8::from_str_radix(digits, 16).expect("they are digits"));
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    out
}

/// The text of a body, and whether each line of it is a record.
struct Text {
    bytes: Vec<u8>,
    lines: bool,
}

/// The lines that are recorded, and the parameters that the answer depends on.
pub fn decode(
    endpoint: TrackingEndpoint,
    request: &Request<'_>,
    now: UnixTime,
    client: IpAddr,
    limits: &TrackingLimits,
    mut id: impl FnMut() -> String,
) -> (Result<Recorded, Refusal>, Parameters) {
    let mut parameters = Parameters::default();
    parameters.add(request.query);
    let body = plain_body(request, &mut parameters, limits);
    let text = body.and_then(|body| {
        callback_is_good(&parameters)?;
        let token = match endpoint {
            TrackingEndpoint::Import => token(request, &parameters)?,
            _ => None,
        };
        Ok((source(&parameters, body)?, token))
    });
    let records = text.and_then(|(text, token)| {
        let stamps = Stamps {
            now,
            ip: parameters.ip.then_some(client),
            test: parameters.test,
            token,
            kind: endpoint.kind(),
            strict: endpoint != TrackingEndpoint::Track && parameters.strict,
        };
        if text.lines {
            return each_line(&text.bytes, limits, &stamps, &mut id);
        }
        let text = mended(&text.bytes).ok_or(Refusal::Reason("utf8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        records(text, limits, &stamps, &mut id)
    });
    (records, parameters)
}

/// The token that the credentials of a request name, as JSON.
fn token(request: &Request<'_>, parameters: &Parameters) -> Result<Option<String>, Refusal> {
    let basic = || {
        let is = |name: &str| name.eq_ignore_ascii_case("authorization");
        let (_, value) = request.headers.iter().find(|(name, _)| is(name))?;
        let scheme = value.get(..6)?.to_ascii_lowercase();
        let text = (scheme == b"basic ").then(|| from_base64(&decoded(value[6..].trim_ascii())))?;
        let text = String::from_utf8(text.ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        (!user.is_empty()).then(|| (user.to_owned(), password.to_owned()))
    };
    let given = |value: &Option<Vec<u8>>| {
        String::from_utf8(value.clone().unwrap_or_default()).ok().filter(|it| !it.is_empty())
    };
    let name = match basic() {
        Some((user, password)) if password.is_empty() => Some(user),
        Some(_) => given(&parameters.project_id),
        None => Some(given(&parameters.api_key).ok_or(Refusal::Reason("unauthorized"))?),
    };
    Ok(name.map(|name| {
        let mut quoted = String::from("\"");
        for character in name.chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{c}' => quoted.push_str("\\f"),
                '\0'..=' ' if character < ' ' => {
                    quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                _ => quoted.push(character),
            }
        }
        quoted + "\""
    }))
}

fn callback_is_good(parameters: &Parameters) -> Result<(), Refusal> {
    let name = parameters.callback.as_ref().filter(|name| !name.is_empty());
    if name.is_some_and(|name| callback(name).is_none()) {
        return Err(Refusal::Reason("callback"));
    }
    Ok(())
}

/// A record in each line that is not empty.
fn each_line(
    bytes: &[u8],
    limits: &TrackingLimits,
    stamps: &Stamps,
    id: &mut impl FnMut() -> String,
) -> Result<Recorded, Refusal> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let all = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let all: Vec<&[u8]> = all.filter(|line| !line.is_empty()).collect();
    if all.is_empty() {
        return Err(Refusal::Reason("data_empty"));
    }
    if all.len() > limits.batch {
        return Err(Refusal::Reason("batch_too_large"));
    }
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    for (index, line) in all.into_iter().enumerate() {
        let json = mended(line).and_then(|text| json::read(&text));
        match json.ok_or(RecordFault::NotJson).and_then(|json| record(&json, limits, stamps, id)) {
            Ok(line) => lines.push(line),
            Err(fault) => refused.push((index, fault)),
        }
    }
    none_of(lines, refused)
}

fn none_of(lines: Vec<String>, refused: Vec<(usize, RecordFault)>) -> Result<Recorded, Refusal> {
    match refused.first() {
        Some((index, fault)) if lines.is_empty() => Err(Refusal::Record(*index, *fault)),
        _ => Ok((lines, refused)),
    }
}

/// The item that a record becomes.
fn record(
    json: &Json,
    limits: &TrackingLimits,
    stamps: &Stamps,
    id: &mut impl FnMut() -> String,
) -> Result<String, RecordFault> {
    match stamps.kind {
        RecordKind::Event => line(json, limits, stamps, id),
        _ => update(json, limits, stamps),
    }
}

/// Text of bytes that may be UTF-8 but for what is in strings; `None` where it is not.
fn mended(bytes: &[u8]) -> Option<String> {
    let surrogate = |at: usize| match bytes.get(at..at + 3) {
        Some([0xed, b @ 0xa0..=0xbf, c @ 0x80..=0xbf]) => {
            Some(0xd000 + (u32::from(*b) % 64) * 64 + u32::from(*c) % 64)
        }
        _ => None,
    };
    let (mut text, mut in_string, mut escaped) = (String::new(), false, false);
    let mut at = 0;
    while at < bytes.len() {
        let whole = (1..=4).find_map(|len| {
            let character = std::str::from_utf8(bytes.get(at..at + len)?).ok()?;
            Some((character.chars().next()?, len))
        });
        let (character, len) = match (whole, surrogate(at), surrogate(at + 3)) {
            (Some(whole), _, _) => whole,
            _ if !in_string => return None,
            (None, Some(high @ ..0xdc00), Some(low @ 0xdc00..)) => {
                let code = 0x10000 + (high - 0xd800) * 0x400 + low - 0xdc00;
                (char::from_u32(code).expect("it is a pair"), 6)
            }
            (None, Some(_), _) => ('\u{fffd}', 3),
            (None, None, _) => {
                let error = std::str::from_utf8(&bytes[at..]).expect_err("it is no character");
                ('\u{fffd}', error.error_len().unwrap_or(bytes.len() - at))
            }
        };
        in_string ^= character == '"' && !escaped;
        escaped = in_string && character == '\\' && !escaped;
        text.push(character);
        at += len;
    }
    Some(text)
}

/// The body, where it is JSON.
fn plain_body(
    request: &Request<'_>,
    parameters: &mut Parameters,
    limits: &TrackingLimits,
) -> Result<Option<Text>, Refusal> {
    let header = |wanted: &str| -> Vec<&[u8]> {
        let is = |name: &str| name.eq_ignore_ascii_case(wanted);
        request.headers.iter().filter(|(name, _)| is(name)).map(|(_, value)| *value).collect()
    };
    match request.method {
        "GET" if request.body.is_empty() => return Ok(None),
        "GET" => return Err(Refusal::Reason("body_of_get")),
        "POST" => {}
        _ => return Err(Refusal::Reason("method")),
    }
    if request.body.is_empty() {
        return Ok(None);
    }
    let body = inflated(request.body, &header("content-encoding"), limits)?;
    let value = header("content-type").first().copied().unwrap_or_default();
    let kind = value
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    let json = match &kind[..] {
        b"application/json" => true,
        b"application/x-ndjson" | b"application/ndjson" | b"application/jsonl" => {
            return Ok(Some(Text { bytes: body, lines: true }));
        }
        b"application/x-www-form-urlencoded" | b"text/plain" | b"" => begins_json(&body),
        b"multipart/form-data" => {
            let form = multipart(value, &body).ok_or(Refusal::Reason("multipart"))?;
            parameters.add(&form);
            return Ok(None);
        }
        _ => return Err(Refusal::Reason("content_type")),
    };
    if json {
        return Ok(Some(Text { bytes: body, lines: false }));
    }
    parameters.add(&body);
    Ok(None)
}

/// A multipart form as one of the usual kind.
fn multipart(content_type: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let boundary = parameter(content_type, "boundary")?;
    if !(1..=70).contains(&boundary.len()) {
        return None;
    }
    let text = [b"\r\n", body].concat();
    let delimiter = [b"\r\n--", boundary].concat();
    let find =
        |from: usize, what: &[u8]| (from..text.len()).find(|at| text[*at..].starts_with(what));
    let mut at = find(0, &delimiter)? + delimiter.len();
    let mut form = Vec::new();
    while !text[at..].starts_with(b"--") {
        while matches!(text.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        // The line end behind the boundary may be the first half of the empty line.
        let headers_end = find(at, b"\r\n\r\n").filter(|_| text[at..].starts_with(b"\r\n"))?;
        let next = find(headers_end + 4, &delimiter)?;
        let headers = text.get(at + 2..headers_end).unwrap_or_default();
        if headers.windows(delimiter.len()).any(|some| some == delimiter) {
            return None;
        }
        let name = headers.split(|&byte| byte == b'\n').find_map(|line| {
            let header = b"content-disposition:";
            let start = line.get(..header.len())?;
            start.eq_ignore_ascii_case(header).then(|| parameter(line, "name"))?
        });
        if let Some(name) = name {
            let hex = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
            let coded = |bytes: &[u8]| -> String {
                bytes.iter().flat_map(|byte| ['%', hex(byte >> 4), hex(byte & 15)]).collect()
            };
            let value = coded(&text[headers_end + 4..next]);
            form.extend_from_slice(format!("{}={value}&", coded(name)).as_bytes());
        }
        at = next + delimiter.len();
    }
    Some(form)
}

/// What stands behind `; name=`.
fn parameter<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = header;
    loop {
        let at = rest.iter().position(|&byte| byte == b';')?;
        rest = rest[at + 1..].trim_ascii_start();
        let behind = name.len() + 1;
        let Some(start) = rest.get(..behind) else { continue };
        if !start.eq_ignore_ascii_case(format!("{name}=").as_bytes()) {
            continue;
        }
        let value = &rest[behind..];
        let (value, ends): (_, &[u8]) = match value.strip_prefix(b"\"") {
            Some(quoted) if quoted.contains(&b'"') => (quoted, b"\""),
            Some(_) => return None,
            None => (value, b"; \t\r"),
        };
        return value.split(|byte| ends.contains(byte)).next();
    }
}

/// The body without its compression.
fn inflated(body: &[u8], headers: &[&[u8]], limits: &TrackingLimits) -> Result<Vec<u8>, Refusal> {
    let all = headers.join(&b',').to_ascii_lowercase();
    let codings: Vec<&[u8]> = all
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !matches!(*coding, b"" | b"identity"))
        .collect();
    let ratio = (body.len() * limits.ratio).max(limits.event);
    let bounds = inflate::Bounds { most: ratio.min(limits.inflated), blocks: (64, 128) };
    let text = match codings[..] {
        [] if !body.starts_with(b"\x1f\x8b") => return Ok(body.to_vec()),
        [] | [b"gzip" | b"x-gzip"] => inflate::gzip(body, bounds),
        [b"deflate"] => inflate::deflate(body, bounds),
        _ => return Err(Refusal::Reason("content_encoding")),
    };
    text.ok_or(Refusal::Compressed)
}

fn begins_json(text: &[u8]) -> bool {
    let start = text.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(start, Some(b'{' | b'[' | 0xef))
}

fn source(parameters: &Parameters, body: Option<Text>) -> Result<Text, Refusal> {
    let plain = |bytes| Text { bytes, lines: false };
    match (&parameters.data[..], body) {
        ([], Some(body)) => Ok(body),
        ([], None) => Err(Refusal::Reason("data_missing")),
        ([data], None) if data.is_empty() => Err(Refusal::Reason("data_empty")),
        ([data], None) => {
            let text = decoded(data);
            let trimmed = text.trim_ascii();
            if begins_json(&text) {
                Ok(plain(text))
            } else if trimmed.iter().all(|byte| *byte == b'=' || byte.is_ascii_whitespace()) {
                Err(Refusal::Reason("data_empty"))
            } else if trimmed.starts_with(b"\"")
                || [&b"null"[..], b"undefined", b"true", b"false", b"NaN"].contains(&trimmed)
            {
                Err(Refusal::Json)
            } else {
                from_base64(&text).map(plain)
            }
        }
        _ => Err(Refusal::Reason("data_twice")),
    }
}

fn from_base64(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut symbols: Vec<u8> = text
        .iter()
        .filter(|byte| !b"\r\n\t".contains(byte))
        .map(|byte| match byte {
            b' ' | b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        })
        .collect();
    while symbols.last() == Some(&b'=') {
        symbols.pop();
    }
    // A single digit at the end says nothing.
    if symbols.len() % 4 == 1 {
        return Err(Refusal::Reason("base64"));
    }
    while !symbols.len().is_multiple_of(4) {
        symbols.push(b'=');
    }
    base64::decode(&symbols).ok_or(Refusal::Reason("base64"))
}

/// The name of a callback; `None` where it is no path of identifiers.
pub fn callback(encoded: &[u8]) -> Option<String> {
    if encoded.len() > 256 {
        return None;
    }
    let name = String::from_utf8(decoded(encoded)).ok()?;
    let is_identifier = |part: &str| {
        // With places in arrays behind it.
        let (part, places) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        let places = places.strip_suffix(']').map_or_else(
            || places.is_empty(),
            |places| {
                places[1..].split("][").all(|place| {
                    !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit())
                })
            },
        );
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_$".contains(&byte);
        places
            && !part.is_empty()
            && part.bytes().all(legal)
            && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    name.split('.').all(is_identifier).then_some(name)
}

struct Stamps {
    now: UnixTime,
    ip: Option<IpAddr>,
    test: bool,
    token: Option<String>,
    kind: RecordKind,
    strict: bool,
}

fn records(
    text: &str,
    limits: &TrackingLimits,
    stamps: &Stamps,
    id: &mut impl FnMut() -> String,
) -> Result<Recorded, Refusal> {
    if text.trim_ascii().is_empty() {
        return Err(Refusal::Reason("data_empty"));
    }
    let all = match json::read(text).ok_or(Refusal::Json)? {
        Json::Array(all) => all,
        one @ Json::Object(_) => vec![one],
        _ => return Err(Refusal::Json),
    };
    if all.is_empty() {
        return Err(Refusal::Reason("batch_empty"));
    }
    if all.len() > limits.batch {
        return Err(Refusal::Reason("batch_too_large"));
    }
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    for (index, json) in all.iter().enumerate() {
        match record(json, limits, stamps, id) {
            Ok(line) => lines.push(line),
            Err(fault) => refused.push((index, fault)),
        }
    }
    none_of(lines, refused)
}

type Members = Vec<(String, String, String)>;

/// Adds a member, or changes the value of the one with its name.
fn insert(
    members: &mut Members,
    name: &str,
    value: &Json,
    limits: &TrackingLimits,
) -> Result<(), RecordFault> {
    let key = unescaped(name);
    if let Some(member) = members.iter_mut().find(|(known, _, _)| *known == key) {
        member.2 = value.compact();
    } else if members.len() >= limits.properties {
        return Err(RecordFault::TooManyProperties { limit: limits.properties });
    } else {
        members.push((key, whole(name), value.compact()));
    }
    Ok(())
}

fn line(
    event: &Json,
    limits: &TrackingLimits,
    stamps: &Stamps,
    id: &mut impl FnMut() -> String,
) -> Result<String, RecordFault> {
    let Json::Object(members) = event else {
        return Err(RecordFault::NotAnObject);
    };
    let (mut name, mut properties, mut others) = (None, None, Members::new());
    let mut seen = false;
    for (key, value) in members {
        match &*unescaped(key) {
            "event" => {
                bounded(value, limits.depth, limits)?;
                name = Some(value.compact());
            }
            "properties" => {
                seen = true;
                properties = None;
                if let Json::Object(members) = value {
                    let mut all = Members::new();
                    for (key, value) in members {
                        bounded(value, limits.depth, limits)?;
                        insert(&mut all, key, value, limits)?;
                    }
                    properties = Some(all);
                }
            }
            _ => {
                bounded(value, limits.depth, limits)?;
                insert(&mut others, key, value, limits)?;
            }
        }
    }
    let name = name.ok_or(RecordFault::NameMissing)?;
    if name == "\"\"" {
        return Err(RecordFault::NameEmpty);
    }
    if !name.starts_with('"') {
        return Err(RecordFault::NameNotAString);
    }
    if !seen {
        return Err(RecordFault::PropertiesMissing);
    }
    let properties = properties.ok_or(RecordFault::PropertiesNotAnObject)?;
    let value = |key: &str| {
        properties.iter().find(|(name, _, _)| name == key).map(|(_, _, value)| &**value)
    };
    match value("token") {
        None if stamps.token.is_some() => {}
        None => return Err(RecordFault::TokenMissing),
        Some("\"\"") => return Err(RecordFault::TokenEmpty),
        Some(token) if token.starts_with('"') => {}
        Some(_) => return Err(RecordFault::TokenNotAString),
    }
    let now = stamps.now.as_millis();
    let time = match value("time") {
        None | Some("null") => now,
        Some(text) => millis(text, stamps)?,
    };
    if stamps.strict {
        strictly(&properties)?;
    }
    let stamp = |key: &str, value: Option<&str>, id: &mut dyn FnMut() -> String| match key {
        "time" => Some(time.to_string()),
        "mp_processing_time_ms" => Some(now.to_string()),
        "ip" if matches!(value, None | Some("null" | "\"\"")) => {
            stamps.ip.map(|ip| format!("\"{}\"", ip.to_canonical()))
        }
        "$insert_id" if matches!(value, None | Some("null" | "\"\"")) => {
            Some(format!("\"{}\"", id()))
        }
        "$test" if stamps.test => Some("true".to_owned()),
        _ => None,
    };
    let mut written: Vec<String> = Vec::new();
    for (key, name, value) in &properties {
        let value = stamp(key, Some(value), id).unwrap_or_else(|| value.clone());
        written.push(format!("{name}:{value}"));
    }
    if let (None, Some(token)) = (value("token"), &stamps.token) {
        written.push(format!("\"token\":{token}"));
    }
    for key in ["time", "ip", "mp_processing_time_ms", "$insert_id", "$test"] {
        if value(key).is_none()
            && let Some(value) = stamp(key, None, id)
        {
            written.push(format!("\"{key}\":{value}"));
        }
    }
    let mut line = format!("{{\"event\":{name},\"properties\":{{{}}}", written.join(","));
    for (_, name, value) in &others {
        line.push_str(&format!(",{name}:{value}"));
    }
    line.push('}');
    let limit = limits.event;
    if line.len() > limit {
        return Err(RecordFault::TooLarge { limit });
    }
    Ok(line)
}

/// What `strict=1` asks for beside the rest.
fn strictly(properties: &Members) -> Result<(), RecordFault> {
    if !properties.iter().any(|(name, _, value)| name == "time" && value != "null") {
        return Err(RecordFault::TimeMissing);
    }
    for (name, _, value) in properties {
        if name == "distinct_id" && is_banned(value) {
            return Err(RecordFault::DistinctIdBanned);
        }
        let id = value.trim_matches('"');
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let good = value.starts_with('"') && id.len() <= 36 && id.bytes().all(legal);
        if name == "$insert_id" && value != "null" && !good {
            return Err(RecordFault::InsertIdMalformed);
        }
    }
    Ok(())
}

/// What no user's id is.
fn is_banned(value: &str) -> bool {
    let id = value.strip_prefix('"').and_then(|id| id.strip_suffix('"')).unwrap_or(value);
    let id = id.trim_ascii().to_ascii_lowercase();
    let nil = "00000000-0000-0000-0000-000000000000";
    id == nil
        || " anon anonymous nil none null n/a na undefined unknown <nil> 0 -1 true false [] {} "
            .split(' ')
            .any(|banned| !banned.is_empty() && banned == id)
}

/// Whether the value of an operation is what it must be.
fn operation(name: &str, json: &Json) -> Result<(), RecordFault> {
    let all = |fits: fn(&Json) -> bool| match json {
        Json::Object(members) => members.iter().all(|(_, value)| fits(value)),
        _ => false,
    };
    let (good, fault) = match name {
        "$delete" => (true, RecordFault::OperationMissing),
        "$add" => (
            all(|value| value.compact().starts_with(|c: char| c == '-' || c.is_ascii_digit())),
            RecordFault::OperationNotNumbers,
        ),
        "$union" => (all(|value| matches!(value, Json::Array(_))), RecordFault::OperationNotArrays),
        "$unset" => {
            let is_name = |value: &Json| value.compact().starts_with('"');
            let good = matches!(json, Json::Array(names) if names.iter().all(is_name));
            (good, RecordFault::OperationNotNames)
        }
        _ => (matches!(json, Json::Object(_)), RecordFault::OperationNotAnObject),
    };
    if good { Ok(()) } else { Err(fault) }
}

fn update(json: &Json, limits: &TrackingLimits, stamps: &Stamps) -> Result<String, RecordFault> {
    let Json::Object(all) = json else {
        return Err(RecordFault::NotAnObject);
    };
    let is_group = stamps.kind == RecordKind::GroupUpdate;
    let common = ["$set", "$set_once", "$remove", "$union", "$unset", "$delete"];
    let is_operation =
        |key: &str| common.contains(&key) || !is_group && matches!(key, "$append" | "$add");
    let mut members = Members::new();
    let mut values: Vec<(String, &Json)> = Vec::new();
    for (name, value) in all {
        let key = unescaped(name);
        let depth = limits.depth + usize::from(is_operation(&key));
        bounded(value, depth, limits)?;
        insert(&mut members, name, value, limits)?;
        values.retain(|(known, _)| *known != key);
        values.push((key, value));
    }
    let value =
        |key: &str| members.iter().find(|(name, _, _)| name == key).map(|(_, _, value)| &**value);
    match value("$token") {
        None => return Err(RecordFault::TokenMissing),
        Some("\"\"") => return Err(RecordFault::TokenEmpty),
        Some(token) if token.starts_with('"') => {}
        Some(_) => return Err(RecordFault::TokenNotAString),
    }
    if is_group && value("$group_key").is_none_or(|key| !key.starts_with('"') || key.len() == 2) {
        return Err(RecordFault::GroupKeyMissing);
    }
    let id = value(if is_group { "$group_id" } else { "$distinct_id" });
    if !is_group && stamps.strict && id.is_some_and(is_banned) {
        return Err(RecordFault::DistinctIdBanned);
    }
    match id {
        None | Some("null" | "\"\"") => return Err(RecordFault::ProfileIdMissing),
        Some(id) if id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) => {}
        Some(_) => return Err(RecordFault::ProfileIdNotAString),
    }
    let mut operations = 0;
    // In the order in which the names were first given.
    for (key, _, _) in members.iter().filter(|(key, _, _)| is_operation(key)) {
        operations += 1;
        let (_, json) = values.iter().find(|(name, _)| name == key).expect("it was read");
        operation(key, json)?;
    }
    if operations == 0 {
        return Err(RecordFault::OperationMissing);
    }
    let now = stamps.now.as_millis();
    let time = match value("$time") {
        None | Some("null") => now,
        Some(text) => millis(text, stamps)?,
    };
    let ip = |value: Option<&str>| match (stamps.ip, value) {
        (Some(ip), None | Some("null" | "\"\"")) => Some(format!("\"{}\"", ip.to_canonical())),
        _ => None,
    };
    let mut written: Vec<String> = Vec::new();
    for (key, name, value) in &members {
        let value = match &**key {
            "$time" => time.to_string(),
            "mp_processing_time_ms" => now.to_string(),
            "$ip" => ip(Some(value)).unwrap_or_else(|| value.clone()),
            _ => value.clone(),
        };
        written.push(format!("{name}:{value}"));
    }
    for (key, stamp) in [
        ("$time", Some(time.to_string())),
        ("$ip", ip(None)),
        ("mp_processing_time_ms", Some(now.to_string())),
    ] {
        if let (None, Some(stamp)) = (value(key), stamp) {
            written.push(format!("\"{key}\":{stamp}"));
        }
    }
    let line = format!("{{{}}}", written.join(","));
    let limit = limits.event;
    if line.len() > limit { Err(RecordFault::TooLarge { limit }) } else { Ok(line) }
}

/// Whether a value keeps to the bounds, in the order of its text.
fn bounded(value: &Json, depth: usize, limits: &TrackingLimits) -> Result<(), RecordFault> {
    let inner = depth.checked_sub(1).ok_or(RecordFault::TooDeep { limit: limits.depth });
    match value {
        Json::Array(items) => {
            let inner = inner?;
            for (at, item) in items.iter().enumerate() {
                if at >= limits.array {
                    return Err(RecordFault::ArrayTooLong { limit: limits.array });
                }
                bounded(item, inner, limits)?;
            }
        }
        Json::Object(members) => {
            let inner = inner?;
            for (at, (_, item)) in members.iter().enumerate() {
                if at >= limits.properties {
                    return Err(RecordFault::ObjectTooLarge { limit: limits.properties });
                }
                bounded(item, inner, limits)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A time in milliseconds. `text` is a number, or a string that holds one.
fn millis(text: &str, stamps: &Stamps) -> Result<u64, RecordFault> {
    let now = stamps.now.as_millis();
    let no_number = RecordFault::TimeNotANumber;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let text = text.trim_ascii();
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) {
        return Err(no_number);
    }
    let exponent: i64 = match exponent {
        None => 0,
        Some(text) => {
            let minus = text.starts_with('-');
            let text = text.strip_prefix(['-', '+']).unwrap_or(text);
            if !digits(text) {
                return Err(no_number);
            }
            let size: i64 = text.parse().unwrap_or(1_000_000).min(1_000_000);
            if minus { -size } else { size }
        }
    };
    if negative {
        return Err(RecordFault::TimeTooEarly);
    }
    // Thousandths: the digits, with the point moved.
    let all = format!("{whole}{}", fraction.unwrap_or_default());
    let before = i64::try_from(whole.len()).expect("short") + exponent + 3;
    let mut thousandths = String::new();
    for at in 0..before.clamp(0, 5000) {
        let digit = usize::try_from(at).ok().and_then(|at| all.as_bytes().get(at));
        thousandths.push(digit.map_or('0', |digit| char::from(*digit)));
    }
    let significant = thousandths.trim_start_matches('0');
    let thousandths: u128 =
        if significant.is_empty() { 0 } else { significant.parse().unwrap_or(u128::MAX) };
    let millis = if thousandths < 100_000_000_000_000 { thousandths } else { thousandths / 1000 };
    if millis > u128::from(now) + 3_600_000 {
        return if stamps.strict { Err(RecordFault::TimeTooLate) } else { Ok(now) };
    }
    let millis = u64::try_from(millis).expect("it is at most an hour ahead");
    if millis < 31_536_000_000 { Err(RecordFault::TimeTooEarly) } else { Ok(millis) }
}

/// Where a redirection leads; `None` where it may not.
pub fn redirect(encoded: &[u8], hosts: &[&str]) -> Option<String> {
    if encoded.len() > 24_000 {
        return None;
    }
    let mut url = String::new();
    for byte in decoded(encoded) {
        if byte == b' ' || byte >= 0x80 {
            url.push_str(&format!("%{byte:02X}"));
        } else {
            url.push(char::from(byte));
        }
    }
    if url.len() > 8000 || !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let port = match &*scheme.to_ascii_lowercase() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(legal) {
        return None;
    }
    let host = authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    let fits = |entry: &&&str| match entry.strip_prefix("*.") {
        None => **entry == host,
        Some(parent) => host
            .strip_suffix(parent)
            .and_then(|labels| labels.strip_suffix('.'))
            .is_some_and(|labels| {
                !labels.is_empty()
                    && labels
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            }),
    };
    hosts.iter().find(fits)?;
    Some(url)
}
