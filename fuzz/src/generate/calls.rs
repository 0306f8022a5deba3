//! Requests of a client, ready to be sent, and what a server of good will answers to them.

use bytes::Bytes;
use windhover_core::memcache::command::{self, ReplyForm, Row, TABLE};
use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaRequest};
use windhover_core::memcache::request::{Barrier, Batch, EncodeError, Prepared, Request};
use windhover_core::memcache::response::Kind;
use windhover_core::memcache::{Dialect, Limits};

use super::command::Command;
use crate::Source;
use crate::reference::replies::Asked;

/// Any request of a dialect, or a batch; `None` where what was drawn cannot be sent.
pub fn request(
    source: &mut Source<'_>,
    dialect: Dialect,
    limits: &Limits,
) -> Option<(Prepared, Asked)> {
    if dialect == Dialect::Memcached && source.chance(1, 5) {
        return batch(source, limits);
    }
    // A queue's `gets` is written as `get`.
    let left_out = |row: &Row| match row.command {
        command::Command::Authenticate => true,
        command::Command::Gets if dialect.is_queue() => true,
        _ => !row.dialects.contains(&dialect),
    };
    let rows: Vec<&'static Row> = TABLE.iter().filter(|row| !left_out(row)).collect();
    of_row(source.pick_of(&rows), dialect, limits, source)
}

/// A request of one row of the table.
pub fn of_row(
    row: &'static Row,
    dialect: Dialect,
    limits: &Limits,
    source: &mut Source<'_>,
) -> Option<(Prepared, Asked)> {
    let mut command = Command::of_row(row, dialect, source);
    command.noreply &= source.chance(1, 4);
    if dialect.is_queue() {
        // Queues answer all the same, so that it cannot be sent.
        command.noreply = source.chance(1, 16);
    }
    if row.data && source.chance(1, 16) {
        // It leaves without a copy.
        command.data = vec![b'v'; 5000];
    }
    prepare(&command, limits)
}

/// The command as a request; one that hides its answer is refused.
pub fn prepare(command: &Command, limits: &Limits) -> Option<(Prepared, Asked)> {
    let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
    let data = Bytes::copy_from_slice(&command.data);
    let request = command.request(&keys);
    let make = |spare| Prepared::new_in(spare, &request, data.clone(), command.dialect, limits);
    match make(None) {
        Ok(first) => {
            assert!(first.clone().into_spare().is_none(), "the memory of one that is in use");
            // What is made in the memory of another is the same.
            let prepared = make(first.into_spare()).expect("it was made before");
            let mut command = command.clone();
            if command.dialect.is_queue() {
                // Few have a place for it.
                command.noreply = false;
            }
            assert!(!command.noreply && !command.is_quiet(), "{command:?} is not answered");
            let asked = command.asked();
            holds(&prepared, &asked);
            Some((prepared, asked))
        }
        Err(error) => {
            assert!(crate::property::tells(&error));
            if error == EncodeError::NeedsBarrier {
                assert!(command.noreply || command.is_quiet(), "{command:?}");
            }
            None
        }
    }
}

fn holds(prepared: &Prepared, asked: &Asked) {
    let wire = prepared.wire().concat();
    assert_eq!(wire.escape_ascii().to_string(), asked.wire.escape_ascii().to_string());
    assert_eq!((prepared.len(), prepared.is_empty()), (wire.len(), false));
    assert_eq!(prepared.command(), asked.row.command);
    let keys: Vec<&[u8]> = prepared.keys().collect();
    assert_eq!(prepared.only_key(), keys.first().copied().filter(|_| keys.len() == 1));
}

/// Requests that hide their answers, and one that does not.
pub fn batch(source: &mut Source<'_>, limits: &Limits) -> Option<(Prepared, Asked)> {
    use command::Command as C;
    let commands =
        [C::MetaGet, C::MetaSet, C::MetaDelete, C::MetaArithmetic, C::Set, C::Delete, C::Incr];
    if source.chance(1, 16) {
        let mut queue = Batch::new(Dialect::Kestrel, limits);
        let delete = Request::Delete { key: b"k", noreply: true };
        assert_eq!(queue.push(&delete, Bytes::new()), Err(EncodeError::NoreplyNotKnown));
        // What goes in without its mark may be too long with it.
        let mut narrow = limits.clone();
        (narrow.line, narrow.key) = (7, 4);
        let mut none = Batch::new(Dialect::Memcached, &narrow);
        let get = Request::MetaGet(MetaRequest::new(b"key", MetaFlags::default()));
        let is_long = |error| matches!(error, EncodeError::LineTooLong { .. });
        assert!(none.push(&get, Bytes::new()).is_err_and(is_long));
        narrow.line = 2;
        let refused = Batch::new(Dialect::Memcached, &narrow).close(Barrier::MetaNoop).err();
        assert!(refused.is_some_and(is_long));
        let command = C::Reload;
        let refused = Prepared::new(&Request::Reload, Bytes::new(), Dialect::Memcached, limits);
        assert_eq!(refused.err(), Some(EncodeError::NotInDialect { command }));
        let command = C::MetaNoop;
        let refused = queue.close(Barrier::MetaNoop).err();
        assert_eq!(refused, Some(EncodeError::NotInDialect { command }));
    }
    let mut batch = Batch::new(Dialect::Memcached, limits);
    let mut wire = Vec::new();
    let mut first_key = None;
    let mut has_data = false;
    for _ in 0..source.below(5) {
        let row = command::row(source.pick(&commands), Dialect::Memcached)?;
        let mut command = Command::of_row(row, Dialect::Memcached, source);
        let is_meta = command.asked().row.verb.len() == 2;
        command.noreply = !is_meta && (source.is_used_up() || source.chance(7, 8));
        let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
        let data = Bytes::copy_from_slice(&command.data);
        let index = batch.len();
        match batch.push(&command.request(&keys), data) {
            Ok(()) => {
                assert!(is_meta || command.noreply, "{command:?} has an answer");
                has_data |= row.data;
                let whole = command.write();
                let end = whole.iter().position(|&byte| byte == b'\n').expect("a line") - 1;
                let quiet = if !is_meta || command.is_quiet() { "" } else { " q" };
                let mark = if is_meta { format!("{quiet} O{index}") } else { String::new() };
                wire.extend_from_slice(&whole[..end]);
                wire.extend_from_slice(mark.as_bytes());
                wire.extend_from_slice(&whole[end..]);
                first_key = first_key.or(command.keys.first().cloned());
            }
            Err(error) => {
                assert!(crate::property::tells(&error));
                assert_eq!(batch.len(), index);
            }
        }
    }
    assert_eq!(batch.is_empty(), wire.is_empty());
    let count = batch.len();
    let barrier = source.pick(&[Barrier::MetaNoop, Barrier::Version]);
    let (closing, end) = match barrier {
        Barrier::MetaNoop => (C::MetaNoop, "mn\r\n"),
        Barrier::Version => (C::Version, "version\r\n"),
    };
    wire.extend_from_slice(end.as_bytes());
    let mut asked = Asked::new(command::row(closing, Dialect::Memcached)?, wire);
    asked.batch = Some(count);
    asked.batch_has_data = has_data;
    asked.keys = first_key.into_iter().collect();
    let prepared = batch.close(barrier).expect("memcached knows both");
    holds(&prepared, &asked);
    Some((prepared, asked))
}

/// What a server of good will answers, whole; of an answer without an end, the next part.
pub fn answer(asked: &Asked, source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(count) = asked.batch {
        for index in 0..count {
            match source.below(6) {
                0..=2 => {}
                3 => out.extend_from_slice(format!("HD O{index} W\r\n").as_bytes()),
                4 => out.extend_from_slice(format!("VA 2 O{index}\r\nhi\r\n").as_bytes()),
                _ => out.extend_from_slice(b"CLIENT_ERROR not this one\r\n"),
            }
        }
    } else if source.chance(1, 8) {
        let kind = source.pick(&[Kind::ServerError, Kind::ClientError, Kind::Error]);
        frame(kind, asked, 0, source, &mut out);
        return out;
    }
    let goes_on = |kind: Kind| matches!(kind, Kind::Value | Kind::Stat | Kind::Listing);
    let many = asked.row.replies.iter().copied().find(|&kind| goes_on(kind));
    match many {
        Some(Kind::Value) if asked.row.form == ReplyForm::Monitor => {
            for _ in 0..source.below(3) {
                frame(Kind::Value, asked, 0, source, &mut out);
                out.extend_from_slice(b"END\r\n");
            }
        }
        Some(Kind::Value) => {
            for index in 0..asked.keys.len() {
                if source.chance(2, 3) {
                    frame(Kind::Value, asked, index, source, &mut out);
                } else if !out.is_empty() && source.chance(1, 4) {
                    // Of one key: a proxy says so, and goes on.
                    frame(Kind::ServerError, asked, index, source, &mut out);
                }
            }
        }
        Some(kind) if !asked.without_end => {
            for _ in 0..source.below(3) {
                frame(kind, asked, 0, source, &mut out);
            }
        }
        _ => {}
    }
    if asked.without_end {
        frame(Kind::Stat, asked, 0, source, &mut out);
        return out;
    }
    let several = !out.is_empty() && asked.batch.is_none();
    let ends: Vec<Kind> = asked
        .row
        .replies
        .iter()
        .copied()
        .filter(|&kind| !goes_on(kind))
        .filter(|&kind| !several || asked.is_endless() || matches!(kind, Kind::End | Kind::Meta(_)))
        .collect();
    if !ends.is_empty() {
        frame(source.pick_of(&ends), asked, 0, source, &mut out);
    }
    out
}

/// Writes one frame that may be part of the answer.
fn frame(kind: Kind, asked: &Asked, index: usize, source: &mut Source<'_>, out: &mut Vec<u8>) {
    let mut flags = String::new();
    if let Some(opaque) = asked.opaque.as_ref().filter(|_| source.chance(3, 4)) {
        flags.push_str(&format!(" O{}", String::from_utf8_lossy(opaque)));
    }
    let key = asked.keys.get(index).map(Vec::as_slice).unwrap_or_default();
    let mut meta = |code: &str| {
        out.extend_from_slice(code.as_bytes());
        out.extend_from_slice(flags.as_bytes());
        if asked.names_key {
            out.extend_from_slice(b" k");
            out.extend_from_slice(key);
        }
        out.extend_from_slice(b"\r\n");
    };
    let number = source.byte();
    match kind {
        Kind::Meta(code) => {
            match code {
                MetaCode::Value => meta("VA 3"),
                MetaCode::Done => meta("HD"),
                MetaCode::Miss => meta("EN"),
                MetaCode::NotStored => meta("NS"),
                MetaCode::Exists => meta("EX"),
                MetaCode::NotFound => meta("NF"),
            }
            if code == MetaCode::Value {
                out.extend_from_slice(format!("{number:03}\r\n").as_bytes());
            }
        }
        Kind::Value => {
            let length = match source.below(12) {
                10 => 5000,
                11 => source.pick(&[65_535, 65_536, 65_537, 140_000]),
                small => small,
            };
            out.extend_from_slice(b"VALUE ");
            out.extend_from_slice(key);
            if let Some(group) = asked.group.as_ref().filter(|_| source.chance(1, 2)) {
                out.extend_from_slice(b".");
                out.extend_from_slice(group);
            }
            let cas = if source.chance(1, 2) { format!(" {number}") } else { String::new() };
            // Of more than 32 bits now and then.
            let flags = if number == 255 { 1 << 32 } else { u64::from(number) };
            out.extend_from_slice(format!(" {flags} {length}{cas}\r\n").as_bytes());
            out.resize(out.len() + length, number);
            out.extend_from_slice(b"\r\n");
        }
        Kind::MetaDebug => {
            out.extend_from_slice(&[b"ME ", key, b" exp=-1 la=2\r\n"].concat());
        }
        Kind::Stat => out.extend_from_slice(format!("STAT a {number} 2\r\n").as_bytes()),
        Kind::Number => out.extend_from_slice(format!("{number}\r\n").as_bytes()),
        Kind::Version => out.extend_from_slice(format!("VERSION 1.{number}\r\n").as_bytes()),
        other => out.extend_from_slice(match other {
            Kind::Listing => b"key=a exp=-1\r\n",
            Kind::End => b"END\r\n",
            Kind::Stored => b"STORED\r\n",
            Kind::NotStored => b"NOT_STORED\r\n",
            Kind::Exists => b"EXISTS\r\n",
            Kind::Deleted => b"DELETED\r\n",
            Kind::NotFound => b"NOT_FOUND\r\n",
            Kind::Touched => b"TOUCHED\r\n",
            Kind::Ok => b"OK\r\n",
            Kind::Reset => b"RESET\r\n",
            Kind::MetaNoop => b"MN\r\n",
            Kind::Line => b"BUSY now\r\n",
            Kind::Error => b"ERROR\r\n",
            Kind::ClientError => b"CLIENT_ERROR no\r\n",
            _ => b"SERVER_ERROR no room\r\n",
        }),
    }
}
