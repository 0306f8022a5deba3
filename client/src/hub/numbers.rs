//! Maps by numbers that the cluster gives out: no peer can choose them, so that nothing has to keep them
//! apart but their own difference.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by the number of a call or of a connection.
pub(super) type NumberMap<V> = HashMap<u64, V, BuildHasherDefault<NumberHasher>>;

#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Numbers that follow each other lie far apart, in the upper bits too (Knuth's multiplicative
        // hashing).
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
