//! The memory of requests that are over, kept by each thread for its next ones.

use std::cell::RefCell;

use windhover_core::memcache::request::{Prepared, SpareRequest};

/// What a thread keeps: as many as it mostly has under way at once, of some 1.5 KiB at most each.
const KEPT: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<SpareRequest>> = const { RefCell::new(Vec::new()) };
}

/// Memory for a request; `None` where the thread has none.
pub(crate) fn take() -> Option<SpareRequest> {
    // A thread that ends has none any more.
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten()
}

/// Keeps the memory of a request that is over, unless its connection holds it still: one that was given up
/// before its answer.
pub(crate) fn keep(request: Prepared) {
    let Some(request) = request.into_spare() else { return };
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(request);
        }
    });
}
