//! What `peers/power_cut.c` notes of what is done to files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The number that the file system has for a file; one that is deleted may leave it to a new one.
pub(super) type Inode = u64;

/// Something that was done.
#[derive(Debug)]
pub(super) enum Note {
    FileMade { path: PathBuf, inode: Inode },
    DirectoryMade { path: PathBuf, inode: Inode },
    Written { inode: Inode, at: usize, bytes: Vec<u8> },
    Cut { inode: Inode, len: usize },
    Renamed { from: PathBuf, to: PathBuf },
    Linked { from: PathBuf, to: PathBuf },
    Removed { path: PathBuf },
    SyncBegun { inode: Inode, number: u64 },
    SyncEnded { number: u64 },
}

/// Reads all notes.
#[track_caller]
pub(super) fn read(mut bytes: &[u8]) -> Vec<Note> {
    let mut notes = Vec::new();
    while !bytes.is_empty() {
        notes.push(one(&mut bytes));
    }
    notes
}

#[track_caller]
fn one(bytes: &mut &[u8]) -> Note {
    let what = take(bytes, 1)[0];
    let [path_len, len] = [(); 2].map(|()| number(take(bytes, 4)));
    let [first, second] = [(); 2].map(|()| number(take(bytes, 8)));
    let path = PathBuf::from(OsStr::from_bytes(take(bytes, size(path_len))));
    let data = take(bytes, size(len));
    let other = || PathBuf::from(OsStr::from_bytes(data));
    match what {
        b'C' => Note::FileMade { path, inode: first },
        b'D' => Note::DirectoryMade { path, inode: first },
        b'W' => Note::Written { inode: first, at: size(second), bytes: data.to_vec() },
        b'T' => Note::Cut { inode: first, len: size(second) },
        b'R' => Note::Renamed { from: path, to: other() },
        b'L' => Note::Linked { from: path, to: other() },
        b'U' => Note::Removed { path },
        b'B' => Note::SyncBegun { inode: first, number: second },
        b'E' => Note::SyncEnded { number: first },
        other => panic!("a note of an unknown kind: {other}"),
    }
}

/// The next `len` bytes. Whoever notes has a lock until all is there, and who reads has it too.
#[track_caller]
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    bytes.split_off(..len).expect("a note is there in whole")
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("it fits into memory")
}
