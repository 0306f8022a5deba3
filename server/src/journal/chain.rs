//! Which files of a journal's directory are its segments, in what order, and which are missing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use windhover_core::queue::segment::{Header, HeaderError};

use super::{JournalFault, NUMBERS, file_name};

/// A file that is named as a segment is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// By its name.
    pub(super) number: u64,
    pub(super) header: Result<Header, HeaderError>,
    /// Bytes of the file.
    pub(super) len: u64,
    /// It looks as a crash leaves a segment that was being begun.
    pub(super) unbegun: bool,
}

impl Found {
    fn is_in_place(&self) -> bool {
        self.header.is_ok_and(|header| header.number == self.number)
    }

    /// The number that its header gives to it.
    fn is(&self) -> Option<u64> {
        self.header.ok().map(|header| header.number).filter(|number| NUMBERS.contains(number))
    }

    /// The number that its header gives to a file of another name.
    fn belongs_to(&self) -> Option<u64> {
        self.is().filter(|number| *number != self.number)
    }
}

/// What is known of a journal without its segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Segments before this one are not needed.
    pub(super) oldest: u64,
    /// The last segment that anything was written to, and where it ended at least.
    pub(super) last: Option<(u64, u64)>,
}

/// A segment that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    /// The number in its file's name: another one when files were swapped.
    pub(super) file: u64,
    /// Bytes of the file.
    pub(super) len: u64,
    pub(super) header: Option<Header>,
}

/// The segments of a journal.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Oldest first.
    pub(super) links: Vec<Link>,
    /// Segments that are not needed any more, but not yet deleted.
    pub(super) stale: Vec<u64>,
    /// Files of segments that a crash kept from being begun: nothing was ever acknowledged by
    /// them, since a segment's header is synced before anything else is written.
    pub(super) unbegun: Vec<u64>,
    /// Files that stand where a segment of the journal should.
    pub(super) intruders: Vec<u64>,
    /// Files that are not the journal's, though named like a segment.
    pub(super) foreign: Vec<String>,
    pub(super) faults: Vec<JournalFault>,
}

impl Chain {
    /// Orders those files, which come by rising number.
    pub(super) fn of(found: &[Found], known: Known) -> Self {
        let Known { oldest, .. } = known;
        let last = last(found, known);
        let needed = |number: u64| number >= oldest && last.is_some_and(|last| number <= last);
        let mut places: BTreeMap<u64, &Found> = BTreeMap::new();
        let mut chain = Self::default();
        for file in found.iter().filter(|file| file.is_in_place() && needed(file.number)) {
            places.insert(file.number, file);
        }
        for file in found {
            if let Some(is) = file.belongs_to()
                && needed(is)
                && !places.contains_key(&is)
            {
                places.insert(is, file);
                chain.faults.push(JournalFault::Misnamed { number: file.number, is });
            }
        }
        let passed_over = passed_over(&places);
        let needed = |number: u64| {
            needed(number) && !passed_over.iter().any(|range| range.contains(&number))
        };
        for file in found.iter().filter(|file| file.header.is_err() && needed(file.number)) {
            places.entry(file.number).or_insert(file);
        }
        let follows = last.map_or(oldest, |last| last.saturating_add(1));
        for file in found {
            let number = file.number;
            if places.values().any(|placed| placed.number == number) {
                continue;
            }
            if number < oldest && file.is_in_place() {
                chain.stale.push(number);
            } else if needed(number) {
                chain.intruders.push(number);
                if let Some(is) = file.belongs_to() {
                    chain.faults.push(JournalFault::Misnamed { number, is });
                }
            } else if number == follows && file.unbegun {
                chain.unbegun.push(number);
            } else {
                chain.foreign.push(file_name(number));
            }
        }
        chain.links = places
            .into_iter()
            .map(|(number, file)| Link {
                number,
                file: file.number,
                len: file.len,
                header: file.header.ok(),
            })
            .collect();
        chain.find_gaps(known);
        chain
    }

    /// Each segment names the one before it; what names none is taken to follow the next number.
    fn find_gaps(&mut self, known: Known) {
        let mut before = known.oldest.saturating_sub(1);
        for link in &self.links {
            let (previous, end) = match link.header {
                Some(header) => (header.previous, Some(header.previous_end)),
                None => (link.number - 1, None),
            };
            if previous > before {
                let first = before + 1;
                self.faults.push(JournalFault::Missing { first, last: previous, end });
            }
            before = link.number;
        }
        if let Some((last, end)) = known.last.filter(|(last, _)| *last > before) {
            let first = before + 1;
            self.faults.push(JournalFault::Missing { first, last, end: Some(end) });
        }
    }

    /// Where the segments end that another one follows and tells of, by number.
    pub(super) fn ends(&self) -> BTreeMap<u64, u64> {
        let headers = self.links.iter().filter_map(|link| link.header);
        headers.map(|header| (header.previous, header.previous_end)).collect()
    }
}

/// Numbers between segments that follow each other: given to no segment, since somebody else's file
/// had the name, or given up in a repair.
fn passed_over(places: &BTreeMap<u64, &Found>) -> Vec<RangeInclusive<u64>> {
    let headers = places.values().filter_map(|file| file.header.ok());
    headers.map(|header| header.previous.saturating_add(1)..=header.number - 1).collect()
}

/// The last segment that the journal is known to have had.
fn last(found: &[Found], known: Known) -> Option<u64> {
    // Nothing is written to a segment before the file `synced` names it: what follows behind is one
    // that was only begun, and anything else is not this journal's.
    if let Some((last, _)) = known.last {
        return Some(follow(last, found, |file, last| {
            file.is_in_place() && file.header.is_ok_and(|header| header.previous == last)
        }));
    }
    // Without a word on the end, what follows is taken for a segment, be it damaged.
    let whole = found.iter().filter_map(Found::is).max();
    let before = whole.unwrap_or(known.oldest.saturating_sub(1));
    let last = follow(before, found, |file, last| !file.unbegun && file.number - 1 == last);
    (last >= known.oldest).then_some(last)
}

/// The last of the files behind that number of which each `follows` the one before.
fn follow(last: u64, found: &[Found], follows: impl Fn(&Found, u64) -> bool) -> u64 {
    let behind = found.iter().filter(|file| file.number > last);
    behind.fold(last, |last, file| if follows(file, last) { file.number } else { last })
}

#[cfg(test)]
mod tests {
    use windhover_core::UnixTime;

    use super::*;

    fn segment(number: u64, is: u64) -> Found {
        let header = Header {
            number: is,
            previous: is - 1,
            previous_end: 100,
            oldest: 1,
            created: UnixTime::default(),
            salt: 7,
            leftover: 0,
        };
        Found { number, header: Ok(header), len: 100, unbegun: false }
    }

    fn junk(number: u64) -> Found {
        Found { number, header: Err(HeaderError::Magic), len: 100, unbegun: false }
    }

    fn known(last: u64) -> Known {
        Known { oldest: 1, last: Some((last, 64)) }
    }

    fn order(chain: &Chain) -> Vec<(u64, u64)> {
        chain.links.iter().map(|link| (link.number, link.file)).collect()
    }

    #[test]
    fn a_gap_is_a_range_however_wide() {
        let chain = Chain::of(&[segment(1, 1)], known(1 << 62));
        let missing = JournalFault::Missing { first: 2, last: 1 << 62, end: Some(64) };
        assert_eq!(chain.faults, [missing]);
        let unknown = Known { oldest: 1, last: None };
        let chain = Chain::of(&[segment(1, 1), segment(1 << 62, 1 << 62)], unknown);
        let missing = JournalFault::Missing { first: 2, last: (1 << 62) - 1, end: Some(100) };
        assert_eq!(chain.faults, [missing]);
    }

    #[test]
    fn what_was_never_a_segment_of_this_journal_is_foreign_behind_its_end() {
        for stray in [junk(1000), segment(1000, 2), segment(1000, 1000), segment(1000, 7)] {
            let chain = Chain::of(&[segment(1, 1), segment(2, 2), stray], known(2));
            assert_eq!(chain.faults, []);
            assert_eq!(order(&chain), [(1, 1), (2, 2)]);
            assert_eq!(chain.foreign, [file_name(stray.number)]);
        }
    }

    #[test]
    fn swapped_files_are_told_by_their_headers() {
        let found = [segment(1, 1), segment(2, 3), segment(3, 2)];
        let chain = Chain::of(&found, known(3));
        assert_eq!(order(&chain), [(1, 1), (2, 3), (3, 2)]);
        let misnamed = |number, is| JournalFault::Misnamed { number, is };
        assert_eq!(chain.faults, [misnamed(2, 3), misnamed(3, 2)]);
    }

    #[test]
    fn a_copy_over_another_segment_leaves_that_one_missing() {
        let found = [segment(1, 1), segment(2, 3), segment(3, 3)];
        let chain = Chain::of(&found, known(3));
        assert_eq!(order(&chain), [(1, 1), (3, 3)]);
        assert_eq!(chain.intruders, [2]);
        let missing = JournalFault::Missing { first: 2, last: 2, end: Some(100) };
        assert_eq!(chain.faults, [JournalFault::Misnamed { number: 2, is: 3 }, missing]);
    }

    #[test]
    fn a_segment_of_which_only_the_file_was_made_is_no_fault() {
        let begun = Found { number: 3, header: Err(HeaderError::Short), len: 0, unbegun: true };
        let chain = Chain::of(&[segment(1, 1), segment(2, 2), begun], known(2));
        assert_eq!((chain.faults.len(), &chain.unbegun[..]), (0, &[3][..]));
        // But for one that is known to have been written to.
        let chain = Chain::of(&[segment(1, 1), segment(2, 2), begun], known(3));
        assert_eq!((order(&chain).len(), chain.unbegun.len()), (3, 0));
    }

    #[test]
    fn a_journal_of_unknown_end_goes_as_far_as_its_numbers() {
        let known = Known { oldest: 1, last: None };
        let chain = Chain::of(&[segment(1, 1), junk(2), junk(5)], known);
        assert_eq!(order(&chain), [(1, 1), (2, 2)]);
        assert_eq!(chain.foreign, [file_name(5)]);
    }
}
