//! Directories that live as long as a test.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A new directory, removed on drop. A test that fails leaves it in place and says where it is:
/// a journal that could not be recovered is the evidence.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes a directory whose name contains `purpose`.
    pub fn new(purpose: &str) -> Self {
        Self::within(&std::env::temp_dir(), purpose)
    }

    /// Makes one in that directory: on another disk.
    pub fn within(parent: &Path, purpose: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("windhover-{purpose}-{}-{number}", std::process::id());
        let path = parent.join(name);
        std::fs::create_dir_all(&path)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for inspection: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
