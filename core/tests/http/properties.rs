//! Generated input: nothing panics, and no split changes the outcome.

use proptest::collection::vec;
use proptest::prelude::*;
use windhover_core::http::HttpLimits;

use crate::exchange::{Outcome, exchange};

/// Pieces that requests, good and bad, are made of.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: [&str; 20] = [
        "GET /track?data=x HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        "POST /t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "Host: h\r\n",
        "GET / HTTP/1.1\r\n",
        "hello",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "A;ext=1\r\n0123456789\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "0",
        "ffffffffffffffff",
    ];
    prop_oneof![
        8 => prop::sample::select(&KNOWN[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..8),
    ]
}

fn limits() -> HttpLimits {
    let mut limits = HttpLimits::default();
    limits.head = 120;
    limits.headers = 4;
    limits.body = 24;
    limits
}

/// `bytes` cut into pieces of the given lengths, over and over.
fn cut<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn comparable(mut outcome: Outcome) -> Outcome {
    outcome.continues = 0;
    outcome.half_closed = false;
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_split_changes_the_outcome(
        fragments in vec(fragment(), 1..12),
        lengths in vec(1_usize..20, 1..6),
    ) {
        let bytes = fragments.concat();
        let whole = comparable(exchange(&limits(), [&bytes[..]]));
        let cut = comparable(exchange(&limits(), cut(&bytes, &lengths)));
        prop_assert_eq!(cut, whole, "{}", bytes.escape_ascii());
    }

    #[test]
    fn a_body_in_any_chunks_is_the_body(
        body in vec(any::<u8>(), 0..200),
        chunks in vec(1_usize..40, 1..6),
        lengths in vec(1_usize..50, 1..6),
        zeros in 0_usize..8,
    ) {
        let mut bytes =
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in cut(&body, &chunks) {
            let size = format!("{:0width$x}\r\n", chunk.len(), width = zeros + 1);
            bytes.extend_from_slice(size.as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let outcome = exchange(&HttpLimits::default(), cut(&bytes, &lengths));
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(&outcome.requests[0].body, &body.escape_ascii().to_string());
    }
}
