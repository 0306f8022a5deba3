//! The request target: which path, which query (RFC 9112 §3.2).

use super::error::HttpError;
use super::request::{Method, Span};

/// Path and query of a target as places in `head`. An empty path stands for `/`: a target in
/// absolute form may have none.
pub(super) fn parse(method: Method, target: &str, head: &[u8]) -> Result<(Span, Span), HttpError> {
    if target.contains('#') {
        return Err(HttpError::Target);
    }
    let path_and_query = if target.starts_with('/') || (target == "*" && method == Method::Options)
    {
        target
    } else {
        behind_authority(target).ok_or(HttpError::Target)?
    };
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    Ok((Span::of(path.as_bytes(), head), Span::of(query.as_bytes(), head)))
}

/// The path and query of a target in absolute form (`http://host/path?query`).
fn behind_authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    (!authority.is_empty() && is_host(authority.as_bytes())).then_some(path_and_query)
}

/// Whether `value` has only what a host and port may be made of (RFC 3986 §3.2.2), user
/// information left out.
pub(super) fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(method: Method, target: &str) -> Result<(&str, &str), HttpError> {
        let head = target.as_bytes();
        parse(method, target, head).map(|(path, query)| (path.text(head), query.text(head)))
    }

    #[test]
    fn targets_of_every_form() {
        for (method, target, expected) in [
            (Method::Get, "/", Ok(("/", ""))),
            (Method::Get, "/track?data=x", Ok(("/track", "data=x"))),
            (Method::Get, "/track?a=b?c", Ok(("/track", "a=b?c"))),
            (Method::Get, "//track", Ok(("//track", ""))),
            (Method::Get, "http://h/track?x", Ok(("/track", "x"))),
            (Method::Get, "HTTPS://[::1]:80/track", Ok(("/track", ""))),
            (Method::Get, "http://h?x=/", Ok(("", "x=/"))),
            (Method::Get, "http://h", Ok(("", ""))),
            (Method::Options, "*", Ok(("*", ""))),
            (Method::Get, "*", Err(HttpError::Target)),
            (Method::Options, "**", Err(HttpError::Target)),
            (Method::Get, "track", Err(HttpError::Target)),
            (Method::Get, "h:80", Err(HttpError::Target)),
            (Method::Get, "http:///track", Err(HttpError::Target)),
            (Method::Get, "http://user@h/", Err(HttpError::Target)),
            (Method::Get, "ftp://h/", Err(HttpError::Target)),
            (Method::Get, "/track#top", Err(HttpError::Target)),
        ] {
            assert_eq!(split(method, target), expected, "{target}");
        }
    }
}
