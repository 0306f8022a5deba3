//! Any bytes, read as requests.

use bytes::BytesMut;
use windhover_core::memcache::request::{
    EncodeError, ErrorRecovery, Message, Request, RequestError, RequestFault, ShutdownMode, encode,
    parse, parse_spans,
};
use windhover_core::memcache::{Dialect, Limits, Parsed, command, meta};

use super::splits;

/// Any bytes are read as the same requests in every split, within their limits; what can be read
/// can be written again; an error says what is true.
pub fn memcache_requests(input: &[u8]) {
    let (small, usual) = (small_limits(), Limits::default());
    for dialect in Dialect::ALL {
        stream(input, dialect, &small);
    }
    stream(input, Dialect::Memcached, &usual);
}

/// Limits that short inputs reach.
pub(super) fn small_limits() -> Limits {
    Limits::default().with_key(12).with_value(64).with_line(96).with_get_line(160)
}

fn stream(input: &[u8], dialect: Dialect, limits: &Limits) {
    let mut rest = input;
    loop {
        let parsed = parse(rest, dialect, limits);
        every_prefix(rest, &parsed, dialect, limits);
        match parsed {
            Ok(Parsed::Complete { message, consumed }) => {
                assert!(consumed > 0 && consumed <= rest.len(), "{consumed} of {}", rest.len());
                message_holds(&rest[..consumed], &message, dialect, limits);
                rest = &rest[consumed..];
            }
            Ok(Parsed::Incomplete { .. }) => return,
            Err(error) => {
                error_holds(rest, &error, dialect, limits);
                match error.recovery {
                    // It may lie behind what came.
                    ErrorRecovery::Skip(skip) => match rest.get(skip..) {
                        Some(behind) => rest = behind,
                        None => return,
                    },
                    ErrorRecovery::Close => return,
                }
            }
        }
    }
}

/// A part of the input says "incomplete" and how much is missing at the least, or already what the
/// whole says.
fn every_prefix(
    input: &[u8],
    whole: &Result<Parsed<Message<'_>>, RequestError>,
    dialect: Dialect,
    limits: &Limits,
) {
    let end = match whole {
        Ok(Parsed::Complete { consumed, .. }) => *consumed,
        _ => input.len(),
    };
    for at in splits::places(end, splits::seed(&input[..end.min(16)])) {
        let prefix = &input[..at];
        match (parse(prefix, dialect, limits), whole) {
            (Ok(Parsed::Incomplete { needed }), Ok(Parsed::Complete { consumed, .. })) => {
                assert!(at < *consumed, "whole, but incomplete");
                assert!(
                    needed > 0 && at + needed <= *consumed,
                    "{needed} behind {at} of {consumed}"
                );
            }
            (Ok(Parsed::Incomplete { needed }), _) => assert!(needed > 0),
            (Ok(Parsed::Complete { consumed, .. }), Ok(Parsed::Complete { consumed: all, .. })) => {
                assert_eq!((consumed, at), (*all, end));
            }
            (Err(early), Err(error)) => assert_eq!(early, *error, "at {at}"),
            (part, _) => panic!("{at} bytes are {part:?}, all of them {whole:?}"),
        }
    }
}

fn message_holds(bytes: &[u8], message: &Message<'_>, dialect: Dialect, limits: &Limits) {
    let Message { request, data, .. } = message;
    let line = bytes.iter().position(|&byte| byte == b'\n').expect("a request has a line");
    let retrieval = matches!(
        request,
        Request::Get(_) | Request::Gets(_) | Request::Gat { .. } | Request::Gats { .. }
    );
    let most = if retrieval && !dialect.is_queue() {
        limits.get_line.max(limits.line)
    } else {
        limits.line
    };
    assert!(line <= most, "a line of {line} bytes: {request:?}");
    assert!(data.len() <= limits.value);
    for key in request.keys() {
        assert!(!key.is_empty() && key.len() <= limits.key, "a key of {} bytes", key.len());
    }
    let spans = parse_spans(&bytes[..=line], dialect, limits).expect("it was read before");
    assert_eq!(spans.resolve(&bytes[..=line]), *request, "its spans say something else");
    let row = command::row(request.command(), dialect).expect("what is read has a row");
    assert_eq!(bytes.len(), line + 1 + if row.data { data.len() + 2 } else { 0 });
    if row.data {
        assert_eq!(*data, &bytes[line + 1..bytes.len() - 2]);
    }
    assert!(!(request.noreply() && dialect.is_queue()), "queue servers know no noreply");
    meta_holds(request);
    let mut flags = meta::FlagBuffer::new();
    let answered = request.answered(&mut flags);
    assert!(!answered.noreply() && !answered.quiet(), "it hides its answer still: {answered:?}");
    assert_eq!((answered.keys(), answered.command()), (request.keys(), request.command()));
    let hides = request.noreply() || request.quiet();
    assert!(hides || answered == *request, "it is another: {answered:?}");
    again(message, dialect, limits);
}

/// The flags that were let through are what their accessors say.
fn meta_holds(request: &Request<'_>) {
    let (Request::MetaGet(meta)
    | Request::MetaSet(meta)
    | Request::MetaDelete(meta)
    | Request::MetaArithmetic(meta)) = request
    else {
        return;
    };
    let flags: Vec<_> = meta.flags.iter().collect();
    assert!(flags.len() <= 18, "{} flags", flags.len());
    let mut letters: Vec<u8> = flags.iter().map(|flag| flag.letter).collect();
    letters.sort_unstable();
    letters.dedup();
    assert_eq!(letters.len(), flags.len(), "a flag twice: {:?}", meta.flags);
    for flag in &flags {
        let row = meta::flag_row(flag.letter).expect("a flag that is known");
        match row.token {
            meta::TokenRule::Opaque => assert!(flag.token.len() <= 31),
            meta::TokenRule::Seconds => assert!(meta.flags.signed(flag.letter).is_some()),
            meta::TokenRule::Unsigned64 => assert!(meta.flags.unsigned(flag.letter).is_some()),
            _ => {}
        }
    }
    assert_eq!(meta.flags.quiet(), letters.contains(&b'q'));
    assert_eq!(meta.flags.opaque().is_some(), letters.contains(&b'O'));
    if matches!(request, Request::MetaSet(_)) {
        let mode = meta.flags.set_mode().expect("it was checked");
        assert_eq!(meta::SetMode::of_token(&[mode.letter()]), Some(mode));
    }
    if matches!(request, Request::MetaArithmetic(_)) {
        let mode = meta.flags.arithmetic_mode().expect("it was checked");
        assert_eq!(meta::ArithmeticMode::of_token(&[mode.letter()]), Some(mode));
    }
    if meta.flags.base64() {
        assert!(meta::decode_key(meta.key, &mut [0; 512]).is_some(), "{:?}", meta.key);
    }
    let _ = meta.flags.client_flags();
    // Sent on as they came, they are the same; a flag that is not there has no number.
    let mut copy = meta::FlagBuffer::new();
    copy.push(b'x', b"").clear();
    for flag in meta.flags {
        copy.push_flag(flag);
    }
    assert_eq!(copy.flags(), meta.flags);
    let absent = (b'A'..=b'Z').find(|letter| !letters.contains(letter)).expect("18 flags at most");
    assert_eq!((meta.flags.unsigned(absent), meta.flags.signed(absent)), (None, None));
}

/// What was read can be written, but for what no client should send, and is then read as the same.
fn again(message: &Message<'_>, dialect: Dialect, limits: &Limits) {
    let Message { request, data, .. } = message;
    let mut out = BytesMut::new();
    match encode(request, data, dialect, limits, &mut out) {
        Ok(()) => match parse(&out, dialect, limits) {
            Ok(Parsed::Complete { message: again, consumed }) => {
                // What is handed on as it is may have lost spaces.
                assert_eq!(arguments(&again.request), arguments(request));
                if arguments(request).is_empty() {
                    assert_eq!(again.request, *request, "by {}", out.escape_ascii());
                }
                assert_eq!((again.data, consumed), (*data, out.len()));
            }
            other => panic!("{request:?} is written as {}: {other:?}", out.escape_ascii()),
        },
        Err(error) => {
            assert!(out.is_empty() && crate::property::tells(&error));
            match error {
                EncodeError::ForbiddenByte { byte, .. } => {
                    assert!(byte <= b' ' || byte == 0x7f, "{byte:#x} is not forbidden");
                }
                EncodeError::NoKeys => assert_eq!(request.keys().next(), None),
                // In canonical form it may be longer.
                EncodeError::LineTooLong { length } => assert!(length > limits.line),
                // More than older servers take; another `noreply` than they know.
                EncodeError::Flags(RequestFault::TooManyFlags { .. })
                | EncodeError::NoreplyNotKnown => {}
                EncodeError::Read(_) | EncodeError::QueueName(_) => assert!(dialect.is_queue()),
                other => panic!("{request:?} was read, but not written: {other:?}"),
            }
        }
    }
}

/// The words of a request that has only such.
fn arguments<'a>(request: &Request<'a>) -> Vec<&'a [u8]> {
    let text: &[u8] = match request {
        Request::Stats { arguments } | Request::Admin { arguments, .. } => arguments,
        Request::Shutdown { mode: ShutdownMode::Unknown(mode) } => mode,
        _ => b"",
    };
    text.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect()
}

/// What an error says is so.
fn error_holds(input: &[u8], error: &RequestError, dialect: Dialect, limits: &Limits) {
    assert!(error.to_string().contains(&error.fault.to_string()));
    assert!(crate::property::tells(error));
    if let Some(reply) = error.reply {
        assert!(!reply.bytes().any(|byte| byte < b' '), "{reply:?} is no line");
    }
    if let ErrorRecovery::Skip(skip) = error.recovery {
        let line = input.iter().position(|&byte| byte == b'\n').expect("a line was read") + 1;
        assert!(skip >= line, "{skip} bytes behind a line of {line}");
    }
    match error.fault {
        RequestFault::KeyTooLong { length } => assert!(length > limits.key, "{length}"),
        RequestFault::ValueTooLarge { length } => {
            assert!(length > limits.value, "{length}");
            let ErrorRecovery::Skip(skip) = error.recovery else { panic!("the block is skipped") };
            let line = input.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
            assert_eq!(skip, line + length + 2);
        }
        RequestFault::LineTooLong => {
            let line = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
            assert!(line > limits.line, "a line of {line} bytes");
        }
        RequestFault::Binary => assert_eq!(input.first(), Some(&0x80)),
        RequestFault::BadDataBlock => {
            // A longer or a shorter block, but not what was declared.
            let ErrorRecovery::Skip(skip) = error.recovery else {
                return assert!(dialect.is_queue());
            };
            assert_ne!(&input[skip - 2..skip], b"\r\n");
        }
        _ => {}
    }
}
