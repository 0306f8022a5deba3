//! A journal in memory.

use windhover_core::queue::segment::Header;
use windhover_core::queue::{
    Engine, EngineOutput, JournalRead, OpOutcome, Place, ReadBack, ReadBackError, Recovery, Written,
};
use windhover_core::{Now, UnixTime};

/// The salt of a segment's records.
pub(crate) fn salt(segment: u64) -> u32 {
    u32::try_from(segment).unwrap() + 100
}

/// Segments, of which the first has the number 1 and the last is written to.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) segments: Vec<Vec<u8>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let mut journal = Self::default();
        journal.rotate();
        journal
    }

    pub(crate) fn rotate(&mut self) {
        let number = self.segments.len() as u64 + 1;
        let (created, salt) = (UnixTime::default(), salt(number));
        let (previous, previous_end, leftover) = (0, 0, 0);
        let header = Header { number, previous, previous_end, oldest: 1, created, salt, leftover };
        self.segments.push(header.encode().to_vec());
    }

    pub(crate) fn active(&self) -> u64 {
        self.segments.len() as u64
    }

    pub(crate) fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len() as u64).sum()
    }

    /// Writes what waits; whether anything did.
    pub(crate) fn commit(&mut self, engine: &mut Engine, now: Now) -> bool {
        let Some(batch) = engine.begin_append() else {
            return false;
        };
        let number = self.active();
        let segment = self.segments.last_mut().unwrap();
        let offset = segment.len() as u64;
        segment.extend(batch.encode(salt(number), offset).concat());
        engine.journaled(batch, Ok(Written { segment: number, offset }), now);
        true
    }

    pub(crate) fn read(&self, read: &JournalRead) -> Result<ReadBack, ReadBackError> {
        let segment = &self.segments[usize::try_from(read.segment()).unwrap() - 1];
        let within = |at: u64| usize::try_from(at).unwrap();
        let bytes = &segment[within(read.range().start)..within(read.range().end)];
        read.decode(salt(read.segment()), bytes)
    }

    /// Reads what the engine asks for; what else it had to say.
    pub(crate) fn serve(&self, engine: &mut Engine, now: Now) -> Vec<(u64, OpOutcome)> {
        let mut done = vec![];
        loop {
            match engine.poll_output(now) {
                EngineOutput::Done { op, outcome } => done.push((op.0, outcome)),
                EngineOutput::Read(read) => {
                    assert!(
                        engine.read_back(&read, self.read(&read), now),
                        "nobody wanted {read:?}"
                    );
                }
                _ => return done,
            }
        }
    }

    /// Reads all segments, and in a second pass what the recovery asks for.
    pub(crate) fn recover(&self, mut recovery: Recovery) -> Recovery {
        for (number, bytes) in (1..).zip(&self.segments) {
            let report = recovery.segment(number, bytes, Place::LastOpen { synced: 0 });
            assert!(report.damage.is_empty() && report.torn.is_empty(), "{report:?}");
        }
        while let Some(read) = recovery.next_read() {
            let found = self.read(&read).unwrap();
            recovery.read_back(&read, found);
        }
        recovery
    }
}
