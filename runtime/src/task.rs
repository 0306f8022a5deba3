//! Tasks for executors that are known by a function only.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{Runtime, Timers};

/// A task, as it is given to an executor: one connection, from its making to its end.
// A type of its own, for one with a lifetime in it would make closures that take it fit no `Send` task.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Task(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

/// The executor behind a function that starts a task, and the timers that go with it. It costs an
/// allocation for each task.
#[derive(Clone, Copy, Debug)]
pub struct SpawnOn<S, T> {
    /// Starts a task; as [`Runtime::spawn`].
    pub spawn: S,
    /// The timers.
    pub timers: T,
}

impl<S: Fn(Task), T: Timers> Runtime for SpawnOn<S, T> {
    type Timers = T;

    fn timers(&self) -> T {
        self.timers.clone()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.spawn)(Task(Box::pin(task)));
    }
}
