//! Our HTTP beside hyper's: whoever reads a stream another way lets requests be smuggled.

use windhover_core::http::HttpLimits;

use super::http_requests::{read, small_limits};
use crate::reference::hyper;

/// What we take for requests, hyper takes for the same ones.
pub fn http_smuggling(input: &[u8]) {
    let limits = HttpLimits::default().with_body(small_limits().body);
    let ours = read(&[input], &limits);
    let (theirs, their_error) = hyper::read(input);
    for (number, (ours, theirs)) in ours.requests.iter().zip(&theirs).enumerate() {
        assert_eq!(ours.method, theirs.method, "request {number}");
        let theirs_path = if theirs.path.is_empty() { "/" } else { &theirs.path };
        assert_eq!((&*ours.path, &*ours.query), (theirs_path, &*theirs.query), "request {number}");
        assert_eq!(ours.body, theirs.body, "the body of request {number}, theirs on the right");
    }
    let (fewer, more) = (ours.requests.len(), theirs.len());
    if fewer < more {
        assert!(ours.error.is_some() || closes(&ours.written), "hyper sees {more}, we {fewer}");
    }
    if let Some(next) = ours.requests.get(more) {
        // What we take, hyper takes, but for its own bound of a hundred headers, and as many trailers,
        // and for its narrower view of what may stand in a target.
        let many = input.split(|&byte| byte == b'\n').count() > 100;
        let target = format!("{}?{}", next.path, next.query);
        let odd = target.parse::<::hyper::Uri>().is_err() || has_authority(input);
        assert!(
            their_error && (many || odd),
            "we see {fewer} requests, hyper {more}; an error there: {their_error}"
        );
    }
}

/// Whether some target is in absolute form, whose authority only hyper parses.
fn has_authority(input: &[u8]) -> bool {
    input.windows(3).any(|three| three == b"://")
}

/// Whether the last answer said that no request is read behind it.
fn closes(written: &[u8]) -> bool {
    let needle = b"Connection: close\r\n";
    written.windows(needle.len()).any(|window| window == needle)
}
