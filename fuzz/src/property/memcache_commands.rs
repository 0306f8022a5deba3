//! Parse and encode are each other's inverse, for right commands.

use bytes::BytesMut;
use windhover_core::UnixTime;
use windhover_core::memcache::kestrel::{QueueRead, ReadMode, check_queue};
use windhover_core::memcache::request::{
    EncodeError, Request, encode, encode_line, parse, parse_line,
};
use windhover_core::memcache::response::{Kind, ReplyEnd};
use windhover_core::memcache::{Dialect, Expiry, Limits, Parsed, command, meta};

use crate::generate::command::Command;
use crate::reference::base64;
use crate::{Script, Source};

/// Every command is written as the protocol's documents have it, and read as it was written; in
/// other spellings that servers take it is read as the same.
pub fn memcache_commands(input: &[u8]) {
    for step in Script::read(input).steps {
        // What is done with a command does not change when the command does.
        let (extra, choices) = step.split_at(step.len().min(8));
        let mut command = Command::draw(&mut Source::new(choices));
        let mut source = Source::new(extra);
        let style = source.byte();
        if command.noreply && command.is_answered() {
            never_written(&command);
            command.noreply = false;
        }
        check(&command, style);
        limits(&command, &mut source);
        command.spoil(&mut source);
        never_another(&command);
        expiry(&mut Source::new(choices));
        credentials(&mut Source::new(&step));
    }
}

/// A request that cannot be written is refused; one that is written is read as itself, or not at
/// all.
fn never_another(command: &Command) {
    let limits = Limits::default();
    let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
    let request = command.request(&keys);
    let mut out = BytesMut::new();
    if let Err(error) = encode(&request, &command.data, command.dialect, &limits, &mut out) {
        assert!(out.is_empty() && crate::property::tells(&error));
        return;
    }
    let lines = out.len() - usize::from(command.row.data) * (command.data.len() + 2);
    let line = &out[..lines];
    assert!(line.ends_with(b"\r\n") && !line[..lines - 2].contains(&b'\n'), "{request:?}");
    if let Ok(parsed) = parse(&out, command.dialect, &limits) {
        let Parsed::Complete { message, consumed } = parsed else {
            panic!("{request:?} is written without its end: {}", out.escape_ascii());
        };
        assert_eq!((message.data, consumed), (&command.data[..], out.len()));
        assert_eq!(message.request, request, "of {}", out.escape_ascii());
    }
}

/// Credentials are written so that a server finds them, or not at all.
fn credentials(source: &mut Source<'_>) {
    let mut word = || {
        let len = source.below(5);
        source.bytes(len).to_vec()
    };
    let (user, password) = (word(), word());
    let request = Request::Authenticate { user: &user, password: &password };
    let mut out = BytesMut::new();
    let limits = Limits::default();
    let words = |text: &[u8]| !text.is_empty() && !text.contains(&b' ') && !text.contains(&0);
    match encode(&request, b"", Dialect::Memcached, &limits, &mut out) {
        Ok(()) => {
            let length = user.len() + 1 + password.len();
            let line = format!("set auth 0 0 {length}\r\n");
            let wanted = [line.as_bytes(), &user, b" ", &password, b"\r\n"].concat();
            assert_eq!(out, wanted);
            assert!(words(&user) && words(&password));
        }
        Err(_) => assert!(!words(&user) || !words(&password)),
    }
    let row = command::row(request.command(), Dialect::Memcached).expect("it has a row");
    assert_eq!(row.arguments.form(), "<key> <flags> <exptime> <bytes>");
    let data = encode(&request, b"data", Dialect::Memcached, &limits, &mut out);
    assert_eq!(data, Err(EncodeError::DataNotTaken));
}

/// What an exptime means (protocol.txt, "Expiration times"; kestrel's guide, "Item expiration").
fn expiry(source: &mut Source<'_>) {
    let exptime = source.edgy().cast_signed();
    let now = UnixTime::from_millis(1_700_000_000_123);
    for dialect in Dialect::ALL {
        let expiry = Expiry::of(exptime, dialect, now);
        let (seconds, relative) = match dialect {
            // It keeps 32 bits.
            Dialect::Memcached => {
                let [a, b, c, d, ..] = exptime.to_le_bytes();
                let seconds = i64::from(i32::from_le_bytes([a, b, c, d]));
                (seconds, seconds <= 30 * 24 * 60 * 60)
            }
            Dialect::Kestrel => (exptime, exptime < 1_000_000),
            _ => (0, false),
        };
        let millis = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        let start = if relative { now.as_millis() } else { 0 };
        let expected = match seconds {
            0 => Expiry::Never,
            ..0 => Expiry::Past,
            1.. => Expiry::At(UnixTime::from_millis(start.saturating_add(millis))),
        };
        assert_eq!(expiry, expected, "{exptime} in {dialect:?}");
        let passed = match expiry {
            Expiry::Never => false,
            Expiry::Past => true,
            Expiry::At(time) => time <= now,
        };
        assert_eq!(expiry.has_passed(now), passed);
        assert_eq!(expiry.remaining(now).is_none(), expiry == Expiry::Never);
        assert_eq!(expiry.remaining(now).is_some_and(|left| left.is_zero()), passed);
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
    assert_eq!(ReplyEnd::to(&request, dialect).command(), row.command);
    assert!(row.allows(Kind::Error) && row.allows(Kind::ServerError));
    keys_in_base64(command);
    form_holds(command);
    names_hold(command);
    later_in_a_queue(command);
    assert_eq!(dialect.queue_rules().is_some(), dialect.is_queue());
}

/// A queue server flushes at once or not at all.
fn later_in_a_queue(command: &Command) {
    if command.dialect.is_queue() {
        let request = Request::FlushAll { delay: Some(1), noreply: false };
        let mut out = BytesMut::new();
        let written = encode(&request, b"", command.dialect, &Limits::default(), &mut out);
        assert!(matches!(written, Err(EncodeError::NotInDialect { .. })), "{written:?}");
    }
}

/// Kestrel's names and reads, read alone.
fn names_hold(command: &Command) {
    let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
    if command.dialect == Dialect::Kestrel
        && let Request::QueueRead(read) = command.request(&keys)
    {
        let line = command.write();
        let name = line[4..line.len() - 2].trim_ascii_start();
        assert_eq!(QueueRead::parse(name), Ok(read));
        assert!(check_queue(read.queue).is_ok());
        let fetches = !matches!(read.mode, ReadMode::Close | ReadMode::Abort);
        assert_eq!(read.mode.fetches(), fetches);
    }
}

/// A command has at least the words that its form in the table has to have.
fn form_holds(command: &Command) {
    let form = command.row.arguments.form();
    let must = form.split(" [").next().unwrap_or_default();
    let must = must.split('<').skip(1).filter(|word| !word.ends_with('*')).count();
    let line = command.write();
    let end = line.iter().position(|&byte| byte == b'\r').expect("a line ends");
    let words = line[..end].split(|&byte| byte == b' ').count();
    assert!(words > must, "{form:?}: {}", line.escape_ascii());
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
        assert!(crate::property::tells(&error));
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
    assert!(key.is_empty() || meta::encode_key(key, &mut room[..3]).is_none(), "no room");
    let encoded = meta::encode_key(key, &mut room).expect("there is room").to_vec();
    assert_eq!(encoded, base64::encode(key, b""));
    let mut room = vec![0; key.len()];
    assert_eq!(meta::decode_key(&encoded, &mut room), Some(&key[..]));
    let mut short = vec![0; key.len() - 1];
    assert_eq!(meta::decode_key(&encoded, &mut short), None);
}
