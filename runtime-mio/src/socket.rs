//! Sockets that a loop drives, and what is known of their readiness.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll};

use bytes::BytesMut;
use mio::event::{Event, Source};
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use windhover_runtime::{PollStream, close_write, read_spare};

/// A read that is not filled has emptied the socket, and what comes later is told again. So it is
/// where mio asks the operating system for edges; elsewhere only a failed read leads to new events.
const SHORT_READ_EMPTIES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd",
));

/// A stream that a loop drives, other than those that it accepts or connects itself: whatever is a
/// [`Source`], is read and written, such as one that encrypts what a socket carries.
///
/// It must not block, and its events are those of what it registers: told once, when it becomes
/// readable or writable. What [`Write::write`] took and kept is sent by [`Write::flush`].
///
/// ```
/// use std::io::Write as _;
/// use std::net::{Shutdown, TcpListener};
/// use windhover_mio::Stream;
/// use windhover_mio::mio::net::TcpStream;
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let socket = TcpStream::connect(listener.local_addr()?)?;
/// // What `Stream::from` does for a socket; a stream that encrypts has a farewell to say before.
/// let stream = Stream::with_close_write(socket, |socket| {
///     socket.flush()?;
///     socket.shutdown(Shutdown::Write)
/// });
/// # drop(stream);
/// # Ok(())
/// # }
/// ```
pub struct Stream(Box<dyn Given>);

impl Stream {
    /// `stream`, with what ends what the peer reads, behind all that was flushed, and leaves the other
    /// direction open. Where [`WouldBlock`](io::ErrorKind::WouldBlock) comes of that, it is tried again
    /// with the next event.
    ///
    /// Without it, as [`From`] makes a stream, a socket of mio's has its write half closed, and the
    /// peer of anything else learns of the end by the close.
    pub fn with_close_write<S: Source + Read + Write + Send + 'static>(
        stream: S,
        close_write: impl FnMut(&mut S) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self(Box::new(Closing { stream, close_write }))
    }
}

impl<S: Source + Read + Write + Send + 'static> From<S> for Stream {
    fn from(stream: S) -> Self {
        Self::with_close_write(stream, |stream| {
            let stream: &mut dyn Any = stream;
            if let Some(socket) = stream.downcast_mut::<TcpStream>() {
                return close_write(socket);
            }
            #[cfg(unix)]
            if let Some(socket) = stream.downcast_mut::<UnixStream>() {
                return close_write(socket);
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// A stream that was given.
trait Given: Send {
    fn stream(&mut self) -> &mut dyn Io;
    fn close_write(&mut self) -> io::Result<()>;
}

struct Closing<S, F> {
    stream: S,
    close_write: F,
}

impl<S, F> Given for Closing<S, F>
where
    S: Source + Read + Write + Send,
    F: FnMut(&mut S) -> io::Result<()> + Send,
{
    fn stream(&mut self) -> &mut dyn Io {
        &mut self.stream
    }

    fn close_write(&mut self) -> io::Result<()> {
        (self.close_write)(&mut self.stream)
    }
}

/// What every stream can do.
pub(crate) trait Io: Source + Read + Write {}

impl<S: Source + Read + Write> Io for S {}

/// What is driven. A socket is four bytes, and there may be many: they are no boxes, and what is given
/// is one twice, so that it does not make room for two pointers in each of them.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Given(Box<Stream>),
}

impl Socket {
    pub(crate) fn given(stream: impl Into<Stream>) -> Self {
        Self::Given(Box::new(stream.into()))
    }

    pub(crate) fn stream(&mut self) -> &mut dyn Io {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Given(stream) => stream.0.stream(),
        }
    }

    fn close_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => close_write(stream),
            #[cfg(unix)]
            Self::Unix(stream) => close_write(stream),
            Self::Given(stream) => stream.0.close_write(),
        }
    }
}

/// What a socket has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Nothing, until an event comes.
    Nothing,
    /// Something.
    Some,
    /// Something, and the end or an error behind it: no further event will tell of that.
    Last,
    /// The end, which was told.
    Ended,
}

/// A registered socket, and what is known of its readiness: events come once, so that it is
/// remembered until an operation says otherwise.
pub(crate) struct Registered {
    pub(crate) socket: Socket,
    input: Input,
    /// It takes bytes, as far as is known.
    pub(crate) takes_output: bool,
}

impl Registered {
    /// Registers a socket, which is connected and takes bytes, or will tell that it is.
    pub(crate) fn new(
        mut socket: Socket,
        is_connected: bool,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        socket.stream().register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { socket, input: Input::Nothing, takes_output: is_connected })
    }

    /// Notes what an event tells; whether there is something to do now that there was not before.
    pub(crate) fn note(&mut self, event: &Event) -> bool {
        let (had_input, took_output) = (self.input != Input::Nothing, self.takes_output);
        let is_last = event.is_read_closed() || event.is_error();
        match self.input {
            Input::Nothing | Input::Some if is_last => self.input = Input::Last,
            Input::Nothing if event.is_readable() => self.input = Input::Some,
            _ => {}
        }
        self.takes_output |= event.is_writable() || event.is_write_closed() || event.is_error();
        (!had_input && self.input != Input::Nothing) || (!took_output && self.takes_output)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        let _ = self.socket.stream().deregister(registry);
    }

    /// Does `write` unless the socket is known to take nothing, until an event says that it does.
    fn poll_output<T>(
        &mut self,
        mut write: impl FnMut(&mut Socket) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        while self.takes_output {
            match write(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.takes_output = false;
                }
                written => return Poll::Ready(written),
            }
        }
        Poll::Pending
    }
}

/// What is pending is worth another try when an event was [noted](Registered::note): wakers are not
/// called.
impl PollStream for Registered {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let Self { socket, input, .. } = self;
        // What a given stream holds has no event of its own.
        let short_read_empties = SHORT_READ_EMPTIES && !matches!(socket, Socket::Given(_));
        if !matches!(input, Input::Some | Input::Last) {
            return Poll::Pending;
        }
        read_spare(buffer(), |into| {
            loop {
                let read = match &mut *socket {
                    Socket::Tcp(stream) => stream.read(into),
                    other => other.stream().read(into),
                };
                match read {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        *input = Input::Nothing;
                        return Poll::Pending;
                    }
                    Err(_) | Ok(0) => *input = Input::Ended,
                    Ok(n) if short_read_empties && n < into.len() && *input == Input::Some => {
                        *input = Input::Nothing;
                    }
                    Ok(_) => {}
                }
                return Poll::Ready(read);
            }
        })
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_output(|socket| match (socket, out) {
            (Socket::Tcp(stream), [slice]) => stream.write(slice),
            (Socket::Tcp(stream), out) => stream.write_vectored(out),
            (other, [slice]) => other.stream().write(slice),
            (other, out) => other.stream().write_vectored(out),
        })
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.socket {
            Socket::Given(_) => self.poll_output(|socket| socket.stream().flush()),
            // A socket keeps nothing.
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_output(|socket| {
            socket.stream().flush()?;
            socket.close_write()
        })
    }
}
