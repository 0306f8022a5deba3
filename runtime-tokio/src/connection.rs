//! The loop that moves bytes between one socket and its endpoint.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::{Instant, Now};

use crate::{Clock, Shutdown};

/// Most reads and writes before other tasks have their turn.
const TURNS: usize = 32;
/// Most slices in one write.
const SLICES: usize = 16;

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The endpoint closed it.
    Closed,
    /// The peer or the network broke it.
    Broken,
    /// It was told to stop at once.
    Cut,
}

/// Drives `endpoint` until it closes, its socket breaks, or `cut` is triggered; `drain` asks it for
/// an orderly end. Must be a task of its own.
pub(crate) async fn drive<E: Endpoint>(
    stream: TcpStream,
    endpoint: E,
    clock: Clock,
    drain: Shutdown,
    cut: Shutdown,
) -> End {
    let mut timer = pin!(None);
    let mut draining = pin!(drain.wait());
    let mut cutting = pin!(cut.wait());
    let mut is_registered = false;
    let mut is_draining = false;
    let mut connection =
        Connection { stream, endpoint, clock, is_full: false, is_ended: false, armed: None };
    poll_fn(|cx| {
        // A task's waker stays the same, so that waiting for the signals once is enough; from then
        // on their flags are read, which takes no lock.
        if !is_registered {
            is_registered = true;
            let _ = draining.as_mut().poll(cx);
            let _ = cutting.as_mut().poll(cx);
        }
        if cut.is_triggered() {
            return Poll::Ready(End::Cut);
        }
        if !is_draining && drain.is_triggered() {
            is_draining = true;
            connection.endpoint.shut_down();
        }
        connection.poll(timer.as_mut(), cx)
    })
    .await
}

struct Connection<E> {
    stream: TcpStream,
    endpoint: E,
    clock: Clock,
    /// The socket took nothing at the last write.
    is_full: bool,
    /// The peer has ended its side.
    is_ended: bool,
    /// When the timer will fire.
    armed: Option<Instant>,
}

/// What came of one round.
enum Turn {
    Again,
    Wait,
    End(End),
}

impl<E: Endpoint> Connection<E> {
    fn poll(&mut self, mut timer: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Poll<End> {
        let mut now = self.clock.now();
        for _ in 0..TURNS {
            match self.turn(&mut now, timer.as_mut(), cx) {
                Ok(Turn::Again) => {}
                Ok(Turn::Wait) => {
                    self.endpoint.release();
                    return Poll::Pending;
                }
                Ok(Turn::End(end)) => return Poll::Ready(end),
                Err(_) => return Poll::Ready(End::Broken),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn turn(
        &mut self,
        now: &mut Now,
        timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> io::Result<Turn> {
        let until = match self.endpoint.poll_output(*now, cx) {
            Next::Write if !self.is_full => {
                if self.poll_write(cx)?.is_pending() {
                    self.is_full = true;
                    self.endpoint.wrote(0);
                }
                return Ok(Turn::Again);
            }
            Next::Write => None,
            Next::Idle(until) => Some(until),
            Next::CloseWrite => {
                // Shutting down a socket's write half never waits.
                let _: Poll<()> = Pin::new(&mut self.stream).poll_shutdown(cx)?;
                return Ok(Turn::Again);
            }
            Next::Close => return Ok(Turn::End(End::Closed)),
        };
        if self.is_full && self.poll_write(cx)?.is_ready() {
            return Ok(Turn::Again);
        }
        if !self.is_ended && self.endpoint.wants_read() && self.poll_read(cx)?.is_ready() {
            return Ok(Turn::Again);
        }
        if self.poll_timer(until, timer, cx).is_ready() {
            *now = self.clock.now();
            return Ok(Turn::Again);
        }
        Ok(Turn::Wait)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
        let filled = self.endpoint.unsent(&mut slices);
        let stream = Pin::new(&mut self.stream);
        let n = ready!(match slices.get(..filled).unwrap_or_default() {
            [slice] => stream.poll_write(cx, slice),
            slices => {
                let mut buffers = [IoSlice::new(&[]); SLICES];
                for (buffer, slice) in buffers.iter_mut().zip(slices) {
                    *buffer = IoSlice::new(slice);
                }
                stream.poll_write_vectored(cx, buffers.get(..filled).unwrap_or_default())
            }
        })?;
        if n == 0 {
            // Nothing was asked to be written, or nothing ever will be.
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_full = false;
        self.endpoint.wrote(n);
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // First of all, so that a connection that waits holds no buffer.
        ready!(self.stream.poll_read_ready(cx))?;
        let read = pin!(self.stream.read_buf(self.endpoint.read_buffer()));
        if ready!(read.poll(cx))? == 0 {
            self.is_ended = true;
            self.endpoint.end_of_stream();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when an instant at or before `until` has come. Deadlines mostly move later: the timer
    /// is left as it is then, and set anew when it fires.
    fn poll_timer(
        &mut self,
        until: Option<Instant>,
        mut timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if let Some(until) = until
            && self.armed.is_none_or(|armed| until < armed)
            && let Some(deadline) = self.clock.timer_instant(until)
        {
            self.armed = Some(until);
            match timer.as_mut().as_pin_mut() {
                Some(sleep) => sleep.reset(deadline),
                None => timer.set(Some(sleep_until(deadline))),
            }
        }
        match timer.as_pin_mut() {
            Some(sleep) if self.armed.is_some() => {
                ready!(sleep.poll(cx));
                self.armed = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}
