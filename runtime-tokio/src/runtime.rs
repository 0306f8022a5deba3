//! tokio's tasks and timers.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};
use windhover_runtime::{Runtime, Timers};

/// The runtime that it is used on: its tasks, timers and, for a client, sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Timers for Tokio {
    type Sleep = Sleep;

    fn sleep_until(&self, at: Instant) -> Sleep {
        sleep_until(at.into())
    }

    fn reset(&self, sleep: Pin<&mut Sleep>, at: Instant) {
        sleep.reset(at.into());
    }
}

impl Runtime for Tokio {
    type Timers = Self;

    fn timers(&self) -> Self {
        *self
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}
