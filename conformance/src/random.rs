//! Random moments and sizes that one printed seed repeats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A small generator (splitmix64): good enough for moments and sizes, and needs no dependency.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded as [`seed_from_environment`](Self::seed_from_environment) says.
    pub fn from_environment() -> Self {
        Self(Self::seed_from_environment())
    }

    /// `WINDHOVER_SEED` when it is set, else the clock's seconds; prints it.
    pub fn seed_from_environment() -> u64 {
        let seed = match std::env::var("WINDHOVER_SEED") {
            Ok(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("WINDHOVER_SEED is `{text}`, expected an integer")),
            Err(_) => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
            }
        };
        println!("seed {seed} (repeat with WINDHOVER_SEED={seed})");
        seed
    }

    /// The next number, any of them equally likely.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % bound).unwrap_or_default()
    }

    /// A duration of `from` to `to` milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.number() % (to - from + 1))
    }
}
