//! Where to split an input.

/// Places to split `len` bytes at: all of them where they are few, else the first and last and a
/// sample that depends on `seed`.
pub(super) fn places(len: usize, seed: u64) -> Vec<usize> {
    const ALL: usize = 24;
    if len <= ALL {
        return (0..=len).collect();
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut places: Vec<usize> = (0..4).chain(len - 6..=len).collect();
    places.extend((0..12).map(|_| random.usize(..=len)));
    places.sort_unstable();
    places.dedup();
    places
}

/// A number that depends on every byte.
pub(super) fn seed(bytes: &[u8]) -> u64 {
    // FNV-1a.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `bytes` in pieces, whose lengths depend on `seed`.
pub(super) fn pieces(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = fastrand::Rng::with_seed(seed);
    let longest = 1 << random.usize(..9);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(random.usize(1..=longest).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
