//! How fast memory is copied.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

/// More than what processors keep beside them.
const BYTES: usize = 64 << 20;

/// Gigabytes a second, read and written.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Bandwidth {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

/// Copies a block from one place to another, three times at least.
#[allow(clippy::cast_precision_loss)] // 2^53 bytes are more than there are
pub(super) fn measure(time: Duration) -> Bandwidth {
    let (from, mut to) = (vec![1_u8; BYTES], vec![2_u8; BYTES]);
    let (begun, mut rates) = (Instant::now(), Vec::new());
    while rates.len() < 3 || begun.elapsed() < time {
        let before = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        rates.push(2.0 * BYTES as f64 / 1e9 / before.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).copied().unwrap_or_default();
    Bandwidth { least: at(0), median: at(rates.len() / 2), most: at(rates.len() - 1) }
}
