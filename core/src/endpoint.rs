//! What an adapter sees of a server-side connection with the application behind it.

use core::net::SocketAddr;
use core::task::Context;

use bytes::BytesMut;

use crate::{Instant, Now};

pub use crate::buffer::{Incoming, Outgoing, Spare};

/// What a connection wants next; see [`Endpoint::poll_output`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes wait to be written: take them with [`Endpoint::unsent`], then tell how many went with
    /// [`Endpoint::wrote`].
    Write,
    /// Nothing to do until bytes come, the waker is called or this instant has come.
    Idle(Instant),
    /// Everything is written and nothing more will be: close the socket's write half, go on
    /// reading. Told once, by a protocol whose last answer would be lost in the reset that closing
    /// a socket with unread bytes sends.
    CloseWrite,
    /// Everything is written: close the socket.
    Close,
}

/// One server-side connection together with the application that answers it: a state machine
/// that an adapter drives. An adapter has one loop for every protocol.
///
/// **The rule:** after every input ([`read_buffer`](Self::read_buffer) filled,
/// [`end_of_stream`](Self::end_of_stream), [`wrote`](Self::wrote), a call of the waker, a deadline
/// that has come) call [`poll_output`](Self::poll_output) until it says [`Next::Idle`] or
/// [`Next::Close`].
///
/// An endpoint that says what it is told, and what an adapter does to it:
///
/// ```
/// use bytes::BytesMut;
/// use core::task::{Context, Waker};
/// use core::time::Duration;
/// use windhover_core::Now;
/// use windhover_core::endpoint::{Endpoint, Incoming, Next, Outgoing};
///
/// #[derive(Default)]
/// struct Echo {
///     incoming: Incoming,
///     outgoing: Outgoing,
///     ended: bool,
/// }
///
/// impl Endpoint for Echo {
///     fn read_buffer(&mut self) -> &mut BytesMut {
///         self.incoming.read_buffer(0)
///     }
///     fn wants_read(&self) -> bool {
///         !self.ended && self.outgoing.is_empty()
///     }
///     fn end_of_stream(&mut self) {
///         self.ended = true;
///     }
///     fn shut_down(&mut self) {
///         self.ended = true;
///     }
///     fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
///         self.outgoing.put_shared(self.incoming.take(usize::MAX));
///         match (self.outgoing.is_empty(), self.ended) {
///             (false, _) => Next::Write,
///             (true, true) => Next::Close,
///             (true, false) => Next::Idle(now.instant + Duration::from_secs(60)),
///         }
///     }
///     fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
///         self.outgoing.slices(into)
///     }
///     fn wrote(&mut self, n: usize) {
///         self.outgoing.advance(n);
///     }
///     fn release(&mut self) {
///         self.incoming.release();
///     }
/// }
///
/// let (mut echo, now) = (Echo::default(), Now::default());
/// let mut cx = Context::from_waker(Waker::noop());
/// // The socket was readable.
/// echo.read_buffer().extend_from_slice(b"hello");
/// assert_eq!(echo.poll_output(now, &mut cx), Next::Write);
/// // The socket is writable, and takes all of it.
/// let mut slices = [&b""[..]; 4];
/// let filled = echo.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"hello");
/// echo.wrote(5);
/// assert_eq!(echo.poll_output(now, &mut cx), Next::Idle(now.instant + Duration::from_secs(60)));
/// // The peer has said all that it wanted.
/// echo.end_of_stream();
/// assert_eq!(echo.poll_output(now, &mut cx), Next::Close);
/// ```
pub trait Endpoint {
    /// A buffer with spare capacity that the adapter's read appends to.
    fn read_buffer(&mut self) -> &mut BytesMut;

    /// Whether more bytes are wanted. While it is `false` the adapter does not read: that is the
    /// backpressure that the peer feels.
    fn wants_read(&self) -> bool;

    /// The peer is a proxy, which passes on the connection that it took from `source` (PROXY protocol).
    /// Told before any byte has come, where the adapter was set to believe it.
    fn proxied_for(&mut self, source: SocketAddr) {
        let _ = source;
    }

    /// The peer will send no more bytes. What it has sent is still answered.
    fn end_of_stream(&mut self);

    /// Asks for an orderly end: what is in flight is answered, nothing new is begun.
    fn shut_down(&mut self);

    /// Does what can be done at `now`, and says what comes next. Answers that are not ready yet
    /// call `cx`'s waker when they are.
    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next;

    /// Fills `into` with the slices to write, in order, and returns how many it filled.
    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize;

    /// The adapter wrote the first `n` unsent bytes. 0 says that the socket takes nothing now: from
    /// then on, until some more is written, [`poll_output`](Self::poll_output) says [`Next::Idle`]
    /// with the deadline for that instead of [`Next::Write`].
    fn wrote(&mut self, n: usize);

    /// How many bytes of memory it holds for its peer: what has come and was not worked off, what waits to
    /// be written. A value that many hold counts for each of them. What an adapter bounds all connections
    /// together by; one that says 0 takes no part in that.
    fn held(&self) -> usize {
        0
    }

    /// Gives back the memory that an idle connection does not need; called before waiting.
    fn release(&mut self);

    /// Takes over the memory that another connection has left in `spare`; called before a read, where
    /// the adapter keeps such memory. Who does nothing allocates its own.
    fn reuse(&mut self, spare: &mut Spare) {
        let _ = spare;
    }

    /// As [`release`](Self::release), which is what it does unless it is overridden, and leaves memory in
    /// `spare` for the next connection.
    fn release_to(&mut self, spare: &mut Spare) {
        let _ = spare;
        self.release();
    }
}
