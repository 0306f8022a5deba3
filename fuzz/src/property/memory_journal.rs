//! A journal in memory that fails and is cut as files are.

use windhover_core::UnixTime;
use windhover_core::queue::segment::{HEADER, Header};
use windhover_core::queue::state::{Position, State};
use windhover_core::queue::{
    Engine, Index, JournalBatch, JournalRead, Place, ReadBack, ReadBackError, Recovery, Written,
    record,
};

/// The salt of a segment's records.
fn salt(segment: u64) -> u32 {
    u32::try_from(segment).expect("few segments") + 1000
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: Vec<u8>,
    /// What stands behind it was never promised.
    end: usize,
}

/// The segments that are needed, oldest first; the last is written to.
#[derive(Debug)]
pub(super) struct Journal {
    segments: Vec<Segment>,
}

impl Journal {
    pub(super) fn new() -> Self {
        let mut journal = Self { segments: Vec::new() };
        journal.rotate(0);
        journal
    }

    pub(super) fn active(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.number)
    }

    pub(super) fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end as u64).sum()
    }

    /// Begins another segment.
    pub(super) fn rotate(&mut self, created: u64) {
        let (previous, previous_end) =
            self.segments.last().map_or((0, 0), |last| (last.number, last.end as u64));
        let number = previous + 1;
        let oldest = self.segments.first().map_or(1, |first| first.number);
        let created = UnixTime::from_millis(created);
        let (salt, leftover) = (salt(number), 0);
        let header = Header { number, previous, previous_end, oldest, created, salt, leftover };
        let bytes = header.encode().to_vec();
        assert_eq!(Header::decode(&bytes), Ok(header));
        self.segments.push(Segment { number, end: bytes.len(), bytes });
    }

    /// A batch as it stands at the journal's end.
    pub(super) fn encode(&self, batch: &JournalBatch) -> Vec<u8> {
        let last = self.segments.last().expect("there is always one");
        batch.encode(salt(last.number), last.end as u64).concat()
    }

    /// Appends a batch; where it stands.
    pub(super) fn append(&mut self, batch: &[u8]) -> Written {
        let last = self.segments.last_mut().expect("there is always one");
        let written = Written { segment: last.number, offset: last.end as u64 };
        last.bytes.truncate(last.end);
        last.bytes.extend_from_slice(batch);
        last.end = last.bytes.len();
        written
    }

    /// The first segment that there is.
    pub(super) fn oldest(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.number)
    }

    /// The index of an engine that was told of all that is here.
    pub(super) fn index(&self, engine: &mut Engine) -> Index {
        let last = self.segments.last().expect("there is always one");
        let at = Position { segment: last.number, end: last.end as u64 };
        let index = engine.index(at, salt(last.number));
        assert_eq!(Index::decode(&index.encode()).as_ref(), Ok(&index));
        assert_eq!((index.at(), index.salt()), (at, salt(last.number)));
        assert!(index.stretches().all(|stretch| stretch <= (at.segment, at.end)));
        index
    }

    /// Reads what was asked for; `torn` stands behind the end.
    pub(super) fn read(&self, read: &JournalRead, torn: &[u8]) -> Result<ReadBack, ReadBackError> {
        let found = self.segments.iter().find(|segment| segment.number == read.segment());
        let segment = found.expect("a segment that is needed");
        let is_last = segment.number == self.active();
        let bytes = [&segment.bytes[..segment.end], if is_last { torn } else { &[] }].concat();
        let within = |at: u64| usize::try_from(at).expect("small");
        let range = within(read.range().start)..within(read.range().end);
        assert!(range.end <= bytes.len(), "behind the end");
        let salt = salt(segment.number);
        for cut in [range.start, range.start.midpoint(range.end), range.end - 1] {
            let error = read.decode(salt, &bytes[range.start..cut]).expect_err("it is cut");
            assert!(crate::property::tells(&error));
        }
        assert!(read.decode(salt ^ 1, &bytes[range.clone()]).is_err());
        read.decode(salt, &bytes[range])
    }

    /// Fails to append a batch: some of it may be in the file, behind the end. The next one begins
    /// another segment.
    pub(super) fn fail(&mut self, batch: &[u8], written: usize, created: u64) {
        let last = self.segments.last_mut().expect("there is always one");
        last.bytes.extend_from_slice(&batch[..written.min(batch.len())]);
        self.rotate(created);
    }

    /// Deletes the segments before that one.
    pub(super) fn forget_before(&mut self, needed: u64) {
        assert!(needed <= self.active(), "the active segment is always needed");
        self.segments.retain(|segment| segment.number >= needed);
    }

    /// Reads it all after a crash that left `torn` at the end, or after a clean stop.
    pub(super) fn recover(&self, recovery: &mut Recovery, torn: &[u8], clean: bool) {
        for (at, segment) in self.segments.iter().enumerate() {
            let (bytes, place) = match self.segments.get(at + 1) {
                Some(next) => {
                    let header = Header::decode(&next.bytes).expect("it was written so");
                    (segment.bytes.clone(), Place::Closed { end: header.previous_end })
                }
                None => {
                    let end = Position { segment: segment.number, end: segment.end as u64 };
                    let state = State { oldest: 1, clean: clean.then_some(end) };
                    let read = State::decode(state.encode().as_bytes()).expect("it was written so");
                    assert_eq!(read, state);
                    let bytes = [&segment.bytes[..segment.end], torn].concat();
                    // All of it was acknowledged, and so synced.
                    let synced = Position::decode(end.encode().as_bytes());
                    assert_eq!(synced, Some(end));
                    let open = Place::LastOpen { synced: end.end };
                    (bytes, read.clean.map_or(open, |clean| Place::LastClean { end: clean.end }))
                }
            };
            let report = recovery.segment(segment.number, &bytes, place);
            assert!(report.damage.is_empty(), "{:?}", report.damage);
            assert_eq!(report.records_after_damage, 0);
            if torn.is_empty() {
                assert!(report.torn.is_empty(), "{:?}", report.torn);
            }
        }
        while let Some(read) = recovery.next_read() {
            let found = self.read(&read, torn).expect("it was whole");
            recovery.read_back(&read, found);
        }
    }

    /// Goes on after a recovery: whole records of the torn end have come to life, the rest is cut.
    pub(super) fn go_on(&mut self, torn: &[u8], created: u64) {
        let last = self.segments.last_mut().expect("there is always one");
        let mut whole = 0;
        while let Some(rest) = torn.get(whole..)
            && let offset = (last.end + whole) as u64
            && let Ok(record) = record::decode(rest, salt(last.number), offset)
        {
            whole += record.len;
        }
        assert!(last.end >= HEADER);
        last.bytes.truncate(last.end);
        last.bytes.extend_from_slice(&torn[..whole]);
        last.end = last.bytes.len();
        self.rotate(created);
    }
}
