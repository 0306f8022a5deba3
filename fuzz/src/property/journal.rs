//! Segments of a journal, damaged in any way.

use windhover_core::Now;
use windhover_core::UnixTime;
use windhover_core::queue::record::{self, Broken, Draft, Kind, decode};
use windhover_core::queue::segment::{Damage, HEADER, Header, HeaderError, SegmentEnd, What, scan};
use windhover_core::queue::state::{Position, State};
use windhover_core::queue::{
    Action, Config, ConnId, Engine, NameError, OpId, OpOutcome, Place, PutBuilder, Read, ReadError,
    Recovery, check_name,
};

use super::splits;
use crate::reference::journal::{self as reference, Part};
use crate::{Script, Source};

const SALT: u32 = 0x5a17_0001;

/// Every whole record of a damaged segment is found, whatever stands before it; every byte that is
/// in none is told as damage; and what is found is what a byte-by-byte reader finds.
pub fn journal(input: &[u8]) {
    let script = Script::read(input);
    let created = UnixTime::default();
    // What the file was before: another segment, which this one was written over.
    let life = splits::seed(input).to_le_bytes()[0];
    let mut before = vec![life; HEADER];
    if life.is_multiple_of(4) {
        for step in script.steps.iter().rev() {
            append(&mut Source::new(step), &mut before, SALT ^ 1);
        }
    }
    let leftover = if life % 4 < 2 { before.len() as u64 } else { 0 };
    let (number, previous, previous_end, oldest, salt) = (1, 0, 0, 1, SALT);
    let header = Header { number, previous, previous_end, oldest, created, salt, leftover };
    let mut bytes = header.encode().to_vec();
    for step in &script.steps {
        append(&mut Source::new(step), &mut bytes, SALT);
    }
    if leftover > 0 {
        bytes.extend(before.get(bytes.len()..).unwrap_or_default());
    }
    segment(&bytes);
    for step in &script.steps {
        damage(&mut Source::new(step), &mut bytes);
    }
    segment(&bytes);
    state(&bytes, input);
}

/// Adds a record, mostly a sound one.
fn append(source: &mut Source<'_>, bytes: &mut Vec<u8>, salt: u32) {
    let kind = source.below(10);
    let others = source.byte() % 4;
    let name = vec![b'q'; source.between(0, 3)];
    let id = source.edgy();
    let at = bytes.len();
    let mut push = |record: &Draft| bytes.extend(record.encode(salt, at as u64));
    match kind {
        0..=3 => {
            // A put, as the engine writes one, perhaps for several queues.
            let mut config = Config::default();
            if others > 1 {
                let named = (1..=usize::from(others)).map(|n| vec![b'o'; n].into());
                config.aliases.insert(name.clone().into(), named.collect());
            }
            let mut engine = Engine::new(config);
            let Ok(mut put) = PutBuilder::new(&name, UnixTime::from_millis(id)) else {
                return;
            };
            for _ in 0..source.between(1, 3) {
                let len = source.below(9);
                put.item(source.chance(1, 2).then(|| UnixTime::from_millis(7)), &vec![b'i'; len]);
            }
            engine.put(OpId(1), put.finish(), Now::default()).expect("there is room");
            let batch = engine.begin_append().expect("a put is to be written");
            assert_eq!(batch.len, batch.records.iter().map(Draft::len).sum::<u64>());
            assert!(batch.records.iter().all(|record| !record.is_empty()));
            bytes.extend(batch.encode(salt, at as u64).concat());
        }
        4 => push(&Draft::remove(id, name.into())),
        5 => push(&Draft::synced(id)),
        6 => {
            let len = source.below(60);
            if let Some(filler) = Draft::filler(len) {
                assert_eq!(filler.len(), len as u64);
                push(&filler);
            } else {
                assert!(len < record::HEADER);
                // Nor is a record ever as long as these.
                assert!([1 << 31, usize::MAX].map(Draft::filler) == [None, None]);
            }
        }
        _ => {
            // Sums that fit, over a body that may make no sense.
            let number = source.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 0]);
            let name_len = source.below(12);
            let len = source.below(20);
            let body: Vec<u8> = (0..len).map(|_| source.byte()).collect();
            let mut header = u32::try_from(body.len()).expect("short").to_le_bytes().to_vec();
            header.extend_from_slice(&reference::crc32(&body).to_le_bytes());
            header.extend_from_slice(&id.to_le_bytes());
            let others = others.saturating_sub(2);
            header.extend_from_slice(&[number, u8::try_from(name_len).expect("short"), others, 0]);
            header.extend_from_slice(&salt.to_le_bytes());
            let sum = reference::header_sum(&header, at);
            bytes.extend([&header[..], &sum.to_le_bytes(), &body].concat());
        }
    }
}

fn damage(source: &mut Source<'_>, bytes: &mut Vec<u8>) {
    let _ = source.byte();
    let kind = source.below(10);
    let len = bytes.len();
    let at = source.below(len.clamp(1, 65_536));
    match kind {
        0 => bytes.truncate(at),
        1 | 2 if at < len => bytes[at] ^= 1 << source.below(8),
        3 if at < len => drop(bytes.remove(at)),
        4 => bytes.insert(at, source.byte()),
        5 => bytes.extend_from_slice(&[0; 30][..source.below(30)]),
        _ => {}
    }
}

fn segment(bytes: &[u8]) {
    let parts = reference::parts(bytes);
    let salt = reference::salt(bytes);
    let mut visited = Vec::new();
    let found = scan(bytes, SegmentEnd::AtLeast(0), |offset, record| {
        assert_eq!(decode(&bytes[usize::try_from(offset).unwrap()..], salt, offset), Ok(record));
        if record.kind == Kind::Put {
            let items = reference::items(record.rest).expect("it is whole");
            assert_eq!(record::item_count(record.rest), items.len() as u64);
            let at = usize::try_from(offset).unwrap();
            let queues: Vec<_> = record.puts().collect();
            assert_eq!(queues, reference::queues(&bytes[at..at + record.len]));
        }
        let kind = match record.kind {
            Kind::Put => 1,
            Kind::Remove => 2,
            Kind::Discard => 3,
            Kind::Synced => 4,
            Kind::Filler => 5,
            Kind::Follow => 6,
            Kind::Unfollow => 7,
            _ => panic!("a kind that the reference does not know: {record:?}"),
        };
        visited.push((kind, record.id, record.len));
    });
    let records: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Record { range, kind, id } => Some((*kind, *id, range.1 - range.0)),
            Part::Bad(_) => None,
        })
        .collect();
    assert_eq!(visited, records);
    assert_eq!(found.salt, salt);
    assert_eq!(found.records, records.len() as u64);
    let header = Header::decode(bytes);
    assert_eq!(
        header.is_err(),
        matches!(found.damage.first(), Some(damage) if damage.range.start == 0)
    );
    header_holds(bytes, header);

    // The damage covers what is in no record, neither more nor less.
    let mut covered = vec![false; bytes.len()];
    for damage in &found.damage {
        assert!(!damage.to_string().is_empty());
        assert_eq!(Damage::new(damage.range.clone(), damage.what), *damage);
        if matches!(damage.what, What::SegmentHeader(_)) {
            continue;
        }
        let range = usize::try_from(damage.range.start).unwrap()
            ..usize::try_from(damage.range.end).unwrap();
        assert!(range.end <= bytes.len() && !range.is_empty(), "{damage}");
        covered[range].fill(true);
    }
    let mut expected = vec![false; bytes.len()];
    for part in &parts {
        if let Part::Bad((start, end)) = part {
            expected[*start..*end].fill(true);
        }
    }
    assert_eq!(covered, expected);
    let first = found.damage.first().map(|damage| damage.range.start);
    let behind = parts.iter().filter(|part| match part {
        Part::Record { range, .. } => first.is_some_and(|first| range.0 as u64 >= first),
        Part::Bad(_) => false,
    });
    assert_eq!(found.records_after_damage, behind.count() as u64);
    ends(bytes);
    recovery(bytes, &parts);
}

fn header_holds(bytes: &[u8], header: Result<Header, HeaderError>) {
    match header {
        Ok(header) => assert_eq!(header.encode()[..], bytes[..HEADER]),
        Err(bad) => {
            assert!(!bad.to_string().is_empty());
            assert_eq!(bad == HeaderError::Short, bytes.len() < HEADER);
        }
    }
}

/// A segment that is known to end elsewhere.
fn ends(bytes: &[u8]) {
    for end in [bytes.len() / 2, bytes.len() + 5] {
        let found = scan(bytes, SegmentEnd::At(end as u64), |_, _| {});
        let within = scan(&bytes[..end.min(bytes.len())], SegmentEnd::AtLeast(0), |_, _| {});
        let at_least = scan(bytes, SegmentEnd::AtLeast(end as u64), |_, _| {});
        assert_eq!(found.end, end as u64);
        if reference::header(bytes).is_some_and(|(_, leftover)| leftover > 0) {
            // What is known to be there is no leftover.
            assert!(end <= bytes.len() || at_least == found);
            continue;
        }
        assert_eq!(found.records, within.records);
        assert_eq!(found.synced, within.synced);
        if end > bytes.len() {
            let last = found.damage.last().expect("a segment that is too short is damaged");
            assert_eq!(last.range.end, end.max(HEADER) as u64);
            assert_eq!(at_least, found);
        } else {
            assert_eq!(found.damage, within.damage);
            assert_eq!(at_least, scan(bytes, SegmentEnd::AtLeast(0), |_, _| {}));
        }
    }
    let salt = reference::salt(bytes);
    for at in splits::places(bytes.len(), splits::seed(&bytes[..bytes.len().min(16)])) {
        let rest = &bytes[at..];
        match decode(rest, salt, at as u64) {
            Ok(record) => {
                for cut in 0..record.len {
                    assert_eq!(decode(&rest[..cut], salt, at as u64), Err(Broken::Short));
                }
            }
            Err(Broken::Body { len } | Broken::Meaning { len }) => assert!(len <= rest.len()),
            Err(_) => {}
        }
    }
}

/// What a recovery tells as torn is behind all that was known to be safe.
fn recovery(bytes: &[u8], parts: &[Part]) {
    let synced = parts.iter().filter_map(|part| match part {
        Part::Record { kind: 4, id, .. } => Some(*id),
        _ => None,
    });
    let safe = synced.max().unwrap_or(0).max(HEADER as u64);
    let mut recovery = Recovery::new();
    let report = recovery.segment(1, bytes, Place::LastOpen { synced: 0 });
    assert!(report.torn.iter().all(|damage| damage.range.start >= safe));
    assert!(report.damage.iter().all(|damage| damage.range.start < safe));
    let (mut engine, found) = recovery.finish(Config::default(), UnixTime::default());
    assert_eq!(found.records, report.records);
    assert_eq!(engine.stats().items, found.items);
    let synced = bytes.len() as u64 + 1;
    let known = Recovery::new().segment(1, bytes, Place::LastOpen { synced });
    assert!(known.torn.is_empty() && !known.damage.is_empty());
    let closed = Recovery::new().segment(1, bytes, Place::Closed { end: bytes.len() as u64 });
    assert!(closed.torn.is_empty());
    if reference::header(bytes).is_none_or(|(_, leftover)| leftover == 0) {
        assert_eq!(closed.damage.len(), report.torn.len() + report.damage.len());
        assert_eq!(report.end, bytes.len() as u64);
    }
    assert_eq!((report.salt, report.end <= bytes.len() as u64), (closed.salt, true));
    let get = engine.get(OpId(1), ConnId(1), b"no/name", Read::from(Action::Take), Now::default());
    let error = ReadError::Name(NameError::Byte(b'/'));
    assert_eq!(get, Some(OpOutcome::Error(error)));
    assert!(!error.to_string().is_empty());
}

/// A state file and a segment's header with sums that fit, whatever they say.
fn written_elsewhere(input: &[u8]) {
    let mut source = Source::new(input);
    let mut number = || source.edgy();
    let (oldest, segment, end) = (number(), number() % 3, number());
    let mut line =
        format!("windhover journal 1 oldest={oldest} clean_segment={segment} clean_end={end}");
    let whole = source.chance(3, 4);
    if !whole {
        let at = source.below(line.len());
        line.truncate(at);
    }
    let text = format!("{line} crc={:08x}\n", reference::crc32(line.as_bytes()));
    let clean = (segment != 0).then_some(Position { segment, end });
    let read = State::decode(text.as_bytes());
    if whole {
        assert_eq!(read, Some(State { oldest, clean }));
    } else {
        // The last number may be cut and still be one.
        assert!(read.is_none_or(|state| state.oldest == oldest), "{text}");
    }
    let created = UnixTime::from_millis(end);
    let (number, previous, previous_end, leftover) = (oldest, segment, end, oldest);
    let salt = u32::from_le_bytes(created.as_millis().to_le_bytes()[..4].try_into().unwrap());
    let header = Header { number, previous, previous_end, oldest, created, salt, leftover };
    let mut bytes = header.encode();
    bytes[7] = source.byte().wrapping_add(1);
    let sum = reference::crc32(&bytes[..60]);
    bytes[60..].copy_from_slice(&sum.to_le_bytes());
    let expected = if bytes[7] == 4 { Ok(header) } else { Err(HeaderError::Version(bytes[7])) };
    assert_eq!(Header::decode(&bytes), expected);
    if let Err(bad) = expected {
        assert!(!bad.to_string().is_empty());
    }
}

/// The state file is read as written and not otherwise; names are what they may be.
fn state(bytes: &[u8], input: &[u8]) {
    if let Some(state) = State::decode(input) {
        assert_eq!(state.encode().as_bytes(), input);
    }
    let mut text = State::default().encode().into_bytes();
    let at = splits::seed(bytes).to_le_bytes()[0] as usize % text.len();
    text[at] ^= 1 << (bytes.len() % 8);
    assert_eq!(Position::decode(&text), None);
    let line = format!("windhover synced 1 segment=1 end={}", input.escape_ascii());
    let other = format!("{line} crc={:08x}\n", reference::crc32(line.as_bytes()));
    let end = input.escape_ascii().to_string().parse().ok();
    let position = end.map(|end| Position { segment: 1, end });
    assert_eq!(Position::decode(other.as_bytes()), position);
    // The sum's digits may be in any case; else nothing of it may change.
    let read = State::decode(&text);
    assert!(read.is_none_or(|state| state == State::default()), "{}", text.escape_ascii());
    written_elsewhere(input);
    let name = &input[..input.len().min(260)];
    let legal = !name.is_empty()
        && name.len() <= 250
        && !(name.starts_with(b"+") || name.ends_with(b"+"))
        && name.iter().all(|&byte| byte > b' ' && byte != 0x7f && !b"/~.".contains(&byte));
    match check_name(name) {
        Ok(()) => assert!(legal),
        Err(bad) => assert!(!legal && !bad.to_string().is_empty()),
    }
    assert_eq!(PutBuilder::new(name, UnixTime::default()).is_ok(), legal);
}
