//! How long it takes until appended bytes are on the disk.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::record::histogram;

/// What is appended each time: a small batch of a journal.
const BLOCK: [u8; 4096] = [b'w'; 4096];
/// It grows no longer than that, and begins anew.
const MAX_LENGTH: u64 = 64 << 20;

/// Appends and syncs (`fdatasync`), in a file of its own in `folder`.
pub(super) fn measure(folder: &Path, time: Duration) -> io::Result<Histogram<u64>> {
    let path = folder.join(format!("windhover-noise-{}.tmp", std::process::id()));
    let measured = append(&path, time);
    // Also when it failed; a file that was never made cannot be removed.
    match fs::remove_file(&path) {
        Err(error) if measured.is_ok() => Err(error),
        _ => measured,
    }
}

fn append(path: &Path, time: Duration) -> io::Result<Histogram<u64>> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
    let mut took = histogram();
    let (begun, mut length) = (Instant::now(), 0);
    while begun.elapsed() < time {
        if length >= MAX_LENGTH {
            file.set_len(0)?;
            file.sync_all()?;
            length = 0;
        }
        let before = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        // No sync takes longer than what it holds, which is days.
        let _ = took.record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        length += BLOCK.len() as u64;
    }
    Ok(took)
}
