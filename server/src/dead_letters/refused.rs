//! Letters of what a tracking request brought and the tracker refused.

use std::fmt::Write as _;

use bytes::Bytes;
use windhover_core::UnixTime;
use windhover_core::http::Request;
use windhover_core::tracking::{DecodeError, RefusedRecord, TrackingEndpoint};

use super::{DeadLetter, Origin};

/// Of a request that is refused as a whole, no more than this is kept.
const MAX_KEPT: usize = 1024 * 1024;

/// The letter of one record of a batch.
pub(crate) fn record(
    path: TrackingEndpoint,
    strict: bool,
    record: RefusedRecord,
    time: UnixTime,
) -> DeadLetter {
    let token = record.token.and_then(|token| serde_json::from_str::<String>(&token).ok());
    DeadLetter {
        reason: record.fault.reason().to_owned(),
        detail: record.fault.of(path.kind()).to_string(),
        origin: origin(path, strict, token.as_deref()),
        token,
        time,
        bytes: record.text.into_vec().into(),
    }
}

/// The letter of a request of which nothing is recorded: its body as it came, or its query.
pub(crate) fn request(
    path: TrackingEndpoint,
    strict: bool,
    request: &Request<'_>,
    rejection: &DecodeError,
    time: UnixTime,
) -> DeadLetter {
    let bytes = if request.body.is_empty() { request.query.as_bytes() } else { request.body };
    let kept = bytes.get(..MAX_KEPT).unwrap_or(bytes);
    let mut detail = rejection.to_string();
    if kept.len() < bytes.len() {
        // Writing to memory does not fail.
        let _ = write!(detail, "; only the first {MAX_KEPT} of {} bytes are here", bytes.len());
    }
    DeadLetter {
        reason: rejection.reason().to_owned(),
        detail,
        origin: origin(path, strict, None),
        token: None,
        time,
        bytes: Bytes::copy_from_slice(kept),
    }
}

/// Where it can be sent again: an import as strictly as it was meant, and for the same project.
fn origin(path: TrackingEndpoint, strict: bool, token: Option<&str>) -> Origin {
    let mut target = path.path().to_owned();
    let mut separator = '?';
    if strict {
        target.push_str("?strict=1");
        separator = '&';
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if let (TrackingEndpoint::Import, Some(token)) =
        (path, token.filter(|it| it.bytes().all(is_plain)))
    {
        target.push(separator);
        target.push_str("api_key=");
        target.push_str(token);
    }
    Origin::Path(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_goes_where_its_record_came_from() {
        let cases = [
            (TrackingEndpoint::Track, false, None, "/track"),
            (TrackingEndpoint::Engage, true, Some("t"), "/engage?strict=1"),
            (TrackingEndpoint::Import, false, Some("t1"), "/import?api_key=t1"),
            (TrackingEndpoint::Import, true, Some("t1"), "/import?strict=1&api_key=t1"),
            (TrackingEndpoint::Import, false, Some("a b"), "/import"),
        ];
        for (path, strict, token, expected) in cases {
            assert_eq!(origin(path, strict, token), Origin::Path(expected.to_owned()));
        }
    }
}
