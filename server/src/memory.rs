//! Memory that is free goes back to the operating system, and no thread stands still for it.

/// So many bytes have to have been freed for it to be worth the while.
const WORTH: u64 = 32 * 1024 * 1024;

/// Decides when it is time.
#[derive(Debug, Default)]
pub(crate) struct GiveBack {
    /// The most that was held since the last time.
    most: u64,
}

impl GiveBack {
    /// So many bytes are held now: gives back what is free when that is much less than before.
    pub(crate) fn turn(&mut self, held: u64) {
        if self.is_due(held) {
            give_back();
        }
    }

    fn is_due(&mut self, held: u64) -> bool {
        self.most = self.most.max(held);
        let is_due = self.most - held >= WORTH;
        if is_due {
            self.most = held;
        }
        is_due
    }
}

/// Gives back what is free. glibc does so by itself only at the end of its heaps, which any small piece
/// that is in use keeps from being free: after a backlog, nearly all of its memory stayed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate has a safe form of it")]
pub(crate) fn give_back() {
    // SAFETY: it takes the allocator's own locks, and frees nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators do so by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}

/// Has each small piece that is freed joined with those beside it at once. To be called before there are threads.
///
/// glibc keeps freed pieces of up to 128 bytes apart ("fastbins") and joins all there are in one go, some time
/// later, with its lock held: after a million items were dropped, whoever called stood still for 50 ms. Each thread
/// still keeps its last few of each size for its next calls.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate has a safe form of it")]
pub(crate) fn join_at_once() {
    // SAFETY: it takes the allocator's own lock, and sets one number.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Other allocators have their own ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn join_at_once() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_step_by_step_while_a_backlog_goes() {
        let mut memory = GiveBack::default();
        let due: Vec<bool> =
            [0, 2 * WORTH, 2 * WORTH, WORTH + 1, WORTH, WORTH, WORTH / 2, 0, 0, WORTH - 1, 0]
                .into_iter()
                .map(|held| memory.is_due(held))
                .collect();
        let expected = [false, false, false, false, true, false, false, true, false, false, false];
        assert_eq!(due, expected);
    }
}
