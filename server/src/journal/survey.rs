//! What is in a journal's directory: read, checked, not changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use windhover_core::queue::segment::{Damage, HEADER, Header, HeaderError, MAGIC, What};
use windhover_core::queue::state::{Position, State};
use windhover_core::queue::{Index, Place, Recovery};

use super::chain::{Chain, Found, Known, Link};
use super::index::{INDEX, NEW_INDEX};
use super::reader::{JournalReader, ReaderError};
use super::spares::{Spare, spare_number};
use super::{Directory, Entry, JournalFault, OpenError, STATE, SYNCED, file_name, file_number};

/// A segment that was read.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) link: Link,
    /// Bytes of the file.
    pub(super) len: u64,
    /// Where its bytes end; behind that the file may hold what an earlier life or a failed write left.
    pub(super) end: u64,
    pub(super) salt: u32,
    /// What was once whole.
    pub(super) damage: Vec<Damage>,
    /// Unfinished writes at the journal's end.
    pub(super) torn: Vec<Damage>,
}

impl Segment {
    /// One that an index tells of, and that is there as long as it must be ([`find_index`]).
    fn unread(link: Link, ends: &BTreeMap<u64, u64>) -> Self {
        let end = ends.get(&link.number).copied().unwrap_or(link.len);
        let salt = link.header.map_or(0, |header| header.salt);
        Self { link, len: link.len, end, salt, damage: Vec::new(), torn: Vec::new() }
    }
}

/// What is known of where a journal ends.
#[derive(Clone, Copy, Debug)]
struct End {
    known: Option<Position>,
    /// By the word of a clean stop.
    is_clean: bool,
}

/// The index of a journal, if it fits the segments that there are.
fn find_index<D: Directory>(directory: &D, chain: &Chain) -> Result<Index, String> {
    let bytes = directory.read(INDEX).map_err(|error| error.to_string())?;
    let index = Index::decode(&bytes).map_err(|error| error.to_string())?;
    let at = index.at();
    let ends = chain.ends();
    // What another segment follows is as long as that one says.
    let mut known: BTreeMap<u64, u64> = BTreeMap::from([(at.segment, at.end)]);
    for link in chain.links.iter().filter(|link| link.number < at.segment) {
        match (link.header, ends.get(&link.number)) {
            (Some(_), Some(&end)) if link.len >= end => drop(known.insert(link.number, end)),
            _ => return Err(format!("{} is too short", file_name(link.number))),
        }
    }
    let told_of = chain.links.iter().find(|link| link.number == at.segment);
    if told_of.and_then(|link| link.header).is_none_or(|header| header.salt != index.salt()) {
        return Err("it tells of a segment that is not there".to_owned());
    }
    let oldest = chain.links.first().map_or(0, |link| link.number);
    let is_there =
        |(segment, end)| segment < oldest || known.get(&segment).is_some_and(|there| *there >= end);
    if !index.stretches().all(is_there) {
        return Err("it tells of more than there is".to_owned());
    }
    Ok(index)
}

/// What is in a journal's directory, read but not changed.
pub(super) struct Survey {
    pub(super) state: Option<State>,
    /// What the file `synced` says.
    pub(super) synced: Option<Position>,
    /// Nothing says how far the journal went, so that a missing end would not be noticed.
    pub(super) end_unknown: bool,
    /// The content of the file `synced`, when nobody can read it.
    pub(super) unreadable_synced: Option<Vec<u8>>,
    /// The segments that are there and needed, oldest first.
    pub(super) segments: Vec<Segment>,
    pub(super) oldest: u64,
    /// See [`Chain::stale`].
    pub(super) stale: Vec<u64>,
    /// See [`Chain::unbegun`].
    pub(super) unbegun: Vec<u64>,
    /// See [`Chain::intruders`].
    pub(super) intruders: Vec<u64>,
    pub(super) foreign: Vec<String>,
    /// Folders, pipes and the like under the names of the journal's small files: see [`make_way`].
    pub(super) in_the_way: Vec<String>,
    pub(super) spares: Vec<Spare>,
    pub(super) faults: Vec<JournalFault>,
    pub(super) recovery: Recovery,
    /// Segments that were read as a whole; of the others an index told.
    pub(super) read: usize,
    /// Why the index could not be used.
    pub(super) bad_index: Option<String>,
}

/// How a journal is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct HowToRead {
    /// Most bytes of items kept in memory.
    pub(super) memory: u64,
    /// A journal of more bytes is read with the help of its index.
    pub(super) index_from: u64,
}

impl HowToRead {
    /// Every byte.
    pub(super) const WHOLE: Self = Self { memory: 64 * 1024 * 1024, index_from: u64::MAX };
}

/// Makes an error of the file system's one that names the file.
pub(super) fn in_file(path: PathBuf) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { path, source }
}

/// Gives what is no file, and stands where one of the journal's small files belongs, another name: whoever opened a
/// pipe would wait for ever. The names that they have now.
pub(super) fn make_way<D: Directory>(
    directory: &D,
    in_the_way: &[String],
) -> Result<Vec<String>, OpenError> {
    let failed = || in_file(directory.path().to_owned());
    if in_the_way.is_empty() {
        return Ok(Vec::new());
    }
    let mut taken: BTreeSet<String> =
        directory.list().map_err(failed())?.into_iter().map(|entry| entry.name).collect();
    let mut moved = Vec::new();
    for name in in_the_way {
        let free = (1..).map(|n: u64| format!("{name}.foreign-{n}"));
        let Some(to) = free.into_iter().find(|name| !taken.contains(name)) else { continue };
        directory.rename(name, &to).map_err(in_file(directory.path().join(name)))?;
        taken.insert(to.clone());
        moved.push(to);
    }
    directory.sync().map_err(failed())?;
    Ok(moved)
}

/// Whether a file that starts so is what a crash leaves of a segment that was being begun: no more
/// than the header, of which any part may be missing or zero.
fn is_unbegun(start: &[u8]) -> bool {
    let parts = start.iter().zip(MAGIC);
    start.len() <= HEADER && parts.into_iter().all(|(&byte, magic)| byte == 0 || byte == magic)
}

/// The files of a journal's directory, by kind.
#[derive(Debug, Default)]
struct Listing {
    /// The content of the state file.
    state: Option<Vec<u8>>,
    /// What the file `synced` says, and its content when it says nothing.
    synced: Option<Position>,
    unreadable_synced: Option<Vec<u8>>,
    /// By rising number.
    found: Vec<Found>,
    spares: Vec<Spare>,
    foreign: Vec<String>,
    /// Folders, pipes and the like under the names of the journal's small files.
    in_the_way: Vec<String>,
}

impl Listing {
    fn read<D: Directory>(directory: &D) -> Result<Self, OpenError> {
        let mut listing = Self::default();
        for Entry { name, is_file, len } in
            directory.list().map_err(in_file(directory.path().to_owned()))?
        {
            let fail = || in_file(directory.path().join(&name));
            match file_number(&name).filter(|_| is_file) {
                Some(number) => {
                    let start = directory.read_start(&name, HEADER + 1).map_err(fail())?;
                    let header = Header::decode(&start);
                    if let Err(bad @ HeaderError::Version(_)) = header {
                        let path = directory.path().join(&name);
                        return Err(OpenError::OtherVersion {
                            path,
                            what: What::SegmentHeader(bad),
                        });
                    }
                    let unbegun = header.is_err() && is_unbegun(&start);
                    listing.found.push(Found { number, header, len, unbegun });
                }
                None if !is_file && [STATE, SYNCED, INDEX, NEW_INDEX].contains(&&*name) => {
                    listing.in_the_way.push(name);
                }
                None if !is_file => listing.foreign.push(name),
                None if name == STATE => {
                    listing.state = Some(directory.read(&name).map_err(fail())?);
                }
                None if name == SYNCED => {
                    let content = directory.read(&name).map_err(fail())?;
                    listing.synced = Position::decode(&content);
                    listing.unreadable_synced = listing.synced.is_none().then_some(content);
                }
                None if name == INDEX || name == NEW_INDEX => {}
                None => match spare_number(&name) {
                    Some(number) => listing.spares.push(Spare::new(number, len)),
                    None => listing.foreign.push(name),
                },
            }
        }
        listing.found.sort_unstable_by_key(|file| file.number);
        Ok(listing)
    }

    /// The oldest segment that is needed, when the state file does not say: what the segments
    /// themselves say, or else the first one that is there.
    fn oldest(&self) -> u64 {
        let headers = self.found.iter().filter_map(|file| file.header.ok());
        let said = headers.map(|header| header.oldest).max();
        said.or_else(|| self.found.first().map(|file| file.number)).unwrap_or(1).max(1)
    }
}

impl Survey {
    /// Reads the journal: what its index does not tell, where it has one that fits and is large; else all of it.
    pub(super) fn read<D: Directory>(directory: &D, how: HowToRead) -> Result<Self, OpenError> {
        let (mut survey, chain, end) = Self::list(directory)?;
        let bytes: u64 = chain.links.iter().map(|link| link.len).sum();
        if bytes > how.index_from && survey.faults.is_empty() {
            match survey.read_behind_index(directory, &chain, end, how)? {
                Ok(()) => return Ok(survey),
                Err(why) => survey.bad_index = Some(why),
            }
            survey.segments.clear();
            survey.faults.clear();
        }
        survey.recovery = Recovery::with_memory(how.memory);
        survey.read_segments(directory, &chain, end, 0)?;
        survey.refuse_other_versions(directory)?;
        match survey.sort_out(directory) {
            // Where the journal is damaged, nothing is done with it but to count.
            Err(error) if survey.faults.is_empty() => {
                let (path, source) = (directory.path().to_owned(), io::Error::other(error));
                Err(OpenError::Io { path, source })
            }
            _ => Ok(survey),
        }
    }

    /// Reads the segments of that chain, which may be given up meanwhile, up to `cut`. `None` when there is no
    /// index that fits and not all of it is to be read.
    pub(super) fn at_cut<D: Directory>(
        directory: &D,
        chain: &Chain,
        oldest: u64,
        cut: Position,
        how: HowToRead,
        may_read_all: bool,
    ) -> Result<Option<Self>, OpenError> {
        let mut survey = Self::unread(oldest);
        let end = End { known: Some(cut), is_clean: true };
        let bytes: u64 = chain.links.iter().map(|link| link.len).sum();
        if bytes > how.index_from {
            if survey.read_behind_index(directory, chain, end, how)?.is_ok() {
                return Ok(Some(survey));
            }
            survey = Self::unread(oldest);
        }
        if !may_read_all {
            return Ok(None);
        }
        survey.recovery = Recovery::with_memory(how.memory);
        survey.read_segments(directory, chain, end, 0)?;
        Ok(survey.sort_out(directory).is_ok().then_some(survey))
    }

    fn unread(oldest: u64) -> Self {
        Self {
            state: None,
            synced: None,
            end_unknown: false,
            unreadable_synced: None,
            segments: Vec::new(),
            oldest,
            stale: Vec::new(),
            unbegun: Vec::new(),
            intruders: Vec::new(),
            foreign: Vec::new(),
            in_the_way: Vec::new(),
            spares: Vec::new(),
            faults: Vec::new(),
            recovery: Recovery::new(),
            read: 0,
            bad_index: None,
        }
    }

    /// Looks at the directory, and reads no segment.
    fn list<D: Directory>(directory: &D) -> Result<(Self, Chain, End), OpenError> {
        let listing = Listing::read(directory)?;
        let state = listing.state.as_deref().and_then(State::decode);
        let mut faults = Vec::new();
        // An empty one is what a first start leaves behind that found the disk full.
        let has_state = listing.state.as_ref().is_some_and(|bytes| !bytes.is_empty());
        if state.is_none() && (has_state || !listing.found.is_empty()) {
            faults.push(JournalFault::State);
        }
        let oldest = state.map_or_else(|| listing.oldest(), |state| state.oldest.max(1));
        // A word of a clean stop that is older than the file `synced` comes from an old copy of it.
        let clean = state.and_then(|state| state.clean).filter(|end| Some(*end) >= listing.synced);
        let end_unknown = state.is_some() && clean.is_none() && listing.synced.is_none();
        let end = clean.or(listing.synced).filter(|end| end.segment >= oldest);
        let known = Known { oldest, last: end.map(|end| (end.segment, end.end)) };
        let mut chain = Chain::of(&listing.found, known);
        faults.append(&mut chain.faults);
        let mut foreign = listing.foreign;
        foreign.append(&mut chain.foreign);
        foreign.extend_from_slice(&listing.in_the_way);
        foreign.sort_unstable();
        let survey = Self {
            state,
            synced: listing.synced,
            end_unknown,
            unreadable_synced: listing.unreadable_synced,
            stale: std::mem::take(&mut chain.stale),
            unbegun: std::mem::take(&mut chain.unbegun),
            intruders: std::mem::take(&mut chain.intruders),
            foreign,
            in_the_way: listing.in_the_way,
            spares: listing.spares,
            faults,
            ..Self::unread(oldest)
        };
        Ok((survey, chain, End { known: end, is_clean: clean.is_some() }))
    }

    /// Reads what the index does not tell; or why it cannot be used.
    fn read_behind_index<D: Directory>(
        &mut self,
        directory: &D,
        chain: &Chain,
        end: End,
        how: HowToRead,
    ) -> Result<Result<(), String>, OpenError> {
        if self.in_the_way.iter().any(|name| name == INDEX) {
            return Ok(Err("it is no file".to_owned()));
        }
        let index = match find_index(directory, chain) {
            Ok(index) => index,
            Err(why) => return Ok(Err(why)),
        };
        let at = index.at();
        self.recovery = Recovery::indexed(index, self.oldest, how.memory);
        self.read_segments(directory, chain, end, at.segment)?;
        let told_of = self.segments.iter().find(|segment| segment.link.number == at.segment);
        if !self.faults.is_empty() {
            return Ok(Err("the segments behind it are damaged".to_owned()));
        }
        let begins_torn = |segment: &Segment| {
            segment.end < at.end || segment.torn.iter().any(|torn| torn.range.start < at.end)
        };
        if told_of.is_none_or(begins_torn) {
            return Ok(Err("it tells of more than there is".to_owned()));
        }
        Ok(self.sort_out(directory).map_err(|error| error.to_string()))
    }

    /// Reads once more where items are gone of which there is no room in memory.
    fn sort_out<D: Directory>(&mut self, directory: &D) -> Result<(), ReaderError> {
        let mut reader = JournalReader::new(directory.clone());
        while let Some(read) = self.recovery.next_read() {
            let found = reader.read(&read)?;
            self.recovery.read_back(&read, found);
        }
        Ok(())
    }

    /// What another version wrote is not damage, and must not be mended as if it were.
    fn refuse_other_versions<D: Directory>(&self, directory: &D) -> Result<(), OpenError> {
        for segment in &self.segments {
            if let Some(damage) = segment.damage.iter().find(|damage| damage.what == What::Unknown)
            {
                let path = directory.path().join(file_name(segment.link.file));
                return Err(OpenError::OtherVersion { path, what: damage.what });
            }
        }
        Ok(())
    }

    /// Reads the segments from that number on.
    fn read_segments<D: Directory>(
        &mut self,
        directory: &D,
        chain: &Chain,
        End { known: end, is_clean: clean }: End,
        from: u64,
    ) -> Result<(), OpenError> {
        let ends = chain.ends();
        for (at, &link) in chain.links.iter().enumerate() {
            if link.number < from {
                self.segments.push(Segment::unread(link, &ends));
                continue;
            }
            self.read += 1;
            let name = file_name(link.file);
            // At a cut, what an earlier life left behind it is not read.
            let bytes = directory.read_range(&name, 0..link.len);
            let bytes = bytes.map_err(in_file(directory.path().join(&name)))?;
            let len = bytes.len() as u64;
            let known_end = end.filter(|end| end.segment == link.number).map(|end| end.end);
            let is_last =
                at + 1 == chain.links.len() && end.is_none_or(|end| end.segment <= link.number);
            let place = if !is_last {
                let end = ends.get(&link.number).copied();
                Place::Closed { end: end.unwrap_or_else(|| len.max(known_end.unwrap_or(0))) }
            } else if let Some(end) = known_end.filter(|_| clean) {
                Place::LastClean { end }
            } else {
                Place::LastOpen { synced: known_end.unwrap_or(0) }
            };
            let report = self.recovery.segment(link.number, &bytes, place);
            self.faults.extend(report.damage.iter().map(|damage| JournalFault::Damaged {
                number: link.file,
                damage: damage.clone(),
                intact_behind: report.records_after_damage,
            }));
            self.segments.push(Segment {
                link,
                len,
                end: report.end,
                salt: report.salt,
                damage: report.damage,
                torn: report.torn,
            });
        }
        Ok(())
    }
}
