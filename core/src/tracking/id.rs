//! Ids for events that came without one.

use crate::swar;

/// Gives each event an id of its own, without randomness of its own: 32 lower-case hexadecimal
/// digits, within the 36 characters that the API allows an `$insert_id`.
///
/// Ids of one process differ as long as no two sources have the same connection number; ids of
/// two processes differ as long as their seeds do, so take the seed from a random source.
///
/// ```
/// use windhover_core::tracking::IdSource;
///
/// let mut ids = IdSource::new(0x0123_4567_89ab_cdef, 7);
/// assert_eq!(&ids.next_id(), b"0123456789abcdef0000000700000000");
/// assert_eq!(&ids.next_id(), b"0123456789abcdef0000000700000001");
/// ```
#[derive(Clone, Debug)]
pub struct IdSource {
    seed: u64,
    /// Stepped with the connection's upper half and with each wrap of `next`.
    round: u64,
    connection: u32,
    next: u32,
}

/// Odd, so that different rounds give different upper halves.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl IdSource {
    /// A source of ids for one connection (or one worker) of a process.
    pub const fn new(process_seed: u64, connection: u64) -> Self {
        Self {
            seed: process_seed,
            round: connection >> 32,
            connection: (connection & 0xffff_ffff) as u32,
            next: 0,
        }
    }

    /// The next id.
    pub fn next_id(&mut self) -> [u8; 32] {
        let upper = self.seed.wrapping_add(self.round.wrapping_mul(STEP));
        let lower = u64::from(self.connection) << 32 | u64::from(self.next);
        let (next, wrapped) = self.next.overflowing_add(1);
        self.next = next;
        if wrapped {
            self.round = self.round.wrapping_add(1 << 32);
        }
        let words = [upper >> 32, upper, lower >> 32, lower];
        let mut digits = [[0; 8]; 4];
        for (word, digits) in words.into_iter().zip(&mut digits) {
            *digits = swar::hexadecimal((word & 0xffff_ffff) as u32);
        }
        let mut id = [0; 32];
        id.copy_from_slice(digits.as_flattened());
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_across_events_connections_and_wraps() {
        let mut seen = HashSet::new();
        for connection in [0, 1, u64::from(u32::MAX), 1 << 32, 2 << 32, u64::MAX] {
            for next in [0, 7, u32::MAX - 1] {
                let mut ids = IdSource::new(42, connection);
                ids.next = next;
                for _ in 0..4 {
                    assert!(seen.insert(ids.next_id()), "{connection} {next}");
                }
            }
        }
    }
}
