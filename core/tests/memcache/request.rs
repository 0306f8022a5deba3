//! The codec of requests: what lines mean, what is refused, and that reading undoes writing.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in what tests call, too"
)]

use core::time::Duration;

use crate::examples::examples;

use bytes::BytesMut;
use proptest::prelude::*;
use windhover_core::memcache::command::{Command, TABLE};
use windhover_core::memcache::kestrel::{QueueNameError, QueueRead, QueueReadError, ReadMode};
use windhover_core::memcache::request::{
    self, EncodeError, ErrorRecovery, Message, Request, RequestError, RequestFault, ShutdownMode,
    StoreRequest,
};
use windhover_core::memcache::response::ReplyEnd;
use windhover_core::memcache::{Dialect, Keys, Limits, Parsed};

use Dialect::{Darner, Kestrel, Memcached, Siberite};

fn parse(input: &[u8], dialect: Dialect) -> Result<Parsed<Message<'_>>, RequestError> {
    request::parse(input, dialect, &Limits::default())
}

/// The request and data of an input that is exactly one message.
fn complete(input: &[u8], dialect: Dialect) -> (Request<'_>, &[u8]) {
    match parse(input, dialect) {
        Ok(Parsed::Complete { message, consumed }) => {
            assert_eq!(consumed, input.len(), "{}", input.escape_ascii());
            (message.request, message.data)
        }
        other => panic!("{} gave {other:?}", input.escape_ascii()),
    }
}

fn encode(request: &Request<'_>, data: &[u8], dialect: Dialect) -> Result<Vec<u8>, EncodeError> {
    let mut out = BytesMut::from(&b"before"[..]);
    let done = request::encode(request, data, dialect, &Limits::default(), &mut out);
    match done {
        Ok(()) => Ok(out[6..].to_vec()),
        Err(error) => {
            assert_eq!(out, b"before"[..], "nothing is left of a refused request");
            Err(error)
        }
    }
}

#[test]
fn every_form_means_what_it_says() {
    for (input, dialect, request, data) in examples() {
        assert_eq!(complete(input, dialect), (request, data), "{}", input.escape_ascii());
    }
}

#[test]
fn spans_give_the_request_of_their_line_wherever_it_lies() {
    let limits = Limits::default();
    for (input, dialect, request, _) in examples() {
        let end = input.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let line = &input[..end];
        let spans = request::parse_spans(line, dialect, &limits).unwrap();
        let moved = line.to_vec();
        assert_eq!(spans.resolve(&moved), request, "{}", input.escape_ascii());
        assert_eq!((spans.noreply(), spans.quiet()), (request.noreply(), request.quiet()));
        // A queue's `gets` is a `get`.
        if !(dialect.is_queue() && spans.command() == Command::Gets) {
            assert_eq!(spans.command(), request.command());
            assert_eq!(spans.reply(), ReplyEnd::to(&request, dialect));
        }
        let data = request::parse_line(line, dialect, &limits).unwrap().data;
        assert_eq!(spans.data(), data);
        // Another line has other words, and may have none.
        spans.resolve(b"");
    }
}

#[test]
fn every_row_of_the_table_has_an_example() {
    for row in TABLE {
        // Read on connections that ask for it only.
        if row.command == Command::Authenticate {
            continue;
        }
        for &dialect in row.dialects {
            let found = examples().iter().any(|(input, of, ..)| {
                let line = input.trim_ascii_start().to_ascii_lowercase();
                let verb = line.split(|byte| b" \r\n".contains(byte)).next();
                *of == dialect && verb == Some(row.verb.as_bytes())
            });
            assert!(found, "{row:?} in {dialect:?}");
        }
    }
}

#[test]
fn every_proper_prefix_is_incomplete_and_wants_no_more_than_is_missing() {
    for (input, dialect, ..) in examples() {
        for at in 0..input.len() {
            match parse(&input[..at], dialect) {
                Ok(Parsed::Incomplete { needed }) => {
                    assert!((1..=input.len() - at).contains(&needed));
                }
                other => panic!("{} gave {other:?}", input[..at].escape_ascii()),
            }
        }
    }
}

#[test]
fn a_block_says_how_much_of_it_is_missing() {
    assert_eq!(parse(b"set k 0 0 10\r\nabc", Memcached), Ok(Parsed::Incomplete { needed: 9 }));
}

/// Input, fault, answer, recovery.
type Refusal<'a> = (&'a [u8], RequestFault, Option<&'static str>, ErrorRecovery);

fn assert_refused(dialect: Dialect, refusals: &[Refusal<'_>]) {
    for &(input, fault, reply, recovery) in refusals {
        let shown = input.escape_ascii();
        let error = parse(input, dialect).expect_err(&shown.to_string());
        assert_eq!(error.fault, fault, "{shown}");
        assert_eq!(error.reply, reply, "{shown}");
        assert_eq!(error.recovery, recovery, "{shown}");
        assert!(!error.to_string().is_empty());
    }
}

#[rustfmt::skip]
#[test]
fn what_memcached_refuses_says_fault_answer_and_recovery() {
    let (error, format) = (Some("ERROR"), Some("CLIENT_ERROR bad command line format"));
    let chunk = Some("CLIENT_ERROR bad data chunk");
    let large = Some("SERVER_ERROR object too large for cache");
    let long = "k".repeat(251);
    let get_long = format!("get {long}\r\n");
    let set_long = format!("set {long} 0 0 1 noreply\r\n");
    assert_refused(Memcached, &[
        (b"GET k\r\n", RequestFault::UnknownCommand, error, ErrorRecovery::Skip(7)),
        (b" get k\r\n", RequestFault::UnknownCommand, error, ErrorRecovery::Skip(8)),
        (b"bogus noreply\r\n", RequestFault::UnknownCommand, None, ErrorRecovery::Skip(15)),
        (b"\n", RequestFault::NoCommand, format, ErrorRecovery::Skip(1)),
        (b"a\r\n", RequestFault::NoCommand, format, ErrorRecovery::Skip(3)),
        (b"get\r\n", RequestFault::ArgumentCount, format, ErrorRecovery::Skip(5)),
        (get_long.as_bytes(), RequestFault::KeyTooLong { length: 251 }, format, ErrorRecovery::Skip(257)),
        (set_long.as_bytes(), RequestFault::KeyTooLong { length: 251 }, None, ErrorRecovery::Skip(274)),
        (b"set k -1 0 1\r\n", RequestFault::BadNumber, format, ErrorRecovery::Skip(17)),
        (b"set k 0 x 1 noreply\r\n", RequestFault::BadNumber, None, ErrorRecovery::Skip(24)),
        (b"cas k 0 0 1\r\n", RequestFault::BadNumber, format, ErrorRecovery::Skip(16)),
        (b"set k 0 0 x noreply\r\n", RequestFault::BadNumber, format, ErrorRecovery::Skip(21)),
        (b"set k 0 0 -1\r\n", RequestFault::BadNumber, format, ErrorRecovery::Skip(14)),
        (b"set k 0 0 4294967297\r\n", RequestFault::BadNumber, format, ErrorRecovery::Skip(22)),
        (b"set k 0 0 1048577\r\n", RequestFault::ValueTooLarge { length: 1_048_577 }, large,
            ErrorRecovery::Skip(19 + 1_048_577 + 2)),
        (b"set k 0 0 1\r\nabc", RequestFault::BadDataBlock, chunk, ErrorRecovery::Skip(16)),
        (b"set k 0 0 1 noreply\r\nabc", RequestFault::BadDataBlock, None, ErrorRecovery::Skip(24)),
        (b"flush_all x\r\n", RequestFault::BadExptime, Some("CLIENT_ERROR invalid exptime argument"),
            ErrorRecovery::Skip(13)),
        (b"\x80", RequestFault::Binary, None, ErrorRecovery::Close),
        (b"GET /\r\n", RequestFault::Http, None, ErrorRecovery::Close),
        (b"POST / HTTP/1.1\r\n", RequestFault::Http, None, ErrorRecovery::Close),
    ]);
}

#[test]
fn noreply_hides_a_fault_where_it_is_among_the_words_that_are_looked_at() {
    let told = Some("CLIENT_ERROR invalid exptime argument");
    // The verb and 22 words behind it.
    for (between, answer) in [(0, None), (19, None), (20, None), (21, told), (22, told)] {
        let line = format!("flush_all x{} noreply\r\n", " y".repeat(between));
        let recovery = ErrorRecovery::Skip(line.len());
        let refused = [(line.as_bytes(), RequestFault::BadExptime, answer, recovery)];
        assert_refused(Memcached, &refused);
    }
}

#[rustfmt::skip]
#[test]
fn what_kestrel_refuses_ends_the_connection() {
    let error = Some("CLIENT_ERROR");
    let name = |byte| RequestFault::QueueName(QueueNameError::Reserved { byte });
    let empty = RequestFault::Read(QueueReadError::Queue(QueueNameError::Empty));
    assert_refused(Kestrel, &[
        (b"\r\n", RequestFault::UnknownCommand, error, ErrorRecovery::Close),
        (b"mg k v\r\n", RequestFault::UnknownCommand, error, ErrorRecovery::Close),
        (b"monitor q\r\n", RequestFault::ArgumentCount, error, ErrorRecovery::Close),
        (b"monitor q x\r\n", RequestFault::BadNumber, error, ErrorRecovery::Close),
        (b"monitor q 2147483648\r\n", RequestFault::BadNumber, error, ErrorRecovery::Close),
        (b"monitor q 1 2 3\r\n", RequestFault::ArgumentCount, error, ErrorRecovery::Close),
        (b"confirm q\r\n", RequestFault::ArgumentCount, error, ErrorRecovery::Close),
        (b"confirm q -1\r\n", RequestFault::BadNumber, error, ErrorRecovery::Close),
        (b"dump_stats a b/c\r\n", name(b'/'), error, ErrorRecovery::Close),
        (b"get\r\n", RequestFault::ArgumentCount, error, ErrorRecovery::Close),
        (b"get a b\r\n", RequestFault::ArgumentCount, error, ErrorRecovery::Close),
        (b"get /open\r\n", empty, error, ErrorRecovery::Close),
        (b"get q/peek/open\r\n", RequestFault::Read(QueueReadError::Conflict), error, ErrorRecovery::Close),
        (b"get q/t=x\r\n", RequestFault::Read(QueueReadError::Timeout), error, ErrorRecovery::Close),
        (b"set q 0 0\r\n", RequestFault::ArgumentCount, error, ErrorRecovery::Close),
        (b"set q 0 0 x\r\n", RequestFault::BadNumber, error, ErrorRecovery::Close),
        (b"set /open 0 0 1\r\n", name(b'/'), error, ErrorRecovery::Close),
        (b"flush a.b\r\n", name(b'.'), error, ErrorRecovery::Close),
        (b"set q 0 0 1\r\nabc", RequestFault::BadDataBlock, error, ErrorRecovery::Close),
        (b"\x80", RequestFault::Binary, None, ErrorRecovery::Close),
        (b"GET / HTTP/1.1\r\n", RequestFault::Http, None, ErrorRecovery::Close),
        (b"DELETE /q HTTP/1.1\r\n", RequestFault::Http, None, ErrorRecovery::Close),
    ]);
    assert_refused(Kestrel, &[(
        b"set q 0 0 1048577\r\n",
        RequestFault::ValueTooLarge { length: 1_048_577 },
        Some("NOT_STORED"),
        ErrorRecovery::Skip(19 + 1_048_577 + 2),
    )]);
}

#[test]
fn a_read_of_a_queue_tells_how_its_key_was_spelled() {
    for line in ["get q/open/t=5//x\r\n", "gets  q/open/t=5//x  \n", "GET q/open/t=5//x\r\n"] {
        let (request, _) = complete(line.as_bytes(), Dialect::Kestrel);
        let Request::QueueRead(read) = request else { panic!("{line}: {request:?}") };
        assert_eq!(read.asked, b"q/open/t=5//x", "{line}");
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_whole_and_in_pieces() {
    let limits = Limits::default();
    let too_long = |input: &[u8]| match request::find_line(input, 0, Memcached, &limits) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.fault, RequestFault::LineTooLong);
            assert_eq!(error.reply, Some("CLIENT_ERROR line too long"));
            assert_eq!(error.recovery, ErrorRecovery::Close);
            true
        }
    };
    let mut fits = vec![b'a'; limits.line];
    fits.push(b'\n');
    assert!(!too_long(&fits));
    assert!(!too_long(&fits[..limits.line]));
    let mut longer = vec![b'a'; limits.line + 1];
    assert!(too_long(&longer), "without its newline");
    longer.push(b'\n');
    assert!(too_long(&longer), "with it");

    let mut keys = b"get ".to_vec();
    keys.resize(limits.get_line, b' ');
    assert!(!too_long(&keys));
    keys.extend_from_slice(b"kk");
    assert!(too_long(&keys));
    let mut late = vec![b' '; limits.line];
    late.extend_from_slice(b"get k\r\n");
    assert!(too_long(&late), "a verb must come within the limit of other lines");
    assert!(
        request::find_line(&keys[..3000], 0, Kestrel, &limits).is_err(),
        "kestrel's get names one queue"
    );
}

#[test]
fn ten_thousand_keys() {
    let names: Vec<String> = (0..10_000).map(|n| format!("key-{n}")).collect();
    let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let encoded = encode(&Request::Get(Keys::new(&keys)), b"", Memcached).unwrap();
    let (request, _) = complete(&encoded, Memcached);
    assert_eq!(request, Request::Get(Keys::new(&keys)));
}

#[test]
fn a_client_refuses_what_would_become_another_request() {
    let set = |key| encode(&Request::Set(StoreRequest::new(key)), b"", Memcached);
    let forbidden = |byte, at| Err(EncodeError::ForbiddenByte { byte, at });
    assert_eq!(set(b""), Err(EncodeError::EmptyKey));
    assert_eq!(set(&[b'k'; 251]), Err(EncodeError::KeyTooLong { length: 251 }));
    assert!(set(&[b'k'; 250]).is_ok());
    assert_eq!(set(b"a b"), forbidden(b' ', 1));
    assert_eq!(set(b"a\r\nflush_all"), forbidden(b'\r', 1));
    assert_eq!(set(b"\t"), forbidden(b'\t', 0));
    assert_eq!(set(b"a\0"), forbidden(0, 1));
    assert_eq!(set(b"\x7f"), forbidden(0x7f, 0));
    assert!(set("schlüssel".as_bytes()).is_ok());

    let get = |keys| encode(&Request::Get(Keys::new(keys)), b"", Memcached);
    assert_eq!(get(&[]), Err(EncodeError::NoKeys));
    assert_eq!(get(&[b"a", b"b c"]), forbidden(b' ', 1));
    let stats = Request::Stats { arguments: b"items\r\nflush_all" };
    assert_eq!(encode(&stats, b"", Memcached), forbidden(b'\r', 5));
    let status = Request::Status { new: Some(b"UP\n") };
    assert_eq!(encode(&status, b"", Kestrel), forbidden(b'\n', 2));
}

#[test]
fn a_client_refuses_what_the_dialect_has_not() {
    let quiet = StoreRequest { noreply: true, ..StoreRequest::new(b"q") };
    assert_eq!(encode(&Request::Set(quiet), b"", Kestrel), Err(EncodeError::NoreplyNotKnown));
    let delete = Request::Delete { key: b"q", noreply: true };
    assert_eq!(encode(&delete, b"", Kestrel), Err(EncodeError::NoreplyNotKnown));
    let not = |command| Err(EncodeError::NotInDialect { command });
    let read = Request::QueueRead(QueueRead::new(b"q", ReadMode::Open));
    assert_eq!(encode(&read, b"", Memcached), not(Command::Get));
    assert_eq!(encode(&Request::Get(Keys::new(&[b"q"])), b"", Kestrel), not(Command::Get));
    assert_eq!(encode(&Request::Flush { queue: b"q" }, b"", Memcached), not(Command::Flush));
    let later = Request::FlushAll { delay: Some(1), noreply: false };
    assert_eq!(encode(&later, b"", Kestrel), not(Command::FlushAll));
    assert_eq!(encode(&Request::Version, b"x", Memcached), Err(EncodeError::DataNotTaken));
    let large = vec![0; 1024 * 1024 + 1];
    assert_eq!(
        encode(&Request::Set(StoreRequest::new(b"k")), &large, Memcached),
        Err(EncodeError::ValueTooLarge { length: large.len() })
    );
    let set = |name| encode(&Request::Set(StoreRequest::new(name)), b"", Kestrel);
    assert_eq!(
        set(b"q/open"),
        Err(EncodeError::QueueName(QueueNameError::Reserved { byte: b'/' }))
    );
    assert_eq!(set(b"q\r\n"), Err(EncodeError::ForbiddenByte { byte: b'\r', at: 1 }));
    let grouped = Request::QueueRead(QueueRead::new(b"q", ReadMode::Open).group(b"g"));
    assert_eq!(encode(&grouped, b"", Kestrel), Err(EncodeError::Read(QueueReadError::Group)));
    let split = Request::QueueRead(QueueRead::new(b"q.g", ReadMode::Open));
    assert_eq!(encode(&split, b"", Siberite), Err(EncodeError::Read(QueueReadError::Group)));
    let sync = Request::SetSync(StoreRequest::new(b"q"));
    assert_eq!(encode(&sync, b"", Kestrel), not(Command::Set));
    let monitor = Request::Monitor { queue: b"q", seconds: 1, max: None };
    assert_eq!(encode(&monitor, b"", Darner), not(Command::Monitor));
    let endless = Request::Monitor { queue: b"q", seconds: u32::MAX, max: None };
    assert_eq!(encode(&endless, b"", Kestrel), Err(EncodeError::CountTooLarge { count: u32::MAX }));
    let graceful = Request::Shutdown { mode: ShutdownMode::Graceful };
    assert_eq!(encode(&graceful, b"", Kestrel), not(Command::Shutdown));
    let credentials = Request::Authenticate { user: b"u", password: b"p" };
    assert_eq!(encode(&credentials, b"u p", Memcached), Err(EncodeError::DataNotTaken));
    let long = QueueRead::new(b"q", ReadMode::Remove).wait(Duration::from_secs(1 << 31));
    assert_eq!(
        encode(&Request::QueueRead(long), b"", Kestrel),
        Err(EncodeError::Read(QueueReadError::Timeout))
    );
}

#[test]
fn a_client_refuses_a_line_that_servers_would_not_take() {
    let keys = vec![&[b'k'; 250][..]; 5000];
    let refused = encode(&Request::Get(Keys::new(&keys)), b"", Memcached);
    assert!(matches!(refused, Err(EncodeError::LineTooLong { .. })));
}

#[test]
fn a_get_of_one_key_is_checked_as_one_of_many() {
    let mut limits = Limits::default();
    (limits.line, limits.get_line) = (8, 10);
    let encode = |key: &[u8], data: &[u8]| {
        let mut out = BytesMut::from(&b"before "[..]);
        let keys = [key];
        let done =
            request::encode(&Request::Get(Keys::new(&keys)), data, Memcached, &limits, &mut out);
        assert!(done.is_ok() || out == "before ", "{out:?}");
        done.map(|()| out.split_off(7))
    };
    assert_eq!(encode(b"kkkkk", b"").unwrap(), "get kkkkk\r\n");
    assert_eq!(encode(b"kkkkkk", b""), Err(EncodeError::LineTooLong { length: 12 }));
    assert_eq!(encode(&[b'k'; 251], b""), Err(EncodeError::KeyTooLong { length: 251 }));
    assert_eq!(encode(b"", b""), Err(EncodeError::EmptyKey));
    assert_eq!(encode(b"k\n", b""), Err(EncodeError::ForbiddenByte { byte: b'\n', at: 1 }));
    assert_eq!(encode(b"k", b"x"), Err(EncodeError::DataNotTaken));
}

/// What generated input is made of.
const WORDS: &[&[u8]] = &[
    b"get",
    b"gets",
    b"set",
    b"delete",
    b"noreply",
    b"flush_all",
    b"verbosity",
    b"cas",
    b"gat",
    b"touch",
    b"incr",
    b"mg",
    b"ms",
    b"ma",
    b"me",
    b"monitor",
    b"v",
    b"q",
    b"O7",
    b"b",
    b"Tx",
    b"k",
    b"0",
    b"3",
    b"-1",
    b" ",
    b" ",
    b" ",
    b"\r\n",
    b"\n",
    b"\r",
    b"\x80",
    b"/open",
    b"/t=1",
    b"HTTP/",
];

proptest! {
    /// Any input made of the protocol's own words: no panic, and a verdict never changes when
    /// more bytes come.
    #[test]
    fn a_verdict_is_final(
        words in proptest::collection::vec(
            proptest::sample::select(WORDS),
            0..24,
        ),
        kestrel: bool,
    ) {
        let dialect = if kestrel { Kestrel } else { Memcached };
        let input = words.concat();
        let mut verdict = None;
        for at in 0..=input.len() {
            let parsed = parse(&input[..at], dialect);
            match &verdict {
                Some(first) => prop_assert_eq!(&parsed, first),
                None if matches!(parsed, Ok(Parsed::Incomplete { .. })) => {}
                None => verdict = Some(parsed),
            }
        }
    }
}
