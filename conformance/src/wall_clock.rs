//! A wall clock that jumps when a test says so.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::preload::Preload;

/// Sets the wall clock of one server, and of no other process.
#[derive(Debug)]
pub struct WallClock(Preload);

impl WallClock {
    /// A clock that is right.
    #[track_caller]
    pub fn new() -> Self {
        let preload = Preload::compile("wall_clock");
        fs::write(preload.file(), b"").expect("a file can be made");
        Self(preload)
    }

    /// What to put in front of a server's command.
    pub fn within(&self) -> [String; 3] {
        self.0.within()
    }

    /// From now on it is so many seconds ahead.
    #[track_caller]
    pub fn set_ahead(&self, seconds: i64) {
        // Servers have the file open. The spaces are written over a longer number.
        let text = format!("{seconds:<20}");
        let file = OpenOptions::new().write(true).open(self.0.file()).expect("it is there");
        file.write_all_at(text.as_bytes(), 0).expect("a file can be written");
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}
