//! The codec of responses: frames, what is no response, and that reading undoes writing.

use bytes::BytesMut;
use proptest::prelude::*;
use windhover_core::memcache::response::{self, Response, ResponseError, ValueFrame};
use windhover_core::memcache::{Dialect, Limits, Parsed};

use Dialect::{Kestrel, Memcached};

fn parse(input: &[u8], dialect: Dialect) -> Result<Parsed<Response<'_>>, ResponseError> {
    response::parse(input, dialect, &Limits::default())
}

fn encode(response: &Response<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    response::encode(response, &mut out);
    out.to_vec()
}

fn value<'a>(key: &'a [u8], flags: u32, cas: Option<u64>, data: &'a [u8]) -> Response<'a> {
    Response::Value(ValueFrame { key, flags, cas, data })
}

fn examples() -> Vec<(&'static [u8], Response<'static>)> {
    vec![
        (b"VALUE k 0 5\r\nhello\r\n", value(b"k", 0, None, b"hello")),
        (
            b"VALUE k 4294967295 0 18446744073709551615\r\n\r\n",
            value(b"k", u32::MAX, Some(u64::MAX), b""),
        ),
        (b"VALUE k 7 7\r\n\r\nEND\r\n\r\n", value(b"k", 7, None, b"\r\nEND\r\n")),
        (b"STAT pid 42\r\n", Response::Stat { name: b"pid", value: b"42" }),
        (
            b"STAT version 1.6.18 of x\r\n",
            Response::Stat { name: b"version", value: b"1.6.18 of x" },
        ),
        (b"STAT empty \r\n", Response::Stat { name: b"empty", value: b"" }),
        (b"END\r\n", Response::End),
        (b"STORED\r\n", Response::Stored),
        (b"NOT_STORED\r\n", Response::NotStored),
        (b"DELETED\r\n", Response::Deleted),
        (b"NOT_FOUND\r\n", Response::NotFound),
        (b"EXISTS\r\n", Response::Exists),
        (b"TOUCHED\r\n", Response::Touched),
        (b"OK\r\n", Response::Ok),
        (b"RESET\r\n", Response::Reset),
        (b"VERSION 1.6.18\r\n", Response::Version(b"1.6.18")),
        (b"42\r\n", Response::Number(42)),
        (b"ERROR\r\n", Response::Error(b"")),
        (b"ERROR Too many open connections\r\n", Response::Error(b"Too many open connections")),
        (b"CLIENT_ERROR\r\n", Response::ClientError(b"")),
        (b"CLIENT_ERROR bad data chunk\r\n", Response::ClientError(b"bad data chunk")),
        (b"SERVER_ERROR out of memory\r\n", Response::ServerError(b"out of memory")),
    ]
}

#[test]
fn every_frame_reads_and_writes_and_says_whether_more_follow() {
    for (bytes, frame) in examples() {
        for dialect in [Memcached, Kestrel] {
            assert_eq!(
                parse(bytes, dialect),
                Ok(Parsed::Complete { message: frame, consumed: bytes.len() }),
                "{}",
                bytes.escape_ascii()
            );
        }
        assert_eq!(encode(&frame), bytes, "{frame:?}");
        let more = bytes.starts_with(b"VALUE") || bytes.starts_with(b"STAT");
        assert_eq!(frame.ends_reply(), !more);
    }
}

#[test]
fn every_proper_prefix_is_incomplete_and_wants_no_more_than_is_missing() {
    for (bytes, _) in examples() {
        for at in 0..bytes.len() {
            match parse(&bytes[..at], Memcached) {
                Ok(Parsed::Incomplete { needed }) => {
                    assert!((1..=bytes.len() - at).contains(&needed));
                }
                other => panic!("{} gave {other:?}", bytes[..at].escape_ascii()),
            }
        }
    }
}

#[test]
fn items_are_listed_with_bare_newlines() {
    let message = Response::Listing(b"key=a exp=-1 ");
    let bare = parse(b"key=a exp=-1 \n", Memcached);
    assert_eq!(bare, Ok(Parsed::Complete { message, consumed: 14 }));
    assert_reads(b"key=a exp=-1\r\n", Memcached, Response::Listing(b"key=a exp=-1"));
    assert_eq!(parse(b"mg a\n", Memcached), Err(ResponseError::BareNewline));
    assert_eq!(parse(b"key=a\n", Kestrel), Err(ResponseError::BareNewline));
    let refused = b"SERVER_ERROR: shutdown not enabled";
    assert_reads(b"SERVER_ERROR: shutdown not enabled\r\n", Memcached, Response::Line(refused));
}

/// That frame and no other, in that dialect.
fn assert_reads(bytes: &[u8], dialect: Dialect, frame: Response<'_>) {
    let whole = Ok(Parsed::Complete { message: frame, consumed: bytes.len() });
    assert_eq!(parse(bytes, dialect), whole, "{}", bytes.escape_ascii());
    assert_eq!(encode(&frame), bytes);
    assert_eq!(frame.ends_reply(), !matches!(frame, Response::Listing(_)));
}

#[test]
fn a_queue_server_answers_in_sentences() {
    for dialect in [Kestrel, Dialect::Darner, Dialect::Siberite] {
        for text in ["Flushed all queues.", "Reloaded config.", "UP", "ReadOnly"] {
            let line = format!("{text}\r\n");
            assert_reads(line.as_bytes(), dialect, Response::Line(text.as_bytes()));
            assert_eq!(parse(line.as_bytes(), Memcached), Err(ResponseError::UnknownLine));
        }
    }
}

#[test]
fn a_dump_of_kestrels_is_a_listing() {
    for text in ["queue 'jobs+audit' {", "  items=0", "  max_memory_size=134217728", "}"] {
        let line = format!("{text}\r\n");
        assert_reads(line.as_bytes(), Kestrel, Response::Listing(text.as_bytes()));
    }
}

#[test]
fn administrative_commands_of_memcached_have_their_own_lines() {
    for text in [
        "BUSY currently processing reassign request",
        "BADCLASS invalid src or dst class id",
        "NOSPARE source class has no spare pages",
        "SAME src and dst class are identical",
        "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m",
        "WATCHER_TOO_MANY log watcher limit reached",
        "NOTSTARTED no items to crawl",
        "ERROR: shutdown not enabled",
        "Error TLS not enabled",
    ] {
        let line = format!("{text}\r\n");
        assert_reads(line.as_bytes(), Memcached, Response::Line(text.as_bytes()));
    }
    for text in [
        "ITEM k [1 b; 0 s]",
        "PREFIX foo get 2 hit 1 set 1 del 0",
        "key=k exp=-1 la=1 cas=2 fetch=no cls=1 size=63",
        "ts=1.5 gid=1 type=item_get key=k status=not_found",
        "mg k",
    ] {
        let line = format!("{text}\r\n");
        assert_reads(line.as_bytes(), Memcached, Response::Listing(text.as_bytes()));
    }
}

#[test]
fn a_number_may_be_padded() {
    let padded = parse(b"9 \r\n", Memcached);
    assert_eq!(padded, Ok(Parsed::Complete { message: Response::Number(9), consumed: 4 }));
    assert_eq!(parse(b" 9\r\n", Memcached), Err(ResponseError::UnknownLine));
}

#[test]
fn a_queue_server_has_no_meta_commands() {
    for line in ["MN", "ME k a=1", "HD", "EN", "NF", "NS O1"] {
        let bytes = format!("{line}\r\n").into_bytes();
        let message = |dialect| match parse(&bytes, dialect).unwrap() {
            Parsed::Complete { message, .. } => message,
            Parsed::Incomplete { .. } => panic!("{line} is whole"),
        };
        assert_ne!(message(Memcached), Response::Line(line.as_bytes()));
        assert_eq!(message(Kestrel), Response::Line(line.as_bytes()));
    }
}

#[test]
fn what_is_no_response_spends_the_connection() {
    for (bytes, error) in [
        (&b"\r\n"[..], ResponseError::UnknownLine),
        (b"stored\r\n", ResponseError::UnknownLine),
        (b"STORED \r\n", ResponseError::UnknownLine),
        (b"ERRORS\r\n", ResponseError::UnknownLine),
        (b"HTTP/1.1 400 Bad Request\r\n", ResponseError::UnknownLine),
        (b"18446744073709551616\r\n", ResponseError::UnknownLine),
        (b"END\n", ResponseError::BareNewline),
        (b"VALUE k 0\r\n", ResponseError::BadValueLine),
        (b"VALUE  0 1\r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 -1\r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 +1\r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 0x1\r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 1 \r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 1 2 3\r\n", ResponseError::BadValueLine),
        (b"VALUE k 4294967296 1\r\n", ResponseError::FlagsTooLarge { flags: 1 << 32 }),
        (b"VALUE k 18446744073709551616 1\r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 18446744073709551616\r\n", ResponseError::BadValueLine),
        (b"VALUE k 0 2147483648\r\n", ResponseError::ValueTooLarge { length: 1 << 31 }),
        (b"VALUE k 0 18446744073709551615\r\n", ResponseError::ValueTooLarge { length: u64::MAX }),
        (b"VALUE k 0 2\r\nabc\r\n", ResponseError::BadDataBlock),
        (&[b'x'; 2049], ResponseError::LineTooLong),
    ] {
        assert_eq!(parse(bytes, Memcached), Err(error), "{}", bytes.escape_ascii());
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_frame_never_becomes_two() {
    assert_eq!(encode(&Response::ServerError(b"a\r\nSTORED")), b"SERVER_ERROR a  STORED\r\n");
    assert_eq!(encode(&Response::Version(b"1\nEND")), b"VERSION 1 END\r\n");
    let stat = Response::Stat { name: b"a b\nc", value: b"d\r\ne" };
    assert_eq!(encode(&stat), b"STAT a?b?c d  e\r\n");
    assert_eq!(encode(&value(b"k 9\nEND", 0, None, b"")), b"VALUE k?9?END 0 0\r\n\r\n");
}

fn frame<'a>(
    kind: u8,
    key: &'a [u8],
    text: &'a [u8],
    numbers: (u32, u64),
    data: &'a [u8],
) -> Response<'a> {
    match kind {
        0 => Response::Stat { name: key, value: text },
        1 => Response::Version(text),
        2 => Response::ClientError(text),
        3 => Response::ServerError(text),
        4 => Response::Error(text),
        5 => Response::Number(numbers.1),
        6 => value(key, numbers.0, None, data),
        _ => value(key, numbers.0, Some(numbers.1), data),
    }
}

/// What generated input is made of.
const WORDS: &[&[u8]] =
    &[b"VALUE ", b"STAT ", b"END", b"ERROR", b"k", b" ", b"0", b"2", b"\r\n", b"\r", b"\n"];

proptest! {
    #[test]
    fn what_is_written_reads_back(
        kind in 0..9u8,
        key in proptest::collection::vec(0x21..=0xffu8, 1..250),
        text in "[ -~]{0,200}",
        numbers: (u32, u64),
        data in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        let frame = frame(kind, &key, text.as_bytes(), numbers, &data);
        let mut encoded = encode(&frame);
        let length = encoded.len();
        for at in 0..length {
            let prefix = parse(&encoded[..at], Memcached);
            let incomplete = matches!(prefix, Ok(Parsed::Incomplete { .. }));
            prop_assert!(incomplete);
        }
        encoded.extend_from_slice(b"END");
        let parsed = parse(&encoded, Memcached);
        prop_assert_eq!(parsed, Ok(Parsed::Complete { message: frame, consumed: length }));
    }

    #[test]
    fn a_verdict_is_final(input in proptest::collection::vec(
        proptest::sample::select(WORDS),
        0..16,
    )) {
        let input = input.concat();
        let mut verdict = None;
        for at in 0..=input.len() {
            let parsed = parse(&input[..at], Kestrel);
            match &verdict {
                Some(first) => prop_assert_eq!(&parsed, first),
                None if matches!(parsed, Ok(Parsed::Incomplete { .. })) => {}
                None => verdict = Some(parsed),
            }
        }
    }
}
