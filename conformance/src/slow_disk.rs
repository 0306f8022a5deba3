//! A disk that hangs when a test says so.

use std::fs;

use crate::preload::Preload;

/// Makes the syncs of one server wait. When it is dropped they wait no more.
#[derive(Debug)]
pub struct SlowDisk(Preload);

impl SlowDisk {
    /// A disk that does not hang yet.
    #[track_caller]
    pub fn new() -> Self {
        Self(Preload::compile("slow_disk"))
    }

    /// What to put in front of a server's command.
    pub fn within(&self) -> [String; 3] {
        self.0.within()
    }

    /// From now on no sync ends.
    #[track_caller]
    pub fn hang(&self) {
        fs::write(self.0.file(), b"").expect("a file can be made");
    }

    /// Syncs go on.
    #[track_caller]
    pub fn recover(&self) {
        fs::remove_file(self.0.file()).expect("a file can be removed");
    }
}

impl Default for SlowDisk {
    fn default() -> Self {
        Self::new()
    }
}
