//! The words of a line.

use super::Fault;
use crate::Limits;
use crate::memcache::Keys;

/// A fault on a line, whether the client asked for no answer, and how many bytes behind the line
/// are to be dropped with it.
pub(super) struct Refused {
    pub(super) fault: Fault,
    pub(super) noreply: bool,
    pub(super) block: usize,
}

/// Of a line whose form rules out `noreply`.
pub(super) fn refused(fault: Fault) -> Refused {
    Refused { fault, noreply: false, block: 0 }
}

/// Of a line on which `noreply` may have been.
pub(super) fn refused_quietly(fault: Fault, noreply: bool) -> Refused {
    Refused { fault, noreply, block: 0 }
}

/// The first arguments of a line, and how many there are.
pub(super) struct Words<'a> {
    pub(super) first: [&'a [u8]; 6],
    pub(super) count: usize,
}

impl<'a> Words<'a> {
    /// No command that is read by this counts more than the places and one.
    pub(super) fn of(words: Keys<'a>) -> Self {
        let mut first: [&[u8]; 6] = [&[]; 6];
        let mut count = 0;
        for word in words.take(first.len() + 1) {
            if let Some(place) = first.get_mut(count) {
                *place = word;
            }
            count += 1;
        }
        Self { first, count }
    }

    /// memcached looks at the last word, whatever its place, before it looks at the others.
    pub(super) fn noreply(&self) -> bool {
        self.count
            .checked_sub(1)
            .and_then(|last| self.first.get(last))
            .is_some_and(|&last| last == b"noreply")
    }

    /// Refuses the line unless it has so many words.
    pub(super) fn want(&self, least: usize, most: usize) -> Result<(), Refused> {
        if (least..=most).contains(&self.count) {
            Ok(())
        } else {
            Err(refused(Fault::ArgumentCount))
        }
    }
}

pub(super) fn check_key(key: &[u8], limits: &Limits) -> Result<(), Fault> {
    if key.len() > limits.key {
        return Err(Fault::KeyTooLong { length: key.len() });
    }
    Ok(())
}
