//! The timers of `async-io`, and the tasks of any executor.

use std::pin::Pin;
use std::time::Instant;

use async_io::Timer;
use windhover_runtime::{SpawnOn, Timers};

/// The timers of `async-io` and, for a client, its sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncIo;

impl Timers for AsyncIo {
    type Sleep = Timer;

    fn sleep_until(&self, at: Instant) -> Timer {
        Timer::at(at)
    }

    fn reset(&self, mut sleep: Pin<&mut Timer>, at: Instant) {
        sleep.set_at(at);
    }
}

/// The executor that `spawn` starts tasks on, beside `async-io`.
pub(crate) fn on<S>(spawn: S) -> SpawnOn<S, AsyncIo> {
    SpawnOn { spawn, timers: AsyncIo }
}
