//! HTTP/1.1 requests, read simply and strictly (RFC 9112), from a whole stream that has ended.

use windhover_core::http::HttpLimits;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As written; `?` where it is one of those that are read and never served.
    pub method: String,
    /// The target without scheme, authority and query.
    pub path: String,
    /// Behind the first `?`.
    pub query: String,
    /// Names as written, and values without white space around them, for people to read.
    pub headers: String,
    /// The value of the first `Host`.
    pub host: Option<Vec<u8>>,
    /// Without its coding.
    pub body: Vec<u8>,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// Whether it ends in something that is no request.
    pub error: bool,
    /// Whether the last request asked for the end of the connection: what follows it is not read.
    pub closed: bool,
}

/// Reads a stream.
pub fn read(input: &[u8], limits: &HttpLimits) -> Stream {
    let mut stream = Stream { requests: Vec::new(), error: false, closed: false };
    let mut rest = input;
    loop {
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        // A stream may end behind an empty line that is cut.
        if rest.is_empty() || rest == b"\r" {
            return stream;
        }
        match request(rest, limits) {
            Some((request, close, behind)) => {
                stream.requests.push(request);
                rest = behind;
                if close {
                    stream.closed = true;
                    return stream;
                }
            }
            None => {
                stream.error = true;
                return stream;
            }
        }
    }
}

/// What stands behind the first request of a stream.
pub fn behind<'a>(mut input: &'a [u8], limits: &HttpLimits) -> Option<&'a [u8]> {
    while let Some(behind) = input.strip_prefix(b"\r\n") {
        input = behind;
    }
    request(input, limits).map(|(_, _, behind)| behind)
}

fn request<'a>(input: &'a [u8], limits: &HttpLimits) -> Option<(Request, bool, &'a [u8])> {
    let mut lines = Vec::new();
    let mut rest = input;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r")?;
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    if input.len() - rest.len() > limits.head || lines.len() > limits.headers + 1 {
        return None;
    }
    let (first, lines) = lines.split_first()?;
    let words: Vec<&[u8]> = first.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    let http10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return None,
    };
    let method = std::str::from_utf8(method).ok()?.to_owned();
    if !["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"].contains(&&*method) {
        return None;
    }
    let target = std::str::from_utf8(target).ok()?;
    if target.is_empty()
        || target.contains('#')
        || target.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
    {
        return None;
    }
    let (path, query) = path_and_query(target, method == "OPTIONS")?;
    let mut headers = Vec::new();
    for line in lines {
        headers.push(header(line)?);
    }
    let all = |wanted: &str| -> Vec<&[u8]> {
        let is = |name: &str| name.eq_ignore_ascii_case(wanted);
        headers.iter().filter(|(name, _)| is(name)).map(|(_, value)| &value[..]).collect()
    };
    let hosts = all("host");
    if hosts.len() > 1 || (hosts.is_empty() && !http10) || !hosts.iter().all(|host| is_host(host)) {
        return None;
    }
    let list = |name: &str| -> Vec<Vec<u8>> {
        all(name)
            .iter()
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(|element| element.trim_ascii().to_ascii_lowercase())
            .filter(|element| !element.is_empty())
            .collect()
    };
    if !http10 && list("expect").iter().any(|expectation| expectation != b"100-continue") {
        return None;
    }
    let connection = list("connection");
    let says = |option: &[u8]| connection.iter().any(|element| element == option);
    let odd = connection.iter().any(|element| !is_token(element));
    let close = odd || says(b"close") || (http10 && !says(b"keep-alive"));
    let (body, rest) = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) if method == "POST" => return None,
        ([], []) => (Vec::new(), rest),
        ([length], []) => {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            if length > limits.body || length > rest.len() {
                return None;
            }
            (rest[..length].to_vec(), &rest[length..])
        }
        ([], codings) if !http10 => match codings {
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => chunked(rest, limits)?,
            _ => return None,
        },
        _ => return None,
    };
    let host = hosts.first().map(|host| host.to_vec());
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| {
            format!("{}: {}", name.as_bytes().escape_ascii(), value.escape_ascii())
        })
        .collect();
    let headers = format!("{{{}}}", headers.join(", "));
    Some((Request { method, path, query, headers, host, body }, close, rest))
}

fn path_and_query(target: &str, options: bool) -> Option<(String, String)> {
    let rest = if target.starts_with('/') || (options && target == "*") {
        target
    } else {
        let (scheme, rest) = target.split_once("://")?;
        if !["http", "https"].contains(&&*scheme.to_ascii_lowercase()) {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if end == 0 || !is_host(&rest.as_bytes()[..end]) {
            return None;
        }
        &rest[end..]
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if path.is_empty() { "/" } else { path };
    Some((path.to_owned(), query.to_owned()))
}

fn is_host(host: &[u8]) -> bool {
    // reg-name, IP literals and a port (RFC 3986 §3.2.2).
    host.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte))
}

fn is_token(name: &[u8]) -> bool {
    let token = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.iter().all(token)
}

fn header(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) || value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return None;
    }
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_white(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_white(byte)).map_or(start, |at| at + 1);
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some((name, value[start..end].to_vec()))
}

/// The body, and what stands behind it.
fn chunked<'a>(input: &'a [u8], limits: &HttpLimits) -> Option<(Vec<u8>, &'a [u8])> {
    let mut body = Vec::new();
    let mut overhead = limits.head;
    let mut rest = input;
    let mut spend = |bytes: usize| {
        overhead = overhead.checked_sub(bytes)?;
        Some(())
    };
    loop {
        let (line, behind) = line(rest)?;
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        // White space before a `;`, which is what counts as overhead with the text behind it.
        let spaces = extension.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        spend(spaces)?;
        match extension.get(spaces) {
            None if spaces == 0 => {}
            Some(b';') => spend(extension.len() - spaces - 1)?,
            _ => return None,
        }
        if !(1..=64).contains(&size.len()) {
            return None;
        }
        let size = std::str::from_utf8(size).ok()?.trim_start_matches('0');
        let size = if size.is_empty() { 0 } else { usize::from_str_radix(size, 16).ok()? };
        rest = behind;
        if size == 0 {
            break;
        }
        if size > limits.body - body.len() {
            return None;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let (line, behind) = line(rest)?;
        rest = behind;
        if line.is_empty() {
            return Some((body, rest));
        }
        header(line)?;
        spend(line.len())?;
    }
}

/// A line of text and what stands behind it.
fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    let line = input[..end].strip_suffix(b"\r")?;
    let is_text = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    line.iter().all(is_text).then_some((line, &input[end + 1..]))
}
