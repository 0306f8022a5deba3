//! A loop for one connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use mio::{Events, Token};
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{Clock, Connection, ConnectionEnd, Shutdown, Step};

use crate::mailbox::Mailbox;
use crate::socket::{Registered, Socket, Stream};

const WAKER: Token = Token(0);
const STREAM: Token = Token(1);

/// Drives `endpoint` over one `stream`, on the thread that calls it: one that encrypts, one of an
/// accept loop of your own, one of a test. It goes on until the endpoint closes, the stream breaks, or
/// `cut` is triggered; `drain` asks the endpoint for an orderly end.
///
/// For many of them on one thread there is [`LoopServer::add`](crate::LoopServer::add).
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use windhover_core::Now;
/// use windhover_core::memcache::handler::{
///     Data, Handled, Handler, Reply, Request, Response, Session,
/// };
/// use windhover_mio::{Clock, ConnectionEnd, Shutdown, drive, mio};
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
/// let (accepted, _) = listener.accept()?;
/// accepted.set_nonblocking(true)?;
/// drop(peer);
/// let (never, session) = (Shutdown::new(), Session::with_defaults(One, Now::default()));
/// let stream = mio::net::TcpStream::from_std(accepted);
/// assert_eq!(drive(stream, session, Clock::new(), &never, &never)?, ConnectionEnd::Closed);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the operating system refuses the loop, or to have the stream watched.
pub fn drive<E: Endpoint>(
    stream: impl Into<Stream>,
    endpoint: E,
    clock: Clock,
    drain: &Shutdown,
    cut: &Shutdown,
) -> io::Result<ConnectionEnd> {
    let mut poll = mio::Poll::new()?;
    let mailbox = Mailbox::<()>::new(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
    let mailbox = Arc::new(mailbox);
    let waker = Waker::from(Arc::clone(&mailbox));
    let mut cx = Context::from_waker(&waker);
    let socket = Socket::given(stream);
    let stream = Registered::new(socket, true, poll.registry(), STREAM)?;
    let mut connection = Connection::new(stream, endpoint);
    let (mut draining, mut cutting) = (drain.wait(), cut.wait());
    let mut events = Events::with_capacity(8);
    loop {
        mailbox.receive(&mut Vec::new());
        if Pin::new(&mut cutting).poll(&mut cx).is_ready() {
            return Ok(ConnectionEnd::Cut);
        }
        if Pin::new(&mut draining).poll(&mut cx).is_ready() {
            connection.shut_down();
        }
        let now = clock.now();
        let until = match connection.turn(now, &mut cx) {
            Step::Again => continue,
            Step::Wait(until) => until,
            Step::End(end) => return Ok(end),
        };
        if !mailbox.park() {
            continue;
        }
        let timeout = until.map(|until| until.saturating_since(clock.now().instant));
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter().filter(|event| event.token() == STREAM) {
            connection.stream_mut().note(event);
        }
    }
}
