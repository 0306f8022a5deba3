//! CRC-32C (Castagnoli; RFC 3720, appendix B.4).
//!
//! A table of sixteen places: a few hundred bytes once a connection, of few proxies, are no reason for
//! a faster one.

/// The polynomial, its lowest power first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut nibble: u32 = 0;
    while nibble < 16 {
        let mut crc = nibble;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[nibble as usize] = crc;
        nibble += 1;
    }
    table
};

pub(super) struct Crc32c(u32);

impl Crc32c {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 ^= u32::from(byte);
            for _ in 0..2 {
                // Sixteen places, and an index of four bits.
                let folded = TABLE.get((self.0 & 0xf) as usize).copied().unwrap_or_default();
                self.0 = self.0 >> 4 ^ folded;
            }
        }
    }

    pub(super) const fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4, and the usual check of a CRC.
        let ascending: [u8; 32] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        let cases: [(&[u8], u32); 4] = [
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
        ];
        for (bytes, sum) in cases {
            let mut crc = Crc32c::new();
            for piece in bytes.chunks(5) {
                crc.update(piece);
            }
            assert_eq!(crc.value(), sum, "{bytes:?}");
        }
    }
}
