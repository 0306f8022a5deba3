//! Power that fails: what was not synced is gone, or there, or there in part.
//!
//! A library that is preloaded into the server (`peers/power_cut.c`) notes what is done to the files below a
//! directory, and what is synced. At a cut the server is killed, and the directory is made what a disk may hold
//! then: every name and every sector as it was at some time since it was synced. That nothing is done unnoticed is
//! looked at on each cut: what was noted, done again, has to come to what is there.

mod disk;
mod notes;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::preload::Preload;
use crate::random::Random;
use disk::Disk;

/// The power of whatever writes below a directory.
#[derive(Debug)]
pub struct Power {
    preload: Preload,
    root: PathBuf,
    /// No sync does anything, though it says so.
    lies: bool,
    /// What was there when the power came on.
    disk: Disk,
}

impl Power {
    /// The power of what writes below that directory, which has to be there.
    #[track_caller]
    pub fn new(root: &Path) -> Self {
        let root = root.canonicalize().expect("the directory is there");
        let preload = Preload::compile("power_cut");
        let mut power = Self { preload, disk: Disk::read(&root), root, lies: false };
        power.come_on();
        power
    }

    /// From now on, what is started has a disk that says of a sync that it is done, and does nothing.
    #[must_use]
    pub fn lying(mut self) -> Self {
        self.lies = true;
        self
    }

    /// What to put in front of a command that is to be within it.
    pub fn within(&self) -> Vec<String> {
        let mut prefix = self.preload.within().to_vec();
        prefix.push(format!("POWER_CUT_ROOT={}", self.root.display()));
        prefix.extend(self.lies.then(|| "POWER_CUT_LIES=1".to_owned()));
        prefix
    }

    /// The power fails: `kill` has to kill everything that is within, and to wait for its end. Returns how many
    /// changes were not on the disk; the power is on again then.
    #[track_caller]
    pub fn cut(&mut self, random: &mut Random, kill: impl FnOnce()) -> usize {
        let notes = File::open(self.preload.file()).expect("the notes are there");
        // Nobody is in the middle of anything.
        notes.lock().expect("the notes can be locked");
        kill();
        let bytes = fs::read(self.preload.file()).expect("the notes can be read");
        for note in notes::read(&bytes) {
            self.disk.play(note);
        }
        self.disk.assert_knows_all();
        let unsynced = self.disk.fail(Random::new(random.number()));
        self.come_on();
        unsynced
    }

    #[track_caller]
    fn come_on(&mut self) {
        fs::write(self.preload.file(), b"").expect("the notes can be emptied");
        self.disk = Disk::read(&self.root);
    }
}
