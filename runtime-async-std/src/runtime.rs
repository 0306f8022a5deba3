//! The timers of `async-io`, and the tasks of any executor.

use std::pin::Pin;
use std::time::Instant;

use async_io::Timer;
use windhover_runtime::{SpawnOn, Timers};

/// The timers of `async-io` and, for a client, its sockets.
///
/// ```
/// use async_io::Async;
/// use std::net::{TcpListener, TcpStream};
/// use windhover_async_std::{AsyncIo, Clock, ConnectionEnd, Shutdown, Stream, drive};
/// use windhover_core::Now;
/// use windhover_core::memcache::handler::{
///     Data, Handled, Handler, Reply, Request, Response, Session,
/// };
///
/// struct One;
///
/// impl Handler for One {
///     fn handle(&mut self, _: Request<'_>, _: Data<'_>, reply: &mut Reply<'_>) -> Handled {
///         reply.send(&Response::Version(b"1"))
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// // One connection of an accept loop of your own.
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let peer = TcpStream::connect(listener.local_addr()?)?;
/// let stream = Stream::from(Async::new(listener.accept()?.0)?);
/// drop(peer);
/// let (never, session) = (Shutdown::new(), Session::with_defaults(One, Now::default()));
/// let end = smol::block_on(drive(AsyncIo, stream, session, Clock::new(), &never, &never));
/// assert_eq!(end, ConnectionEnd::Closed);
/// # Ok(())
/// # }
/// ```
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
