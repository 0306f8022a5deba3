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
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use windhover_runtime::{Runtime, SpawnOn, Task};
/// # use std::future::{Pending, pending};
/// # use std::pin::Pin;
/// # use std::time::Instant;
/// # #[derive(Clone)]
/// # struct Frozen;
/// # impl windhover_runtime::Timers for Frozen {
/// #     type Sleep = Pending<()>;
/// #     fn sleep_until(&self, _: Instant) -> Pending<()> {
/// #         pending()
/// #     }
/// #     fn reset(&self, _: Pin<&mut Pending<()>>, _: Instant) {}
/// # }
///
/// // An executor that has a queue of tasks; its timers are `Frozen`.
/// let queue: Arc<Mutex<Vec<Task>>> = Arc::default();
/// let pushed = Arc::clone(&queue);
/// let spawn = move |task: Task| pushed.lock().expect("nobody panics under it").push(task);
/// let runtime = SpawnOn { spawn, timers: Frozen };
/// runtime.spawn(async {});
/// assert_eq!(queue.lock().map(|queue| queue.len()).ok(), Some(1));
/// ```
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
