//! What a backup has to copy: pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::manifest::{Manifest, ManifestSegment, Part};
use crate::journal::{Snapshot, SnapshotSegment};

/// A closed segment of more parts is copied once more, as one: it was shipped little by little, and a restore
/// should not pay for that for ever.
pub const MAX_PARTS: usize = 32;

/// What is at the destination already, by the segment's number.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<u64, ManifestSegment>);

impl Known {
    /// What that backup has.
    pub fn of(manifest: Option<&Manifest>) -> Self {
        let segments = manifest.into_iter().flat_map(|manifest| &manifest.segments);
        Self(segments.map(|segment| (segment.number, segment.clone())).collect())
    }

    /// Takes note of what was sent.
    pub fn insert(&mut self, segment: &SnapshotSegment, parts: Vec<Part>) {
        let segment = described(segment, parts);
        self.0.insert(segment.number, segment);
    }
}

/// What has to be done for one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The segment.
    pub segment: SnapshotSegment,
    /// The parts that are there.
    pub known: Vec<Part>,
    /// What has to be copied behind them; empty when there is nothing.
    pub copy: Range<u64>,
}

/// What has to be done so that the destination has all of `snapshot`, oldest first.
pub fn plan(snapshot: &Snapshot, known: &Known) -> Vec<Step> {
    let step = |(at, segment): (usize, &SnapshotSegment)| {
        let is_open = at + 1 == snapshot.segments.len();
        let same = known.0.get(&segment.header.number).filter(|known| known.is(segment));
        let parts = same.map_or(&[][..], |known| &known.parts);
        // After a restore from an earlier backup, the segment may have ended before it did there.
        let within = parts.iter().take_while(|part| part.end <= segment.end);
        let mut known: Vec<Part> = within.cloned().collect();
        if known.len() > MAX_PARTS && !is_open {
            known.clear();
        }
        let copy = known.last().map_or(0, |part| part.end)..segment.end;
        Step { segment: *segment, known, copy }
    };
    snapshot.segments.iter().enumerate().map(step).collect()
}

/// Whether a journal is the one, further on, that a backup is of, as far as its segments tell: they have one in
/// common, or all that the backup has were given up since; and there are none of one number and two lives.
pub fn is_same_journal(backup: &Manifest, snapshot: &Snapshot) -> bool {
    let known = Known::of(Some(backup));
    let mut shares = false;
    for segment in &snapshot.segments {
        match known.0.get(&segment.header.number) {
            Some(known) if known.salt != segment.header.salt => return false,
            Some(_) => shares = true,
            None => {}
        }
    }
    shares || snapshot.oldest > backup.cut.segment || backup.segments.is_empty()
}

/// What a manifest says of a segment with these parts.
pub fn described(segment: &SnapshotSegment, parts: Vec<Part>) -> ManifestSegment {
    let header = segment.header;
    ManifestSegment {
        number: header.number,
        salt: header.salt,
        previous: header.previous,
        previous_end: header.previous_end,
        created: header.created.as_millis(),
        parts,
    }
}

#[cfg(test)]
mod tests {
    use windhover_core::UnixTime;
    use windhover_core::queue::segment::Header;
    use windhover_core::queue::state::Position;

    use super::super::manifest::Cut;
    use super::*;

    fn segment(number: u64, end: u64) -> SnapshotSegment {
        let header = Header {
            number,
            previous: number - 1,
            previous_end: 1000,
            oldest: 1,
            created: UnixTime::from_secs(1),
            salt: 7,
            leftover: 0,
        };
        SnapshotSegment { header, end }
    }

    fn snapshot(first: u64, last: u64, end: u64) -> Snapshot {
        let segments =
            (first..=last).map(|number| segment(number, if number == last { end } else { 1000 }));
        let cut = Position { segment: last, end };
        Snapshot { oldest: first, cut, segments: segments.collect() }
    }

    fn part(end: u64) -> Part {
        Part { end, object: format!("{}-1", "0".repeat(64)), stored: 1, records: 1 }
    }

    /// A backup that has all of a snapshot.
    fn backup(snapshot: &Snapshot) -> Manifest {
        let segments =
            snapshot.segments.iter().map(|segment| described(segment, vec![part(segment.end)]));
        Manifest {
            oldest: snapshot.oldest,
            cut: Cut { segment: snapshot.cut.segment, offset: snapshot.cut.end },
            segments: segments.collect(),
            ..Manifest::new(1, "id".to_owned(), 1)
        }
    }

    fn copies(snapshot: &Snapshot, known: &Known) -> Vec<(u64, Range<u64>)> {
        let steps = plan(snapshot, known).into_iter().filter(|step| !step.copy.is_empty());
        steps.map(|step| (step.segment.header.number, step.copy)).collect()
    }

    #[test]
    fn the_first_backup_copies_all_and_the_next_what_is_new() {
        let first = snapshot(1, 3, 500);
        let all = vec![(1, 0..1000), (2, 0..1000), (3, 0..500)];
        assert_eq!(copies(&first, &Known::default()), all);

        let known = Known::of(Some(&backup(&first)));
        assert_eq!(copies(&first, &known), []);
        assert_eq!(copies(&snapshot(2, 3, 600), &known), [(3, 500..600)]);
        assert_eq!(copies(&snapshot(3, 4, 200), &known), [(3, 500..1000), (4, 0..200)]);
    }

    #[test]
    fn another_life_of_a_segment_is_another_segment() {
        let first = snapshot(1, 2, 500);
        let known = Known::of(Some(&backup(&first)));
        let mut later = snapshot(1, 2, 600);
        later.segments[1].header.salt = 8;
        assert_eq!(copies(&later, &known), [(2, 0..600)]);
    }

    #[test]
    fn what_was_shipped_in_many_parts_is_copied_as_one_when_it_is_closed() {
        let mut known = Known::default();
        let parts = (1..=MAX_PARTS as u64 + 1).map(|n| part(64 + n)).collect();
        known.insert(&segment(1, 1000), parts);
        let open = snapshot(1, 1, 500);
        assert_eq!(copies(&open, &known), [(1, 64 + MAX_PARTS as u64 + 1..500)]);
        let closed = snapshot(1, 2, 64);
        assert_eq!(copies(&closed, &known), [(1, 0..1000), (2, 0..64)]);
    }

    #[test]
    fn a_segment_that_ends_before_it_did_there_keeps_the_parts_that_it_has() {
        let mut known = Known::default();
        known.insert(&segment(1, 1000), vec![part(400), part(800)]);
        assert_eq!(copies(&snapshot(1, 1, 600), &known), [(1, 400..600)]);
    }

    #[test]
    fn another_journal_is_told_by_its_segments() {
        let first = backup(&snapshot(3, 5, 500));
        assert!(is_same_journal(&first, &snapshot(4, 6, 100)));
        // All that it has were given up since.
        assert!(is_same_journal(&first, &snapshot(6, 7, 100)));
        // Nothing in common, and it does not come later.
        assert!(!is_same_journal(&first, &snapshot(1, 2, 100)));
        let mut other = snapshot(3, 5, 500);
        other.segments[2].header.salt = 8;
        assert!(!is_same_journal(&first, &other));
    }
}
