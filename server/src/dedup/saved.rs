//! What is kept of the digests for the next start: files beside the journal.
//!
//! `key` has the 16 bytes that digests are made with, and their CRC-32. The other files are named by numbers, the
//! newest last, and have blocks: the number of digests and the CRC-32 of what follows (four bytes each), the first
//! segment of the journal that may hold events which are in no block (eight bytes), and the digests; numbers are
//! little-endian. A block that is cut or damaged ends its file. When a file has as many digests as are remembered,
//! the next one is begun, and those before it but one deleted.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use windhover_core::tracking::EventDigest;

use crate::private;

/// Bytes of a digest.
const DIGEST: usize = 16;
/// Bytes before the digests of a block.
const BLOCK: usize = 16;
/// Those of them that the checksum is not over.
const SUM: usize = 8;
const KEY: &str = "key";

/// Why what was remembered is not known.
#[derive(Debug)]
#[non_exhaustive]
pub enum SavedError {
    /// A file cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The journal cannot be read.
    Journal(io::Error),
    /// The operating system has no random bytes.
    Random(io::Error),
}

impl fmt::Display for SavedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "{} cannot be used", path.display()),
            Self::Journal(_) => f.write_str("the journal cannot be read for the events in it"),
            Self::Random(_) => f.write_str("there are no random bytes"),
        }
    }
}

impl std::error::Error for SavedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Journal(source) | Self::Random(source) => Some(source),
        }
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Saved {
    directory: PathBuf,
    key: [u8; 16],
    /// The number of the file that is written.
    number: u64,
    /// How many digests it has.
    digests: u64,
    /// Its bytes that are good.
    len: u64,
    /// So many digests at most, and what one block has more.
    most: u64,
    /// The first segment of the journal that may hold events which are not here.
    covered: u64,
    is_synced: bool,
}

impl Saved {
    /// Opens the directory, which is made if it is not there: the digests in it, the oldest first.
    pub(super) fn open(
        directory: &Path,
        most: u32,
    ) -> Result<(Self, Vec<EventDigest>), SavedError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SavedError::Io { path, source }
        };
        private::create_dir_all(directory).map_err(failed(directory))?;
        let numbers = numbers(directory).map_err(failed(directory))?;
        let mut saved = Self {
            directory: directory.to_owned(),
            key: [0; 16],
            number: numbers.last().map_or(1, |last| *last),
            digests: 0,
            len: 0,
            most: most.into(),
            covered: 0,
            is_synced: true,
        };
        let key_path = directory.join(KEY);
        match read_key(&key_path).map_err(failed(&key_path))? {
            Some(key) => saved.key = key,
            None => {
                // Digests of another key are of no use.
                for number in numbers {
                    let path = saved.path(number);
                    fs::remove_file(&path).map_err(failed(&path))?;
                }
                getrandom::fill(&mut saved.key)
                    .map_err(|error| SavedError::Random(io::Error::other(error)))?;
                write_key(directory, saved.key).map_err(failed(&key_path))?;
                return Ok((saved, Vec::new()));
            }
        }
        let mut digests = Vec::new();
        let mut is_whole = true;
        for number in numbers {
            let path = saved.path(number);
            let bytes = fs::read(&path).map_err(failed(&path))?;
            let before = digests.len();
            // What an earlier file has lost, none of the later ones says.
            let lacks_before = !is_whole;
            (saved.len, saved.covered) = read_blocks(&bytes, &mut digests);
            is_whole = !lacks_before && saved.len == bytes.len() as u64;
            if lacks_before {
                saved.covered = 0;
            }
            saved.digests = (digests.len() - before) as u64;
        }
        Ok((saved, digests))
    }

    /// The first segment of the journal that may hold events which are not here.
    pub(super) fn covered(&self) -> u64 {
        self.covered
    }

    pub(super) fn key(&self) -> [u8; 16] {
        self.key
    }

    /// Adds digests. Segments of the journal before `covered` hold no events that are not here then.
    /// With `is_to_be_synced` all is on the disk when this returns.
    pub(super) fn append(
        &mut self,
        digests: &[EventDigest],
        covered: u64,
        is_to_be_synced: bool,
    ) -> io::Result<()> {
        let covered = covered.max(self.covered);
        if !digests.is_empty() || covered > self.covered {
            self.append_block(digests, covered)?;
            self.covered = covered;
        }
        if is_to_be_synced && !self.is_synced {
            File::open(self.path(self.number))?.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    fn append_block(&mut self, digests: &[EventDigest], covered: u64) -> io::Result<()> {
        let count = u32::try_from(digests.len()).map_err(io::Error::other)?;
        if self.digests >= self.most {
            // The next file must not have what this one may lose.
            File::open(self.path(self.number))?.sync_data()?;
            self.number += 1;
            (self.digests, self.len) = (0, 0);
        }
        let mut block = vec![0; BLOCK];
        block.extend(digests.iter().flat_map(|digest| digest.to_bytes()));
        block[SUM..BLOCK].copy_from_slice(&covered.to_le_bytes());
        let (begin, body) = block.split_at_mut(SUM);
        begin[..4].copy_from_slice(&count.to_le_bytes());
        begin[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        let mut file = private::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(self.number))?;
        // What an append that failed has left is written over.
        file.set_len(self.len)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(self.len))?;
        file.write_all(&block)?;
        self.is_synced = false;
        if self.len == 0 {
            File::open(&self.directory)?.sync_all()?;
            for number in numbers(&self.directory)? {
                if number + 1 < self.number {
                    fs::remove_file(self.path(number))?;
                }
            }
        }
        self.len += block.len() as u64;
        self.digests += u64::from(count);
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}"))
    }
}

/// The numbers of the files, in order.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_str().filter(|name| name.len() == 20);
        numbers.extend(name.and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_key(path: &Path) -> io::Result<Option<[u8; 16]>> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes
            .split_first_chunk::<16>()
            .filter(|(key, sum)| *sum == crc32fast::hash(*key).to_le_bytes())
            .map(|(key, _)| *key)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_key(directory: &Path, key: [u8; 16]) -> io::Result<()> {
    let mut file =
        private::options().write(true).create(true).truncate(true).open(directory.join(KEY))?;
    file.write_all(&key)?;
    file.write_all(&crc32fast::hash(&key).to_le_bytes())?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

/// Takes the digests of a file; how many of its bytes are good, and the first segment that it does not cover.
fn read_blocks(bytes: &[u8], digests: &mut Vec<EventDigest>) -> (u64, u64) {
    let mut rest = bytes;
    let mut covered = 0;
    while let Some((count, behind)) = rest.split_first_chunk::<4>()
        && let Some((sum, behind)) = behind.split_first_chunk::<4>()
        && let Some(len) = (u32::from_le_bytes(*count) as usize).checked_mul(DIGEST)
        && let Some(len) = len.checked_add(BLOCK - SUM)
        && let Some((summed, behind)) = behind.split_at_checked(len)
        && crc32fast::hash(summed).to_le_bytes() == *sum
        && let Some((segment, body)) = summed.split_first_chunk::<8>()
    {
        covered = u64::from_le_bytes(*segment);
        digests.extend(body.as_chunks().0.iter().filter_map(|it| EventDigest::from_bytes(*it)));
        rest = behind;
    }
    ((bytes.len() - rest.len()) as u64, covered)
}
