//! tokio's tasks and timers.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};
use windhover_runtime::{Runtime, Timers};

/// The runtime that it is used on: its tasks, timers and, for a client, sockets.
///
/// What needs the timers of a runtime is given this: [`drive`](crate::drive), say.
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
/// use windhover_core::Now;
/// use windhover_core::memcache::handler::{
///     Data, Handled, Handler, Reply, Request, Response, Session,
/// };
/// use windhover_tokio::{Clock, ConnectionEnd, Shutdown, Stream, Tokio, drive};
///
/// struct One;
///
/// impl Handler for One {
///     fn handle(&mut self, _: Request<'_>, _: Data<'_>, reply: &mut Reply<'_>) -> Handled {
///         reply.send(&Response::Version(b"1"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // A stream in memory: whatever of tokio's is read and written can be driven.
/// let (mut peer, stream) = duplex(1024);
/// let (never, session) = (Shutdown::new(), Session::with_defaults(One, Now::default()));
/// let driven =
///     tokio::spawn(drive(Tokio, Stream::new(stream), session, Clock::new(), &never, &never));
/// peer.write_all(b"version\r\n").await?;
/// let mut answer = [0; 11];
/// peer.read_exact(&mut answer).await?;
/// assert_eq!(&answer, b"VERSION 1\r\n");
/// drop(peer);
/// assert_eq!(driven.await?, ConnectionEnd::Closed);
/// # Ok(())
/// # }
/// ```
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
