//! A disk that hangs when a test says so.

use std::{fs, path::Path, path::PathBuf, process::Command, time::Duration};

use crate::{directory::TempDir, process::run};

/// Makes the syncs of one server wait. When it is dropped they wait no more.
#[derive(Debug)]
pub struct SlowDisk {
    library: PathBuf,
    hangs: PathBuf,
    _files: TempDir,
}

impl SlowDisk {
    /// A disk that does not hang yet.
    #[track_caller]
    pub fn new() -> Self {
        let files = TempDir::new("slow-disk");
        let library = files.path().join("slow_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/slow_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        run(&mut compiler, Duration::from_secs(60)).expect_code(0);
        Self { library, hangs: files.path().join("hangs"), _files: files }
    }

    /// What to put in front of a server's command.
    pub fn within(&self) -> [String; 3] {
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("SLOW_DISK={}", self.hangs.display()),
        ]
    }

    /// From now on no sync ends.
    #[track_caller]
    pub fn hang(&self) {
        fs::write(&self.hangs, b"").expect("a file can be made");
    }

    /// Syncs go on.
    #[track_caller]
    pub fn recover(&self) {
        fs::remove_file(&self.hangs).expect("a file can be removed");
    }
}

impl Default for SlowDisk {
    fn default() -> Self {
        Self::new()
    }
}
