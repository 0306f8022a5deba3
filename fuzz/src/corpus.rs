//! Inputs that are kept: corpora, and the finds of old.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where the folder of the targets' corpora is.
pub fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Where the finds of old are, by target; `stories.txt` beside them has a line for each.
pub fn regressions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// The files below a folder with what they hold, in the order of their names; none where there is
/// no such folder.
///
/// # Errors
/// What the file system says.
pub fn read(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path)?;
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Everything that is kept for a target: its corpus and its finds.
///
/// # Errors
/// What the file system says.
pub fn of_target(name: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = read(&corpora().join(name))?;
    found.extend(read(&regressions().join(name))?);
    Ok(found)
}
