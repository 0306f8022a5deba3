//! What cannot happen, said in one place.

/// The way out where something is gone that was there when it was looked up, or a state is met that was
/// left before: nothing in the core may panic, so each such place has one. A debug build stops here, so that
/// every test and every fuzzed input holds the claim.
///
/// `fuzz/coverage` leaves out by this name what leads here; nothing else may.
#[inline]
#[track_caller]
pub(crate) fn cannot_happen<T>(way_out: T) -> T {
    // Apart from it, so that what is large is not moved through a call.
    stop();
    way_out
}

#[cold]
#[inline(never)]
#[track_caller]
fn stop() {
    debug_assert!(false, "what cannot happen has happened");
}
