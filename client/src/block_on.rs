//! Waiting for a call on a thread that has no runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread, which sleeps meanwhile. For calls of a [`Client`] whose
/// driver runs elsewhere; those end at their deadline at the latest. A future that needs its
/// runtime's own thread, such as a timer of tokio, never ends here.
///
/// [`Client`]: crate::Client
pub fn block_on<F: Future>(future: F) -> F::Output {
    run(future, thread::park)
}

/// The same; `tick` is called whenever the thread has slept for `every` or was woken, for what has to
/// go on meanwhile.
pub fn block_on_ticking<F: Future>(
    future: F,
    every: Duration,
    mut tick: impl FnMut(),
) -> F::Output {
    run(future, || {
        thread::park_timeout(every);
        tick();
    })
}

fn run<F: Future>(future: F, mut sleep: impl FnMut()) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleep(),
        }
    }
}
