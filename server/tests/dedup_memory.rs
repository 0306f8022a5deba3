//! What recognising events costs in memory, by what the process takes more for it.
//!
//! `WINDHOVER_DEDUP_IDS=10000000 cargo test --release -p windhover-server --test dedup_memory -- --nocapture` for
//! other numbers than 10⁶.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use windhover_core::Instant;
use windhover_core::tracking::EventDigest;
use windhover_server::dedup::{Dedup, DedupLimits};

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}

/// Different in all bytes, as digests are.
fn digest(number: u32) -> EventDigest {
    let spread = (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    EventDigest::from_bytes(spread.to_le_bytes()).unwrap()
}

#[test]
fn an_id_takes_what_the_documentation_says() {
    let ids = std::env::var("WINDHOVER_DEDUP_IDS");
    let ids: u32 = ids.map_or(1_000_000, |ids| ids.parse().unwrap());
    let dedup = Arc::new(Dedup::new(DedupLimits::new(ids, Duration::from_secs(3600)), [7; 16]));
    let before = resident();
    // Twice as many as it remembers: the first half has gone.
    for number in 0..2 * ids {
        let claimed = dedup.claim(&[(0, digest(number))], Instant::default());
        claimed.claim.unwrap().settle(true, &mut Vec::new());
    }
    let taken = resident() - before;
    assert_eq!(dedup.len(), u64::from(ids));
    #[allow(clippy::cast_precision_loss)]
    let each = taken as f64 / f64::from(ids);
    println!("{ids} ids take {} MiB of resident memory, {each:.1} bytes each", taken >> 20);
    // 16 in a ring, and up to 8 more in an index whose size is a power of two.
    assert!((20.0..26.0).contains(&each), "{each:.1} bytes an id");
}
