//! What the server may serve connections on, and clients connect on, as a test's parameter.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use windhover_client::{Builder, Client};

/// A value of `--runtime`, and the adapter of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// `tokio`
    Tokio,
    /// `async-std`
    AsyncStd,
    /// `mio`
    Mio,
}

impl Runtime {
    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::AsyncStd => "async-std",
            Self::Mio => "mio",
        }
    }

    /// Waits for `future` as a program on that runtime does; with mio, as a thread without any.
    #[track_caller]
    pub fn block_on<F: Future>(self, future: F) -> F::Output {
        match self {
            Self::Tokio => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("the operating system gives a runtime").block_on(future)
            }
            Self::AsyncStd => async_std::task::block_on(future),
            Self::Mio => windhover_mio::block_on(future),
        }
    }

    /// Runs `future` beside what else there is.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        Task(match self {
            Self::Tokio => {
                let task = tokio::spawn(future);
                Box::pin(async { task.await.expect("the task ends without a panic") })
            }
            Self::AsyncStd => Box::pin(async_std::task::spawn(future)),
            Self::Mio => Box::pin(blocking::unblock(|| windhover_mio::block_on(future))),
        })
    }

    /// Makes a client that this runtime drives.
    #[track_caller]
    pub fn connect(self, builder: Builder) -> Client {
        match self {
            Self::Tokio => windhover_tokio::connect(builder).expect("a client can be made"),
            Self::AsyncStd => windhover_async_std::connect(builder).expect("a client can be made"),
            Self::Mio => windhover_mio::connect(builder).expect("a client can be made"),
        }
    }
}

/// What becomes of a future that was spawned. With mio a future that is given up runs on.
pub struct Task<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> std::fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(cx)
    }
}

/// Waits, on whichever runtime.
pub async fn sleep(time: Duration) {
    async_std::task::sleep(time).await;
}

/// Gives `future` up, by dropping it, once it has taken so long; on whichever runtime, and to the
/// microsecond or nearly so.
///
/// # Errors
///
/// When it took so long.
pub async fn timeout<F: Future>(
    time: Duration,
    future: F,
) -> Result<F::Output, async_std::future::TimeoutError> {
    async_std::future::timeout(time, future).await
}

/// Makes tests of functions that take a [`Runtime`](crate::Runtime): one for each function and each
/// runtime, named `tokio::function` and so on. Those behind `async:` are asynchronous, and are
/// waited for by [`Runtime::block_on`](crate::Runtime::block_on).
///
/// ```
/// use windhover_conformance::{Runtime, on_each_runtime};
///
/// fn it_has_a_name(runtime: Runtime) {
///     assert!(!runtime.name().is_empty());
/// }
///
/// on_each_runtime!(it_has_a_name);
/// ```
#[macro_export]
macro_rules! on_each_runtime {
    (async: $($test:ident),+ $(,)?) => {
        mod tokio {
            $(#[test] fn $test() {
                let runtime = $crate::Runtime::Tokio;
                runtime.block_on(super::$test(runtime));
            })+
        }
        mod async_std {
            $(#[test] fn $test() {
                let runtime = $crate::Runtime::AsyncStd;
                runtime.block_on(super::$test(runtime));
            })+
        }
        mod mio {
            $(#[test] fn $test() {
                let runtime = $crate::Runtime::Mio;
                runtime.block_on(super::$test(runtime));
            })+
        }
    };
    ($($test:ident),+ $(,)?) => {
        mod tokio {
            $(#[test] fn $test() { super::$test($crate::Runtime::Tokio); })+
        }
        mod async_std {
            $(#[test] fn $test() { super::$test($crate::Runtime::AsyncStd); })+
        }
        mod mio {
            $(#[test] fn $test() { super::$test($crate::Runtime::Mio); })+
        }
    };
}
