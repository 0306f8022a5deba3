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
