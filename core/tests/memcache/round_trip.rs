//! Reading undoes writing: every command of the table in every dialect that has it, and every frame
//! that may answer it. What the table has and nothing here makes fails.

use core::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use windhover_core::memcache::command::{self, Command, ReplyForm, Row, TABLE};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::meta::{
    FLAGS, FlagBuffer, MetaCode, MetaFlags, MetaReply, MetaRequest, TokenRule, encode_key,
};
use windhover_core::memcache::request::{self, Request, ShutdownMode, StoreRequest};
use windhover_core::memcache::response::{self, Kind, Response, ValueFrame};
use windhover_core::memcache::{Dialect, Keys, Limits, Output, Parsed, ServerConnection};
use windhover_core::{Instant, Timeouts};

use Dialect::{Darner, Kestrel, Memcached, Siberite};

use crate::turn;

/// What requests and frames are made of.
#[derive(Clone, Debug)]
struct Parts {
    /// Keys, or names of queues that every dialect takes.
    names: Vec<Vec<u8>>,
    /// The first of them in base64.
    base64: Vec<u8>,
    text: String,
    numbers: (u32, u64, i32),
    /// Which flags a meta command has.
    flags: u64,
    noreply: bool,
    data: Vec<u8>,
}

impl Parts {
    fn keys(&self) -> Vec<&[u8]> {
        self.names.iter().map(Vec::as_slice).collect()
    }
}

/// With any names that a client of the dialect may send: darner's are printable, a queue's hold
/// nothing that parts its options off.
fn parts(dialect: Dialect) -> impl Strategy<Value = Parts> {
    let fit = move |byte: u8| match byte {
        b'/' | b'.' | b'~' if dialect.is_queue() => b'_',
        0x80.. if dialect == Darner => b'@' + (byte & 0x1f),
        _ => byte,
    };
    let name = prop_oneof![0x21..0x7fu8, 0x80..=0xffu8].prop_map(fit);
    (
        proptest::collection::vec(proptest::collection::vec(name, 1..=180), 1..6),
        "[!-~]{1,31}",
        any::<(u32, u64, i32)>(),
        any::<(u64, bool)>(),
        proptest::collection::vec(any::<u8>(), 0..300),
    )
        // A last word that is `noreply` would mean something.
        .prop_filter("a name that is a word", |(names, ..)| names[0] != b"noreply")
        .prop_map(|(names, text, numbers, (flags, noreply), data)| {
            let mut room = [0; 256];
            let base64 = encode_key(&names[0], &mut room).unwrap().to_vec();
            Parts { names, base64, text, numbers, flags, noreply, data }
        })
}

/// Parts that are always the same, to see what is made at all.
fn example() -> Parts {
    Parts {
        names: vec![b"foo".to_vec(), b"bar".to_vec()],
        base64: b"Zm9v".to_vec(),
        text: "text".to_owned(),
        numbers: (7, 8, 9),
        flags: u64::MAX,
        noreply: true,
        data: b"\r\nEND\r\n".to_vec(),
    }
}

/// Flags that the command may have, with legal tokens: those that `parts` picks, in its order.
fn flags(command: Command, parts: &Parts) -> Vec<u8> {
    /// What fits on the line of every meta command.
    const MOST: usize = 16;
    let mode: &[u8] = if command == Command::MetaArithmetic { b"ID+-" } else { b"EAPRS" };
    let mode = mode[parts.numbers.0 as usize % mode.len()];
    let mut rows: Vec<_> = FLAGS.iter().filter(|row| row.commands.contains(&command)).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let first = parts.numbers.0 as usize % rows.len();
    rows.rotate_left(first);
    let mut buffer = FlagBuffer::new();
    for (at, row) in rows.into_iter().take(MOST).enumerate() {
        if parts.flags >> at & 1 == 0 {
            continue;
        }
        let (_, unsigned, signed) = parts.numbers;
        match row.token {
            TokenRule::Opaque | TokenRule::Text => buffer.push(row.letter, parts.text.as_bytes()),
            TokenRule::Seconds => buffer.push_signed(row.letter, i64::from(signed)),
            TokenRule::Unsigned32 => {
                buffer.push_unsigned(row.letter, unsigned & u64::from(u32::MAX))
            }
            TokenRule::Unsigned64 => buffer.push_unsigned(row.letter, unsigned),
            TokenRule::Mode => buffer.push(row.letter, &[mode]),
            _ => buffer.push(row.letter, b""),
        };
    }
    buffer.flags().text().to_vec()
}

/// Hands every request that the parts make for the command to `each`, with its data.
fn requests(
    command: Command,
    dialect: Dialect,
    parts: &Parts,
    each: &mut dyn FnMut(&Request<'_>, &[u8]),
) {
    if dialect.is_queue() {
        queue_requests(command, dialect, parts, each);
    } else {
        cache_requests(command, parts, each);
    }
}

fn cache_requests(command: Command, parts: &Parts, each: &mut dyn FnMut(&Request<'_>, &[u8])) {
    let keys = parts.keys();
    let (key, many) = (keys[0], Keys::new(&keys));
    let (number, long, exptime) = parts.numbers;
    let exptime = i64::from(exptime);
    let noreply = parts.noreply;
    let store = StoreRequest { key, flags: number, exptime, noreply };
    let flags = flags(command, parts);
    let flags = MetaFlags::new(&flags);
    let meta = MetaRequest::new(if flags.base64() { &parts.base64 } else { key }, flags);
    let data = &parts.data[..];
    let mut plain = |request: Request<'_>| each(&request, b"");
    match command {
        Command::Get => plain(Request::Get(many)),
        Command::Gets => plain(Request::Gets(many)),
        Command::Gat => plain(Request::Gat { exptime, keys: many }),
        Command::Gats => plain(Request::Gats { exptime, keys: many }),
        Command::Set => each(&Request::Set(store), data),
        Command::Add => each(&Request::Add(store), data),
        Command::Replace => each(&Request::Replace(store), data),
        Command::Append => each(&Request::Append(store), data),
        Command::Prepend => each(&Request::Prepend(store), data),
        Command::Cas => each(&Request::Cas { store, unique: long }, data),
        Command::Authenticate => {
            plain(Request::Authenticate { user: key, password: parts.text.as_bytes() });
        }
        Command::Delete => plain(Request::Delete { key, noreply }),
        Command::Incr => plain(Request::Incr { key, delta: long, noreply }),
        Command::Decr => plain(Request::Decr { key, delta: long, noreply }),
        Command::Touch => plain(Request::Touch { key, exptime, noreply }),
        Command::MetaGet => plain(Request::MetaGet(meta)),
        Command::MetaSet => each(&Request::MetaSet(meta), data),
        Command::MetaDelete => plain(Request::MetaDelete(meta)),
        Command::MetaArithmetic => plain(Request::MetaArithmetic(meta)),
        Command::MetaDebug => {
            plain(Request::MetaDebug { key, base64: false });
            plain(Request::MetaDebug { key: &parts.base64, base64: true });
        }
        Command::MetaNoop => plain(Request::MetaNoop),
        Command::Version => plain(Request::Version),
        Command::Verbosity => plain(Request::Verbosity { level: number, noreply }),
        Command::Stats => {
            plain(Request::Stats { arguments: b"" });
            plain(Request::Stats { arguments: key });
        }
        Command::FlushAll => {
            plain(Request::FlushAll { delay: None, noreply });
            plain(Request::FlushAll { delay: Some(exptime), noreply });
        }
        Command::CacheMemlimit => plain(Request::CacheMemlimit { megabytes: number, noreply }),
        // Which of them know `noreply` is memcached's.
        Command::Slabs | Command::LruCrawler | Command::Watch => {
            plain(Request::Admin { command, arguments: key, noreply: false });
        }
        Command::Lru | Command::Extstore | Command::RefreshCerts => {
            plain(Request::Admin { command, arguments: key, noreply });
        }
        Command::Shutdown => {
            plain(Request::Shutdown { mode: ShutdownMode::Now });
            plain(Request::Shutdown { mode: ShutdownMode::Graceful });
        }
        Command::Quit => plain(Request::Quit),
        _ => {}
    }
}

fn queue_requests(
    command: Command,
    dialect: Dialect,
    parts: &Parts,
    each: &mut dyn FnMut(&Request<'_>, &[u8]),
) {
    let names = parts.keys();
    let (queue, many) = (names[0], Keys::new(&names));
    let (number, _, exptime) = parts.numbers;
    let exptime = i64::from(exptime);
    let count = number >> 1;
    let store = StoreRequest { key: queue, flags: number, exptime, noreply: false };
    let mut plain = |request: Request<'_>| each(&request, b"");
    match command {
        Command::Get => {
            for mode in MODES {
                let read = QueueRead::new(queue, mode);
                plain(Request::QueueRead(read));
                plain(Request::QueueRead(read.wait(Duration::from_millis(count.into()))));
                if dialect == Siberite {
                    plain(Request::QueueRead(read.group(names[names.len() - 1])));
                }
            }
        }
        Command::Authenticate => {
            plain(Request::Authenticate { user: queue, password: parts.text.as_bytes() });
        }
        Command::Set => {
            each(&Request::Set(store), &parts.data);
            if dialect == Darner {
                each(&Request::SetSync(store), &parts.data);
            }
        }
        Command::Delete => plain(Request::Delete { key: queue, noreply: false }),
        Command::Flush => plain(Request::Flush { queue }),
        Command::FlushExpired => plain(Request::FlushExpired { queue }),
        Command::FlushAll => plain(Request::FlushAll { delay: None, noreply: false }),
        Command::FlushAllExpired => plain(Request::FlushAllExpired),
        Command::Monitor => {
            plain(Request::Monitor { queue, seconds: count, max: Some(count) });
            plain(Request::Monitor { queue, seconds: count, max: None });
        }
        Command::Confirm => plain(Request::Confirm { queue, count }),
        Command::DumpStats => {
            plain(Request::DumpStats { queues: many });
            plain(Request::DumpStats { queues: Keys::new(&[]) });
        }
        Command::DumpConfig => plain(Request::DumpConfig { queues: many }),
        Command::Roll => plain(Request::Roll { queue }),
        Command::Stats => plain(Request::Stats { arguments: queue }),
        Command::Version => plain(Request::Version),
        Command::Status => {
            plain(Request::Status { new: Some(queue) });
            plain(Request::Status { new: None });
        }
        Command::Reload => plain(Request::Reload),
        Command::Shutdown => plain(Request::Shutdown { mode: ShutdownMode::Now }),
        Command::Quit => plain(Request::Quit),
        _ => {}
    }
}

const MODES: [ReadMode; 6] = [
    ReadMode::Remove,
    ReadMode::Open,
    ReadMode::Close,
    ReadMode::CloseOpen,
    ReadMode::Abort,
    ReadMode::Peek,
];

/// A second spelling of another row, which is read and never written.
fn is_alias(row: &Row, dialect: Dialect) -> bool {
    dialect.is_queue() && row.command == Command::Gets
}

/// One request after the other, every one that a connection goes on behind, with an answer wanted
/// and without.
pub(crate) fn every_request(dialect: Dialect) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (row, _) in rows().filter(|(row, of)| *of == dialect && row.form != ReplyForm::Nothing) {
        if matches!(row.command, Command::Authenticate | Command::Watch) {
            continue;
        }
        for noreply in [false, true] {
            let parts = Parts { noreply, ..example() };
            requests(row.command, dialect, &parts, &mut |request, data| {
                request::encode(request, data, dialect, &Limits::default(), &mut out).unwrap();
            });
        }
    }
    out.to_vec()
}

/// Every row of the table in every dialect that has it.
fn rows() -> impl Iterator<Item = (&'static Row, Dialect)> {
    TABLE.iter().flat_map(|row| row.dialects.iter().map(move |&dialect| (row, dialect)))
}

#[test]
fn every_row_of_the_table_is_made_here() {
    for (row, dialect) in rows() {
        let mut made = 0;
        requests(row.command, dialect, &example(), &mut |request, _| {
            made += 1;
            assert_eq!(request.command(), row.command);
        });
        assert_eq!(made > 0, !is_alias(row, dialect), "{} in {dialect:?}", row.verb);
    }
}

#[test]
fn the_second_spelling_of_a_queues_get_is_the_same() {
    for dialect in [Kestrel, Darner, Siberite] {
        let both =
            ["get q/t=5/open\r\n", "gets q/t=5/open\r\n"].map(|input| {
                match request::parse(input.as_bytes(), dialect, &Limits::default()) {
                    Ok(Parsed::Complete { message, .. }) => message,
                    other => panic!("{input} gave {other:?}"),
                }
            });
        assert_eq!(both[0], both[1]);
    }
}

/// Writes the request, reads it back, and reads every beginning of it: each is incomplete, and wants
/// no more than is missing.
fn request_round_trip(request: &Request<'_>, data: &[u8], dialect: Dialect) {
    let limits = Limits::default();
    let mut out = BytesMut::new();
    request::encode(request, data, dialect, &limits, &mut out).unwrap();
    if let Request::Authenticate { .. } = request {
        return credentials_round_trip(request, &out);
    }
    let length = out.len();
    for at in 0..length {
        match request::parse(&out[..at], dialect, &limits) {
            Ok(Parsed::Incomplete { needed }) => assert!((1..=length - at).contains(&needed)),
            other => panic!("{} gave {other:?}", out[..at].escape_ascii()),
        }
    }
    out.extend_from_slice(b"get next");
    match request::parse(&out, dialect, &limits) {
        Ok(Parsed::Complete { message, consumed }) => {
            assert_eq!((&message.request, message.data, consumed), (request, data, length));
        }
        other => panic!("{request:?} gave {other:?}"),
    }
}

/// Read only on a connection that asks for it.
fn credentials_round_trip(request: &Request<'_>, encoded: &[u8]) {
    let now = Instant::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(Memcached, &limits, &timeouts, now);
    connection.require_authentication();
    for &byte in encoded {
        assert!(matches!(connection.poll_output(turn(now)), Output::Idle(_)));
        connection.receive(&[byte]);
    }
    match connection.poll_output(turn(now)) {
        Output::Request { request: read, data, .. } => {
            assert_eq!((&read, data.is_empty()), (request, true));
        }
        other => panic!("{request:?} gave {other:?}"),
    }
}

/// Hands every frame of that kind to `each`.
fn frames(kind: Kind, dialect: Dialect, parts: &Parts, each: &mut dyn FnMut(&Response<'_>)) {
    let key = &parts.names[0][..];
    let (flags, number, _) = parts.numbers;
    let (text, data) = (parts.text.as_bytes(), &parts.data[..]);
    let asked = self::flags(Command::MetaGet, parts);
    let asked = MetaFlags::new(&asked);
    // Lines of text begin in a way that is the dialect's.
    let begins = |with: &str| [with.as_bytes(), text].concat();
    let mut plain = |response: Response<'_>| each(&response);
    match kind {
        Kind::Value => {
            plain(Response::Value(ValueFrame { key, flags, cas: None, data }));
            plain(Response::Value(ValueFrame { key, flags, cas: Some(number), data }));
        }
        Kind::Stat => {
            plain(Response::Stat { name: key, value: text });
            plain(Response::Stat { name: key, value: b"" });
        }
        Kind::Listing => {
            let begins_with: &[&str] = if dialect.is_queue() {
                &["  "]
            } else {
                &["ITEM ", "PREFIX ", "key=", "mg ", "ts="]
            };
            for with in begins_with {
                plain(Response::Listing(&begins(with)));
            }
        }
        Kind::Line => {
            let begins_with: &[&str] = if dialect.is_queue() {
                &["Reloaded "]
            } else {
                &["BUSY ", "MEMLIMIT_TOO_SMALL ", "WATCHER_TOO_MANY ", "ERROR: "]
            };
            for with in begins_with {
                plain(Response::Line(&begins(with)));
            }
        }
        Kind::End => plain(Response::End),
        Kind::Stored => plain(Response::Stored),
        Kind::NotStored => plain(Response::NotStored),
        Kind::Exists => plain(Response::Exists),
        Kind::Deleted => plain(Response::Deleted),
        Kind::NotFound => plain(Response::NotFound),
        Kind::Touched => plain(Response::Touched),
        Kind::Ok => plain(Response::Ok),
        Kind::Reset => plain(Response::Reset),
        Kind::Version => plain(Response::Version(text)),
        Kind::Number => plain(Response::Number(number)),
        Kind::Meta(MetaCode::Value) => plain(Response::Meta(MetaReply::value(asked, data))),
        Kind::Meta(code) => plain(Response::Meta(MetaReply::new(code, asked))),
        Kind::MetaDebug => plain(Response::MetaDebug { key, fields: text }),
        Kind::MetaNoop => plain(Response::MetaNoop),
        Kind::Error => plain(Response::Error(text)),
        Kind::ClientError => plain(Response::ClientError(text)),
        Kind::ServerError => plain(Response::ServerError(text)),
        _ => {}
    }
}

/// Every frame that may come in that dialect.
fn kinds(dialect: Dialect) -> Vec<Kind> {
    let mut kinds = vec![Kind::Error, Kind::ClientError, Kind::ServerError];
    for (row, _) in rows().filter(|(_, of)| *of == dialect) {
        kinds.extend(row.replies.iter().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
    }
    kinds
}

#[test]
fn every_frame_of_the_table_is_made_here() {
    for dialect in Dialect::ALL {
        for kind in kinds(dialect) {
            let mut made = 0;
            frames(kind, dialect, &example(), &mut |frame| {
                made += 1;
                assert_eq!(frame.kind(), kind);
            });
            assert!(made > 0, "{kind:?} in {dialect:?}");
        }
    }
    // What is in no row may answer nothing.
    let all = Dialect::ALL.map(kinds).concat();
    assert!(MetaCode::ALL.iter().all(|&code| all.contains(&Kind::Meta(code))));
    let silent = rows().filter(|(row, _)| row.replies.is_empty());
    assert!({ silent }.all(|(row, _)| row.form == ReplyForm::Nothing));
}

fn response_round_trip(frame: &Response<'_>, dialect: Dialect) {
    let limits = Limits::default();
    let mut out = BytesMut::new();
    response::encode(frame, &mut out);
    let length = out.len();
    for at in 0..length {
        match response::parse(&out[..at], dialect, &limits) {
            Ok(Parsed::Incomplete { needed }) => assert!((1..=length - at).contains(&needed)),
            other => panic!("{} gave {other:?}", out[..at].escape_ascii()),
        }
    }
    out.extend_from_slice(b"END");
    let whole = Ok(Parsed::Complete { message: *frame, consumed: length });
    assert_eq!(response::parse(&out, dialect, &limits), whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_reads_back(parts in Dialect::ALL.map(parts)) {
        for (row, dialect) in rows() {
            let (_, parts) = { Dialect::ALL.iter().zip(&parts) }
                .find(|(of, _)| **of == dialect)
                .unwrap();
            requests(row.command, dialect, parts, &mut |request, data| {
                assert!(command::row(request.command(), dialect) == Some(row));
                request_round_trip(request, data, dialect);
            });
        }
    }

    #[test]
    fn every_response_reads_back(parts in parts(Memcached)) {
        for dialect in Dialect::ALL {
            for kind in kinds(dialect) {
                frames(kind, dialect, &parts, &mut |frame| response_round_trip(frame, dialect));
            }
        }
    }
}
