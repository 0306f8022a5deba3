//! Any bytes, read as replies; and replies, written.

use bytes::BytesMut;
use windhover_core::memcache::response::{
    Kind, Response, ResponseError, encode, parse, parse_line,
};
use windhover_core::memcache::{Dialect, Limits, Parsed};

use super::memcache_requests::small_limits;
use super::splits;
use crate::generate::replies::Frame;
use crate::{Script, Source};

/// Any bytes are read as the same frames in every split, within their limits; what can be read is
/// written and read again as the same.
pub fn memcache_responses(input: &[u8]) {
    for (dialect, limits) in [
        (Dialect::Memcached, small_limits()),
        (Dialect::Kestrel, small_limits()),
        (Dialect::Memcached, Limits::default()),
    ] {
        stream(input, dialect, &limits);
    }
}

fn stream(input: &[u8], dialect: Dialect, limits: &Limits) {
    let mut rest = input;
    loop {
        let parsed = parse(rest, dialect, limits);
        every_prefix(rest, &parsed, dialect, limits);
        match parsed {
            Ok(Parsed::Complete { message, consumed }) => {
                holds(&rest[..consumed], &message, dialect, limits);
                rest = &rest[consumed..];
            }
            Ok(Parsed::Incomplete { .. }) => return,
            Err(error) => {
                let line = rest.iter().position(|&byte| byte == b'\n');
                if let Some(line) = line
                    && error != ResponseError::BadDataBlock
                {
                    // The line alone is refused for the same.
                    let alone = parse_line(&rest[..=line], dialect, limits).map(drop);
                    assert_eq!(alone, Err(error));
                }
                return error_holds(rest, error, limits);
            }
        }
    }
}

fn every_prefix(
    input: &[u8],
    whole: &Result<Parsed<Response<'_>>, ResponseError>,
    dialect: Dialect,
    limits: &Limits,
) {
    let end = match whole {
        Ok(Parsed::Complete { consumed, .. }) => *consumed,
        _ => input.len(),
    };
    for at in splits::places(end, splits::seed(&input[..end.min(16)])) {
        match (parse(&input[..at], dialect, limits), whole) {
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

fn holds(bytes: &[u8], frame: &Response<'_>, dialect: Dialect, limits: &Limits) {
    let line = bytes.iter().position(|&byte| byte == b'\n').expect("a frame has a line");
    assert!(line <= limits.line, "a line of {line} bytes");
    // As memcached writes the lines of `lru_crawler metadump`.
    let may_be_bare = !dialect.is_queue() && bytes.starts_with(b"key=");
    let text = bytes[..line].strip_suffix(b"\r").unwrap_or(&bytes[..line]);
    assert!(text.len() < line || may_be_bare, "a line that ends in a bare newline");
    let data = match frame {
        Response::Value(value) => Some(value.data),
        Response::Meta(reply) if frame.kind().text() == "VA" => Some(reply.data),
        _ => None,
    };
    assert_eq!(bytes.len(), line + 1 + data.map_or(0, |data| data.len() + 2));
    if let Some(data) = data {
        assert!(data.len() <= limits.value);
        assert_eq!(data, &bytes[line + 1..bytes.len() - 2]);
    }
    let parsed = parse_line(&bytes[..=line], dialect, limits).expect("the same line");
    assert_eq!(parsed.data, data.map(<[u8]>::len));
    assert_eq!(parsed.response.kind(), frame.kind());
    let goes_on = matches!(frame.kind(), Kind::Value | Kind::Stat | Kind::Listing);
    assert_eq!(frame.ends_reply(), !goes_on);
    let mut out = BytesMut::new();
    encode(frame, &mut out);
    // A carriage return inside of a line is not sent again, which makes it another line, or one with
    // a block behind it.
    let as_it_was = !text.contains(&b'\r');
    match parse(&out, dialect, &Limits::default()) {
        Ok(Parsed::Complete { message, consumed }) => {
            assert_eq!(consumed, out.len(), "{frame:?} became more than one frame");
            assert!(!as_it_was || message == *frame, "{message:?}, before {frame:?}");
        }
        Ok(Parsed::Incomplete { .. }) | Err(_) if !as_it_was => {}
        other => panic!("{frame:?} is written as {}: {other:?}", out.escape_ascii()),
    }
}

fn error_holds(input: &[u8], error: ResponseError, limits: &Limits) {
    assert!(!error.to_string().is_empty());
    let line = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    match error {
        ResponseError::LineTooLong => assert!(line > limits.line, "a line of {line} bytes"),
        ResponseError::ValueTooLarge { length } => assert!(length > limits.value as u64),
        ResponseError::BareNewline => assert!(line == 0 || input[line - 1] != b'\r'),
        _ => {}
    }
}

/// Frames are written as protocol.txt has them and read as they were written; whatever they are
/// made of, one frame never becomes two.
pub fn memcache_replies(input: &[u8]) {
    for step in Script::read(input).steps {
        let mut source = Source::new(&step);
        let tame = source.chance(2, 3);
        let frame = Frame::draw(&mut source, tame);
        let response = frame.response();
        let mut out = BytesMut::from(&b"before"[..]);
        encode(&response, &mut out);
        let written = &out[6..];
        let kind = response.kind();
        let is_error = matches!(kind, Kind::Error | Kind::ClientError | Kind::ServerError);
        assert_eq!(kind.is_error(), is_error);
        if matches!(kind, Kind::Number | Kind::Listing | Kind::Line) {
            assert!(!kind.text().is_empty());
        } else {
            assert!(written.starts_with(kind.text().as_bytes()), "{kind:?}");
        }
        // Whatever a frame is made of, it is one line, and its data.
        let block = match &response {
            Response::Value(value) => value.data.len() + 2,
            Response::Meta(reply) if kind.text() == "VA" => reply.data.len() + 2,
            _ => 0,
        };
        let line = &written[..written.len() - block];
        assert!(
            line.ends_with(b"\r\n") && !line[..line.len() - 2].contains(&b'\n'),
            "{response:?}"
        );
        let parsed = parse(written, Dialect::Memcached, &Limits::default());
        if tame {
            assert_eq!(
                written.escape_ascii().to_string(),
                frame.write().escape_ascii().to_string()
            );
            assert_eq!(parsed, Ok(Parsed::Complete { message: response, consumed: written.len() }));
            at_its_limits(&response, written);
        } else if let Ok(parsed) = parsed {
            let whole =
                matches!(parsed, Parsed::Complete { consumed, .. } if consumed == written.len());
            assert!(whole, "{response:?} is written as {}: {parsed:?}", written.escape_ascii());
        }
    }
}

/// What lies within the limits is read, what lies above is not.
fn at_its_limits(response: &Response<'_>, written: &[u8]) {
    let line = written.iter().position(|&byte| byte == b'\n').expect("a frame has a line");
    if matches!(response, Response::End) {
        // It is known by its first bytes, whatever the limit.
        return;
    }
    let mut limits = Limits::default();
    limits.line = line;
    assert!(parse(written, Dialect::Memcached, &limits).is_ok());
    limits.line = line - 1;
    assert_eq!(parse(written, Dialect::Memcached, &limits), Err(ResponseError::LineTooLong));
    if let Response::Value(value) = response {
        let length = value.data.len();
        limits.line = line;
        limits.value = length;
        assert!(parse(written, Dialect::Memcached, &limits).is_ok());
        if length > 0 {
            limits.value = length - 1;
            let too_large = ResponseError::ValueTooLarge { length: length as u64 };
            assert_eq!(parse(written, Dialect::Memcached, &limits), Err(too_large));
        }
    }
}
