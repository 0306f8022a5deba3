//! The loop that moves bytes between one stream and its endpoint.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_io::Timer;
use futures_io::{AsyncRead, AsyncWrite};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::{Instant, Now};

use crate::{Clock, Shutdown};

/// Most reads and writes before other tasks have their turn.
const TURNS: usize = 32;
/// Most slices in one write.
const SLICES: usize = 16;
/// Most bytes of one read, unless the last one filled it: what a connection holds unread is small
/// for all but those that send much.
const READ: usize = 8 * 1024;
/// Most bytes of one read behind a full one.
const LARGE_READ: usize = 64 * 1024;
/// How long a stream may take to pass on what it holds back, once its endpoint has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    /// What reads go to before the endpoint takes them. An initialised slice is all that
    /// `futures-io` reads into; one for each thread, for a connection that waits should hold none.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The endpoint closed it.
    Closed,
    /// The peer or the network broke it.
    Broken,
    /// It was told to stop at once.
    Cut,
}

/// Drives `endpoint` over `stream` until it closes, the stream breaks, or `cut` is triggered;
/// `drain` asks it for an orderly end.
///
/// The stream is any of `futures-io`. Its `poll_close` has to end what the peer reads and leave the
/// other direction open, as smol's `TcpStream` does; async-std's does not. What it holds back, such
/// as one that encrypts, is flushed when the endpoint has nothing more to write.
///
/// Executors that are fair to their tasks are what it is made for: it goes to the end of the line
/// after some reads and writes.
pub async fn drive<S, E>(
    stream: S,
    endpoint: E,
    clock: Clock,
    drain: Shutdown,
    cut: Shutdown,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: Endpoint,
{
    let mut draining = pin!(drain.wait());
    let mut cutting = pin!(cut.wait());
    let mut registered: Option<Waker> = None;
    let mut is_draining = false;
    let mut connection = Connection {
        stream,
        endpoint,
        clock,
        timer: Timer::never(),
        armed: None,
        is_full: false,
        is_ended: false,
        to_let_out: ToLetOut::Nothing,
        most: READ,
        close_by: None,
    };
    poll_fn(|cx| {
        // Waiting for the signals once for each waker is enough, and most tasks have but one; then
        // their flags are read, which takes no lock.
        if !registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            registered = Some(cx.waker().clone());
            // Once they are ready they must not be polled again.
            if !drain.is_triggered() {
                let _ = draining.as_mut().poll(cx);
            }
            if !cut.is_triggered() {
                let _ = cutting.as_mut().poll(cx);
            }
        }
        if cut.is_triggered() {
            return Poll::Ready(End::Cut);
        }
        if !is_draining && drain.is_triggered() {
            is_draining = true;
            connection.endpoint.shut_down();
        }
        connection.poll(cx)
    })
    .await
}

struct Connection<S, E> {
    stream: S,
    endpoint: E,
    clock: Clock,
    timer: Timer,
    /// When the timer will fire.
    armed: Option<Instant>,
    /// The stream took nothing at the last write.
    is_full: bool,
    /// The peer has ended its side.
    is_ended: bool,
    /// What the stream may hold back.
    to_let_out: ToLetOut,
    /// Most bytes of the next read.
    most: usize,
    /// When an endpoint that has ended is dropped, whatever the stream still holds back.
    close_by: Option<Instant>,
}

/// What a stream may hold back.
enum ToLetOut {
    Nothing,
    /// Something that was written.
    Written,
    /// The end behind it, too.
    End,
}

/// What came of one round.
enum Turn {
    Again,
    Wait,
    End(End),
}

impl<S: AsyncRead + AsyncWrite + Unpin, E: Endpoint> Connection<S, E> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut now = self.clock.now();
        for _ in 0..TURNS {
            match self.turn(&mut now, cx) {
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

    fn turn(&mut self, now: &mut Now, cx: &mut Context<'_>) -> io::Result<Turn> {
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
                self.to_let_out = ToLetOut::End;
                return Ok(Turn::Again);
            }
            Next::Close => {
                let by = *self.close_by.get_or_insert(now.instant + CLOSE_TIMEOUT);
                if by <= now.instant || self.poll_flush(cx)?.is_ready() {
                    return Ok(Turn::End(End::Closed));
                }
                return Ok(self.until_deadline(Some(by), now, cx));
            }
        };
        if self.is_full && self.poll_write(cx)?.is_ready() {
            return Ok(Turn::Again);
        }
        // Whether it waits or not, the peer may go on sending.
        let _: Poll<()> = self.poll_flush(cx)?;
        if !self.is_ended && self.endpoint.wants_read() && self.poll_read(cx)?.is_ready() {
            return Ok(Turn::Again);
        }
        Ok(self.until_deadline(until, now, cx))
    }

    fn until_deadline(
        &mut self,
        until: Option<Instant>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Turn {
        if self.poll_timer(until, cx).is_pending() {
            return Turn::Wait;
        }
        *now = self.clock.now();
        Turn::Again
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
        self.to_let_out = ToLetOut::Written;
        self.endpoint.wrote(n);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        match self.to_let_out {
            ToLetOut::Nothing => {}
            ToLetOut::Written => ready!(stream.poll_flush(cx))?,
            ToLetOut::End => ready!(stream.poll_close(cx))?,
        }
        self.to_let_out = ToLetOut::Nothing;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Taken, not borrowed: a stream may itself be driven from within this read.
        let mut scratch = SCRATCH.take();
        scratch.resize(LARGE_READ, 0);
        let buffer = scratch.get_mut(..self.most).unwrap_or_default();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(n)) = read {
            self.most = if n == self.most { LARGE_READ } else { READ };
            match buffer.get(..n).unwrap_or_default() {
                [] => {
                    self.is_ended = true;
                    self.endpoint.end_of_stream();
                }
                bytes => self.endpoint.read_buffer().extend_from_slice(bytes),
            }
        }
        SCRATCH.set(scratch);
        read.map_ok(drop)
    }

    /// Ready when an instant at or before `until` has come. Deadlines mostly move later: the timer
    /// is left as it is then, and set anew when it fires.
    fn poll_timer(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = until
            && self.armed.is_none_or(|armed| until < armed)
            && let Some(deadline) = self.clock.timer_instant(until)
        {
            self.armed = Some(until);
            self.timer.set_at(deadline);
        }
        if self.armed.is_some() {
            ready!(Pin::new(&mut self.timer).poll(cx));
            self.armed = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
