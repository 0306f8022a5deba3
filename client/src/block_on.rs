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
/// ```
/// use windhover_client::{Client, Outcome, block_on};
///
/// let (client, driver) = Client::builder().server("10.0.0.1:11211").build()?;
/// // No runtime drives it: its calls end at once, instead of never.
/// drop(driver);
/// let error = block_on(client.get("greeting")).unwrap_err();
/// assert_eq!(error.outcome(), Outcome::NotSent);
/// # Ok::<(), windhover_client::Error>(())
/// ```
///
/// [`Client`]: crate::Client
pub fn block_on<F: Future>(future: F) -> F::Output {
    run(future, thread::park)
}

/// The same; `tick` is called whenever the thread has slept for `every` or was woken, for what has to
/// go on meanwhile.
///
/// ```
/// use std::future::poll_fn;
/// use std::task::Poll;
/// use std::time::Duration;
/// use windhover_client::block_on_ticking;
///
/// // An answer that is there at the third look.
/// let mut looks = 0;
/// let answer = poll_fn(|_| {
///     looks += 1;
///     if looks < 3 { Poll::Pending } else { Poll::Ready(42) }
/// });
/// let mut ticks = 0;
/// assert_eq!(block_on_ticking(answer, Duration::from_millis(1), || ticks += 1), 42);
/// assert_eq!(ticks, 2);
/// ```
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
