//! What was given, made a request as it goes over the wire.

use windhover_core::http::Method;

use super::DecodeFailed;
use super::curl;

/// A request from text, whatever it is.
pub(super) fn of_text(text: &[u8], path: &str) -> Result<Vec<u8>, DecodeFailed> {
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        return Err(DecodeFailed::Empty);
    }
    if is_head(text) {
        return Ok(text.to_vec());
    }
    if let Ok(line) = std::str::from_utf8(trimmed) {
        if line.split_ascii_whitespace().next() == Some("curl") {
            let words = curl::words(line).map_err(DecodeFailed::Curl)?;
            return of_words(&words);
        }
        let is_one_word = !line.contains(char::is_whitespace);
        if is_one_word && (line.starts_with('/') || line.contains("://")) {
            return Ok(request(Method::Get, target(line), &[], b""));
        }
    }
    let json = matches!(trimmed.first(), Some(b'{' | b'[' | 0xef));
    if json {
        let is_lines = trimmed.split(|&byte| byte == b'\n').count() > 1
            && trimmed.split(|&byte| byte == b'\n').all(|line| line.trim_ascii().starts_with(b"{"));
        let media_type = if is_lines { "application/x-ndjson" } else { "application/json" };
        return Ok(request(Method::Post, path, &[("Content-Type", media_type)], trimmed));
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    if trimmed.starts_with(b"data=") || trimmed.windows(6).any(|part| part == b"&data=") {
        return Ok(request(Method::Post, path, &[form], trimmed));
    }
    // Base64, alone: `+` and line ends are to arrive as they are.
    let mut body = b"data=".to_vec();
    for &byte in trimmed {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => body.push(byte),
            _ => body.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    Ok(request(Method::Post, path, &[form], &body))
}

/// A request from the words of a `curl` command, or from a URL.
pub(super) fn of_words(words: &[String]) -> Result<Vec<u8>, DecodeFailed> {
    curl::request(words).map_err(DecodeFailed::Curl)
}

/// Whether it begins as a head does.
fn is_head(text: &[u8]) -> bool {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii().split(|&byte| byte == b' ');
    let method = words.next().and_then(|word| std::str::from_utf8(word).ok());
    method.is_some_and(|method| Method::from_name(method).is_some())
        && words.next_back().is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// The path and the query of a URL.
pub(super) fn target(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    if url.starts_with('/') {
        return url;
    }
    behind_host(url.split_once("://").map_or(url, |(_, behind)| behind))
}

fn behind_host(url: &str) -> &str {
    url.find(['/', '?']).and_then(|at| url.get(at..)).unwrap_or("/")
}

/// A request on the wire.
pub(super) fn request(
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let slash = if target.starts_with('?') { "/" } else { "" };
    let mut wire = format!("{method} {slash}{target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        wire.extend([*name, ": ", *value, "\r\n"]);
    }
    if !body.is_empty() {
        wire.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    wire.push_str("\r\n");
    [wire.as_bytes(), body].concat()
}
