//! What every runtime has to do alike, seen from outside.
#![allow(clippy::panic, clippy::expect_used)]

mod backpressure;
mod crowd;
mod descriptors;
mod half_closed;
mod kinds;
mod limits;
mod origins;
mod peer;
mod shutdown;

use std::time::Duration;

/// Loose: it says "does not hang", not "is fast".
const BOUND: Duration = Duration::from_secs(20);
/// What a peer that does nothing wrong may have to wait while others do. An answer takes well under
/// a millisecond.
const IN_TIME: Duration = Duration::from_secs(2);
