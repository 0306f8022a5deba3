//! Small values that stand one behind the other, copied out of the buffer together.
//!
//! A copy of its own costs each value a call of the allocator each way, which is more than all else that a key
//! of a hundred takes. Values that share a copy keep each other: at most [`BLOCK`] bytes with the smallest.

use core::ops::Range;

use bytes::Bytes;

/// The longest value that shares a copy with others.
const SMALL: usize = 512;

/// The longest copy that values share.
const BLOCK: usize = 4096;

/// The bytes of a buffer that values were copied from last.
#[derive(Debug, Default)]
pub(super) struct Block {
    copy: Bytes,
    /// Where it begins in the buffer.
    from: usize,
}

impl Block {
    /// A copy of the value that stands at `place` in the buffer. Where `is_followed` says that another one stands
    /// behind it, what is there is copied with it.
    #[inline]
    pub(super) fn copy(&mut self, buffer: &[u8], place: Range<usize>, is_followed: bool) -> Bytes {
        if place.len() > SMALL {
            return copy_of(buffer, place);
        }
        if let Some(start) = place.start.checked_sub(self.from)
            && start + place.len() <= self.copy.len()
        {
            return self.copy.slice(start..start + place.len());
        }
        if !is_followed {
            return copy_of(buffer, place);
        }
        let end = buffer.len().min(place.start + BLOCK);
        self.copy = copy_of(buffer, place.start..end);
        self.from = place.start;
        self.copy.slice(..place.len().min(self.copy.len()))
    }
}

fn copy_of(buffer: &[u8], place: Range<usize>) -> Bytes {
    Bytes::copy_from_slice(buffer.get(place).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn small_values_share_a_copy_and_others_have_their_own() {
        let buffer: Vec<u8> = (0..20_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let mut block = Block::default();
        let mut copy = |place: Range<usize>, is_followed| {
            let value = block.copy(&buffer, place.clone(), is_followed);
            assert_eq!(value, buffer[place.clone()], "{place:?}");
            value
        };

        let alone = copy(10..110, false);
        let first = copy(200..300, true);
        let second = copy(320..420, false);
        let last = copy(200 + BLOCK - 10..200 + BLOCK, true);
        let behind = copy(200 + BLOCK - 9..200 + BLOCK + 1, true);
        let large = copy(5000..5000 + SMALL + 1, true);
        let empty = copy(300..300, true);

        assert_eq!((first.len(), empty.len()), (100, 0));
        for (value, start) in [(&second, 120), (&last, BLOCK - 10)] {
            assert_eq!(value.as_ptr(), first.as_ptr().wrapping_add(start));
        }
        let shared = first.as_ptr()..first.as_ptr().wrapping_add(BLOCK);
        for value in [&alone, &behind, &large] {
            assert!(!shared.contains(&value.as_ptr()));
        }
    }
}
