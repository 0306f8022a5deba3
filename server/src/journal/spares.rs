//! Files of segments that nothing needs any more, kept to be written over: a sync of blocks that were
//! written before is much cheaper than one of a file that grows.

use std::io;

use windhover_core::queue::segment::{HEADER, Header};

use super::{Directory, file_name, number_before};

/// Most files kept. A queue that is read as fast as it is written needs one or two.
const MOST: usize = 4;

/// The name of a spare file that was the segment of that number.
fn spare_name(number: u64) -> String {
    format!("{number:020}.spare")
}

/// The number in the name of a spare file.
pub(super) fn spare_number(name: &str) -> Option<u64> {
    number_before(".spare", name)
}

/// A spare file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spare {
    /// In its name.
    number: u64,
    /// Bytes of the file.
    pub(super) len: u64,
}

impl Spare {
    pub(super) fn new(number: u64, len: u64) -> Self {
        Self { number, len }
    }

    /// One that was made as such, and was no segment. There is one of them at a time.
    pub(super) fn made(len: u64) -> Self {
        Self::new(0, len)
    }

    pub(super) fn name(&self) -> String {
        spare_name(self.number)
    }

    /// The salt of its last life, when its header can be read.
    pub(super) fn salt<D: Directory>(&self, directory: &D) -> io::Result<u32> {
        let start = directory.read_start(&self.name(), HEADER)?;
        Ok(Header::decode(&start).map_or(0, |header| header.salt))
    }
}

/// The spare files of a journal.
#[derive(Debug)]
pub(super) struct Spares {
    files: Vec<Spare>,
    /// A larger file is not kept.
    largest: u64,
}

impl Spares {
    /// Keeps some of the files that are there, and deletes the rest.
    pub(super) fn adopt<D: Directory>(
        directory: &D,
        found: Vec<Spare>,
        largest: u64,
    ) -> io::Result<Self> {
        let mut spares = Self { files: Vec::new(), largest };
        for spare in found {
            if spares.has_room_for(spare.len) {
                spares.files.push(spare);
            } else {
                directory.remove(&spare.name())?;
            }
        }
        Ok(spares)
    }

    pub(super) fn has_room_for(&self, len: u64) -> bool {
        len > HEADER as u64 && len <= self.largest && self.files.len() < MOST
    }

    /// Makes a spare file of a segment. It must not be used before the directory was synced: a file that is
    /// still under its old name must not change.
    pub(super) fn rename<D: Directory>(directory: &D, number: u64, len: u64) -> io::Result<Spare> {
        let spare = Spare { number, len };
        directory.rename(&file_name(number), &spare.name())?;
        Ok(spare)
    }

    pub(super) fn push(&mut self, spare: Spare) {
        self.files.push(spare);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Spare> {
        self.files.pop()
    }

    /// Bytes of all the files.
    pub(super) fn len(&self) -> u64 {
        self.files.iter().map(|spare| spare.len).sum()
    }
}
