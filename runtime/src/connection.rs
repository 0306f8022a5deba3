//! What moves bytes between one stream and its endpoint.

use std::cell::RefCell;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use windhover_core::endpoint::{Endpoint, Next, Spare};
use windhover_core::{Counters, Instant, Now};

use crate::memory::{Account, GRACE};
use crate::proxies::{Announced, Unannounced};
use crate::secured::Secured;
use crate::stream::write_slices;
use crate::{Peer, PollStream, ServeOptions};

/// Most reads and writes before other connections have their turn.
const ROUNDS: usize = 32;
/// So many bytes are read before that at least, and twice as many at most: what is done with them takes
/// much longer than to read them.
const READ_IN_TURN: usize = 64 * 1024;
/// How long a stream may take to pass on what it holds back, once its endpoint has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// One endpoint over its stream: the loop that every adapter has, whatever its protocol.
///
/// It keeps no time and starts nothing: [`drive`](crate::drive) gives it the timers of a runtime, an
/// event loop calls [`turn`](Self::turn) itself.
///
/// ```
/// use std::io::{self, IoSlice};
/// use std::task::{Context, Poll, Waker};
/// # use bytes::BytesMut;
/// # use windhover_core::Now;
/// use windhover_core::memcache::handler::{Data, Handled, Handler, Reply, Request, Response, Session};
/// use windhover_runtime::{Connection, ConnectionEnd, PollStream, Step};
/// # struct Memory {
/// #     input: &'static [u8],
/// #     output: Vec<u8>,
/// # }
/// # impl PollStream for Memory {
/// #     fn poll_read<'b>(
/// #         &mut self,
/// #         _: &mut Context<'_>,
/// #         buffer: impl FnOnce() -> &'b mut BytesMut,
/// #     ) -> Poll<io::Result<usize>> {
/// #         let input = std::mem::take(&mut self.input);
/// #         buffer().extend_from_slice(input);
/// #         Poll::Ready(Ok(input.len()))
/// #     }
/// #     fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
/// #         let before = self.output.len();
/// #         out.iter().for_each(|slice| self.output.extend_from_slice(slice));
/// #         Poll::Ready(Ok(self.output.len() - before))
/// #     }
/// #     fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// # }
///
/// struct One;
///
/// impl Handler for One {
///     fn handle(&mut self, _: Request<'_>, _: Data<'_>, reply: &mut Reply<'_>) -> Handled {
///         reply.send(&Response::Version(b"1"))
///     }
/// }
///
/// let (now, mut cx) = (Now::default(), Context::from_waker(Waker::noop()));
/// // A stream that gives these bytes and then its end, and keeps what is written (see `PollStream`).
/// let stream = Memory { input: b"version\r\n", output: Vec::new() };
/// let mut connection = Connection::new(stream, Session::with_defaults(One, now));
/// let end = loop {
///     match connection.turn(now, &mut cx) {
///         Step::Again => {}
///         Step::Wait(until) => panic!("it would be called again at {until:?}"),
///         Step::End(end) => break end,
///     }
/// };
/// assert_eq!(end, ConnectionEnd::Closed);
/// assert_eq!(connection.stream_mut().output, b"VERSION 1\r\n");
/// ```
#[derive(Debug)]
pub struct Connection<S, E> {
    stream: Secured<S>,
    endpoint: E,
    /// The header that a proxy has to send before anything else.
    unannounced: Option<Box<Unannounced>>,
    /// When an endpoint that has ended is dropped, whatever the stream still holds back: in seconds, for
    /// there may be many connections, and few that wait for this.
    close_by: Option<NonZero<u32>>,
    unflushed: Unflushed,
    /// The stream took nothing at the last write.
    is_full: bool,
    /// The peer has ended its side.
    is_ended: bool,
    /// The endpoint was asked for an orderly end.
    is_draining: bool,
    account: Account,
    /// Where what is read and written is counted.
    counters: Option<Arc<Counters>>,
    /// Bytes that were read, and written, in this turn.
    read: usize,
    written: usize,
}

thread_local! {
    /// The memory of the connection of this thread that had its turn last.
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// A buffer to read into, in memory that is there already where some is.
fn read_buffer<E: Endpoint>(endpoint: &mut E) -> &mut BytesMut {
    // There is none where the thread is ending.
    let _ =
        SPARE.try_with(|spare| spare.try_borrow_mut().map(|mut spare| endpoint.reuse(&mut spare)));
    endpoint.read_buffer()
}

/// Lets go the memory of an endpoint that waits, for the next one to use.
fn release(endpoint: &mut impl Endpoint) {
    let kept = SPARE
        .try_with(|spare| spare.try_borrow_mut().map(|mut spare| endpoint.release_to(&mut spare)));
    if !matches!(kept, Ok(Ok(()))) {
        endpoint.release();
    }
}

/// Waits, but no longer than to `at`.
fn wait_until(until: Option<Instant>, at: Instant) -> Step {
    Step::Wait(Some(until.map_or(at, |until| until.min(at))))
}

/// What a stream may hold back.
#[derive(Clone, Copy, Debug)]
enum Unflushed {
    Nothing,
    /// Something that was written.
    Written,
    /// The end behind it, too.
    End,
}

/// What comes next for a [`Connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more to do, but others are to have their turn before.
    Again,
    /// Nothing to do until the waker is called, or this instant has come.
    Wait(Option<Instant>),
    /// It is over.
    End(ConnectionEnd),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// The endpoint closed it.
    Closed,
    /// The peer or the network broke it.
    Broken,
    /// It was told to stop at once.
    Cut,
    /// What all connections hold was too much, and its peer had done nothing for the longest time
    /// ([`ConnectionMemory`](crate::ConnectionMemory)).
    Evicted,
}

impl<S: PollStream, E: Endpoint> Connection<S, E> {
    /// A stream that is open, and the endpoint that answers it.
    pub fn new(stream: S, endpoint: E) -> Self {
        Self::over(Secured::Plain(stream), endpoint)
    }

    /// A stream of `peer`'s that a listener accepted at `now`, with what its options put around it: the
    /// header of a proxy, TLS.
    ///
    /// # Errors
    ///
    /// When TLS cannot be begun.
    pub fn accepted(
        stream: S,
        peer: Peer,
        endpoint: E,
        options: &ServeOptions,
        now: Instant,
    ) -> io::Result<Self> {
        let mut accepted = Self::over(Secured::accepted(stream, peer, options, now)?, endpoint);
        accepted.account = Account::new(options.memory.clone(), peer);
        accepted.counters = Some(Arc::clone(&options.counters));
        let proxies = options.proxies.as_ref();
        accepted.unannounced = proxies.and_then(|proxies| Unannounced::new(peer, proxies, now));
        Ok(accepted)
    }

    fn over(stream: Secured<S>, endpoint: E) -> Self {
        Self {
            stream,
            endpoint,
            unannounced: None,
            close_by: None,
            unflushed: Unflushed::Nothing,
            is_full: false,
            is_ended: false,
            is_draining: false,
            account: Account::default(),
            counters: None,
            read: 0,
            written: 0,
        }
    }

    /// Asks the endpoint for an orderly end. The next turn begins it.
    pub fn shut_down(&mut self) {
        if !self.is_draining {
            self.is_draining = true;
            self.endpoint.shut_down();
        }
    }

    /// Drives the endpoint until it waits, for a bounded number of rounds.
    pub fn turn(&mut self, now: Now, cx: &mut Context<'_>) -> Step {
        self.account.begin_turn();
        let step = self.rounds(now, cx);
        self.count();
        if matches!(step, Step::End(_)) {
            return step;
        }
        let held = self.held();
        if !self.account.settle(held, now.instant, cx) {
            return Step::End(ConnectionEnd::Evicted);
        }
        match step {
            Step::Wait(until) if self.account.is_held_back() => {
                wait_until(until, now.instant + GRACE)
            }
            step => step,
        }
    }

    /// Counts what was read and written in this turn.
    fn count(&self) {
        if let Some(counters) = &self.counters {
            let counts =
                [(&counters.read_bytes, self.read), (&counters.written_bytes, self.written)];
            for (counter, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
                counter.fetch_add(n as u64, Ordering::Relaxed);
            }
        }
    }

    /// How many bytes it holds for its peer.
    fn held(&self) -> usize {
        let header = self.unannounced.as_ref().map_or(0, |header| header.held());
        self.endpoint.held() + self.stream.held() + header
    }

    fn rounds(&mut self, now: Now, cx: &mut Context<'_>) -> Step {
        (self.read, self.written) = (0, 0);
        for _ in 0..ROUNDS {
            match self.round(now, cx) {
                Ok(Step::Again) if self.read >= READ_IN_TURN => break,
                Ok(Step::Again) => {}
                Ok(Step::Wait(until)) => {
                    release(&mut self.endpoint);
                    return self.wait(until, now.instant);
                }
                Ok(end) => return end,
                Err(_) => return Step::End(ConnectionEnd::Broken),
            }
        }
        Step::Again
    }

    /// Waits, but not longer for a proxy's header, or a peer's part of the handshake, than it may take.
    fn wait(&mut self, until: Option<Instant>, now: Instant) -> Step {
        if let Some(header) = &self.unannounced {
            if header.announce_by <= now {
                header.give_up();
                return Step::End(ConnectionEnd::Broken);
            }
            return wait_until(until, header.announce_by);
        }
        let Some(agree_by) = self.stream.agree_by() else { return Step::Wait(until) };
        if agree_by <= now {
            self.stream.give_up();
            return Step::End(ConnectionEnd::Broken);
        }
        wait_until(until, agree_by)
    }

    fn round(&mut self, now: Now, cx: &mut Context<'_>) -> io::Result<Step> {
        let until = match self.endpoint.poll_output(now, cx) {
            Next::Write if !self.is_full => {
                if self.poll_write(cx)?.is_pending() {
                    self.is_full = true;
                    self.endpoint.wrote(0);
                }
                return Ok(Step::Again);
            }
            Next::Write => None,
            Next::Idle(until) => Some(until),
            Next::CloseWrite => {
                self.unflushed = Unflushed::End;
                return Ok(Step::Again);
            }
            Next::Close => {
                if self.stream.say_end() {
                    self.unflushed = Unflushed::Written;
                }
                if self.poll_flush(cx)?.is_ready() {
                    return Ok(Step::End(ConnectionEnd::Closed));
                }
                let by = self.close_by(now.instant);
                if by <= now.instant {
                    return Ok(Step::End(ConnectionEnd::Closed));
                }
                return Ok(Step::Wait(Some(by)));
            }
        };
        if self.is_full && self.poll_write(cx)?.is_ready() {
            return Ok(Step::Again);
        }
        // Whether it waits or not, the peer may go on sending.
        let _: Poll<()> = self.poll_flush(cx)?;
        if !self.is_ended && self.endpoint.wants_read() {
            let header = self.unannounced.as_ref().map_or(0, |header| header.held());
            let held = || self.endpoint.held() + self.stream.held() + header;
            if self.account.may_read(held, now.instant, cx) && self.poll_read(cx)?.is_ready() {
                return Ok(Step::Again);
            }
        }
        Ok(Step::Wait(until))
    }

    /// Until when an endpoint that has ended is kept.
    fn close_by(&mut self, now: Instant) -> Instant {
        let seconds = *self.close_by.get_or_insert_with(|| {
            let by = (now + CLOSE_TIMEOUT).since_epoch().as_secs();
            NonZero::new(u32::try_from(by).unwrap_or(u32::MAX)).unwrap_or(NonZero::<u32>::MIN)
        });
        Instant::from_epoch(Duration::from_secs(seconds.get().into()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (endpoint, stream) = (&self.endpoint, &mut self.stream);
        let n = ready!(write_slices(
            |into| endpoint.unsent(into),
            |slices| match slices {
                // Nothing was asked to be written: nothing ever will be.
                [] => Poll::Ready(Ok(0)),
                slices => stream.poll_write(cx, slices),
            }
        ))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_full = false;
        self.unflushed = Unflushed::Written;
        self.account.moved();
        self.written += n;
        self.endpoint.wrote(n);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.unflushed {
            Unflushed::Nothing => {}
            Unflushed::Written => ready!(self.stream.poll_flush(cx))?,
            Unflushed::End => ready!(self.stream.poll_close_write(cx))?,
        }
        self.unflushed = Unflushed::Nothing;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(header) = &mut self.unannounced {
            let announced = ready!(header.poll_header(self.stream.stream_mut(), cx))?;
            self.unannounced = None;
            self.announce(announced);
            return Poll::Ready(Ok(()));
        }
        let (endpoint, stream) = (&mut self.endpoint, &mut self.stream);
        let n = ready!(stream.poll_read(cx, || read_buffer(endpoint)))?;
        self.read += n;
        if n == 0 {
            self.is_ended = true;
            self.endpoint.end_of_stream();
        } else {
            self.account.moved();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S, E: Endpoint> Connection<S, E> {
    /// Goes on behind a proxy's header.
    fn announce(&mut self, announced: Announced) {
        if let Some(source) = announced.source {
            self.endpoint.proxied_for(source);
            self.stream.proxied_for(source);
            self.account.proxied_for(source);
        }
        self.account.moved();
        if let Some(plain) = self.stream.take_early(announced.rest) {
            read_buffer(&mut self.endpoint).extend_from_slice(&plain);
        }
    }
}

impl<S, E> Connection<S, E> {
    /// The stream, for what the adapter alone knows of it.
    pub fn stream_mut(&mut self) -> &mut S {
        self.stream.stream_mut()
    }
}
