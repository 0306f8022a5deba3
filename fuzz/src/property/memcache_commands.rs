//! Parse and encode are each other's inverse, for right commands.

use bytes::BytesMut;
use windhover_core::Limits;
use windhover_core::memcache::request::{EncodeError, encode, encode_line, parse, parse_line};
use windhover_core::memcache::response::{Kind, Reply};
use windhover_core::memcache::{Parsed, command, meta};

use crate::generate::command::Command;
use crate::reference::base64;
use crate::{Script, Source};

/// Every command is written as the protocol's documents have it, and read as it was written; in
/// other spellings that servers take it is read as the same.
pub fn memcache_commands(input: &[u8]) {
    for step in Script::read(input).steps {
        let mut source = Source::new(&step);
        let style = source.byte();
        let mut command = Command::draw(&mut source);
        if command.noreply && command.is_answered() {
            never_written(&command);
            command.noreply = false;
        }
        check(&command, style);
        limits(&command, &mut source);
    }
}

/// A client that does not wait for an answer that comes takes it for the next one's.
fn never_written(command: &Command) {
    let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
    let request = command.request(&keys);
    let mut out = BytesMut::new();
    let written = encode(&request, b"", command.dialect, &Limits::default(), &mut out);
    assert_eq!(written, Err(EncodeError::NoreplyNotKnown), "{request:?}");
}

fn check(command: &Command, style: u8) {
    let limits = Limits::default();
    let dialect = command.dialect;
    let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
    let request = command.request(&keys);
    let data = &command.data[..];
    let written = command.write();

    let mut encoded = BytesMut::from(&b"before"[..]);
    encode(&request, data, dialect, &limits, &mut encoded)
        .unwrap_or_else(|error| panic!("{request:?} is not written: {error}"));
    // A queue's `gets` is its `get`, which is what is written.
    let same = dialect.is_queue() && command.row.verb == "gets";
    let wanted = if same { [b"get", &written[4..]].concat() } else { written.clone() };
    assert_eq!(
        encoded[6..].escape_ascii().to_string(),
        wanted.escape_ascii().to_string(),
        "{request:?} in {dialect:?}"
    );
    let mut line = BytesMut::new();
    let takes_data =
        encode_line(&request, data.len(), dialect, &limits, &mut line).expect("as before");
    assert_eq!(takes_data, command.row.data);
    assert!(wanted.starts_with(&line));

    let spelled = spell(&written, command, style);
    match parse(&spelled, dialect, &limits) {
        Ok(Parsed::Complete { message, consumed }) => {
            assert_eq!(message.request, request, "of {}", spelled.escape_ascii());
            assert_eq!(message.data, data);
            assert_eq!(consumed, spelled.len());
        }
        other => panic!("{} is read as {other:?}", spelled.escape_ascii()),
    }
    assert!(same || request.command() == command.row.command);
    let row = command::row(request.command(), dialect).expect("the command has a row");
    assert_eq!(Reply::to(&request, dialect).command(), row.command);
    assert!(row.allows(Kind::Error) && row.allows(Kind::ServerError));
    keys_in_base64(command);
}

/// The same in another spelling: more spaces, a bare newline, in a queue dialect other letters.
fn spell(written: &[u8], command: &Command, style: u8) -> Vec<u8> {
    let end = written.windows(2).position(|two| two == b"\r\n").expect("a line ends");
    let (line, block) = (&written[..end], &written[end + 2..]);
    let mut words: Vec<Vec<u8>> = line.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect();
    if style & 1 != 0 && command.dialect.is_queue() {
        words[0].make_ascii_uppercase();
    }
    // Between the words of what is handed on as it is, spaces count.
    let as_it_is = matches!(
        command.row.arguments,
        command::Arguments::Words | command::Arguments::Admin | command::Arguments::ShutdownMode
    );
    let space: &[u8] = if style & 2 != 0 && !as_it_is { b"  " } else { b" " };
    let mut spelled = words.join(space);
    if style & 4 != 0 {
        spelled.push(b' ');
    }
    spelled.extend_from_slice(if style & 8 != 0 { b"\n" } else { b"\r\n" });
    spelled.extend_from_slice(block);
    spelled
}

/// At a limit it is taken, above it is not: keys, values and lines, by both roles.
fn limits(command: &Command, source: &mut Source<'_>) {
    let dialect = command.dialect;
    let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
    let request = command.request(&keys);
    if dialect.is_queue() && command.row.verb == "gets" {
        return;
    }
    let line_end = command.write().iter().position(|&byte| byte == b'\n').expect("a line ends") + 1;
    let line = &command.write()[..line_end];

    let mut exact = Limits::default();
    let below = source.chance(1, 2);
    let which = source.below(3);
    let named = keys_count(command);
    match which {
        0 if named => {
            let longest = keys.iter().map(|key| key.len()).max().expect("there is a key");
            exact.key = longest - usize::from(below);
        }
        1 if command.row.data => {
            if command.data.is_empty() && below {
                return;
            }
            exact.value = command.data.len() - usize::from(below);
        }
        2 => {
            // The line's end is not counted by the one who reads, the newline alone not by the one
            // who writes: both see `\r\n` as one byte too many at the most.
            exact.line = line.len() - 1 - usize::from(below);
            exact.get_line = exact.line;
        }
        _ => return,
    }
    let read = if which == 2 {
        parse(&command.write(), dialect, &exact).map(drop)
    } else {
        parse_line(line, dialect, &exact).map(drop)
    };
    assert_eq!(read.is_err(), below, "{read:?}: {} within {exact:?}", line.escape_ascii());
    let mut out = BytesMut::new();
    let written = encode(&request, &command.data, dialect, &exact, &mut out);
    assert_eq!(written.is_err(), below, "{written:?}: {request:?} within {exact:?}");
    assert!(!below || out.is_empty(), "nothing is appended where nothing is written");
    if let Err(error) = written {
        assert!(!error.to_string().is_empty());
    }
}

/// Whether the command names keys that are bounded.
fn keys_count(command: &Command) -> bool {
    use command::Arguments as A;
    !matches!(
        command.row.arguments,
        A::None
            | A::Verbosity
            | A::Delay
            | A::Megabytes
            | A::Words
            | A::Admin
            | A::ShutdownMode
            | A::OptionalWord
    ) && !command.keys.is_empty()
}

/// Keys in base64 decode to what they encode.
fn keys_in_base64(command: &Command) {
    let Some(key) = command.keys.first() else {
        return;
    };
    let mut room = [0; 512];
    let encoded = meta::encode_key(key, &mut room).expect("there is room").to_vec();
    assert_eq!(encoded, base64::encode(key, b""));
    let mut room = vec![0; key.len()];
    assert_eq!(meta::decode_key(&encoded, &mut room), Some(&key[..]));
    let mut short = vec![0; key.len() - 1];
    assert_eq!(meta::decode_key(&encoded, &mut short), None);
}
