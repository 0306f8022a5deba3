//! What an adapter drives.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use windhover_core::Instant;
use windhover_core::client::{ConnectFailure, ConnectionId, OsError, Server};

use super::Hub;
use super::link::Link;
use crate::ConnectError;
#[cfg(feature = "tls")]
use crate::tls::Session;

/// The half of a client that needs sockets and timers: an adapter gives it both.
///
/// Three things are to be done, by one task or by many; every method may be called from any
/// thread, and none waits:
///
/// 1. Ask [`next`](Self::next) what is to be done, and do it: connect, or wait for an instant. The
///    waker that was given is called when there is something new.
/// 2. For each connection that was made: [`connected`](Self::connected), and then, whenever the
///    socket is ready or the waker is called, [`turn`](Self::turn), [`read`](Self::read) and
///    [`write`](Self::write) until the socket takes and gives nothing more; for a stream that is
///    polled, [`run`](Self::run) does so.
/// 3. When a connection could not be made, say so: [`connect_failed`](Self::connect_failed).
///
/// What is written and read is TLS where the client was built so. An adapter sees nothing of it, but
/// that a connection reads and writes before the first call is sent.
///
/// A driver that is dropped before its time ends every call with an error: nobody waits for ever
/// because a runtime has stopped.
///
/// A call from its beginning to its end, with the test in the place of the socket:
///
/// ```
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
/// use windhover_client::{Client, DriverStep, Turn};
///
/// let mut cx = Context::from_waker(Waker::noop());
/// let (client, driver) = Client::builder().server("10.0.0.1:11211").build()?;
/// let mut get = pin!(client.get("greeting"));
/// assert!(get.as_mut().poll(&mut cx).is_pending());
///
/// let DriverStep::Connect { connection, server } = driver.next(cx.waker()) else {
///     panic!("it connects")
/// };
/// assert_eq!(&*server.address, "10.0.0.1:11211");
/// driver.connected(connection);
///
/// let Turn { wants_write, is_closed, .. } = driver.turn(connection, cx.waker());
/// assert!(wants_write && !is_closed);
/// let mut sent = Vec::new();
/// let written = driver.write(connection, |slices| {
///     slices.iter().for_each(|slice| sent.extend_from_slice(slice));
///     Poll::Ready(Ok(sent.len()))
/// });
/// assert!(written.is_ready());
/// assert_eq!(sent, b"get greeting\r\n");
///
/// let reply = b"VALUE greeting 0 5\r\nhello\r\nEND\r\n";
/// let read = driver.read(connection, |buffer| {
///     buffer.extend_from_slice(reply);
///     Poll::Ready(Ok(reply.len()))
/// });
/// assert!(read.is_ready());
/// let Poll::Ready(found) = get.poll(&mut cx) else { panic!("it is answered") };
/// assert_eq!(found?.map(|value| value.data), Some("hello".into()));
/// # Ok::<(), windhover_client::Error>(())
/// ```
pub struct Driver {
    pub(super) hub: Arc<Hub>,
    /// The one that was made first, with the promise to go on until [`DriverStep::Closed`].
    is_main: bool,
}

/// What [`Driver::next`] wants.
#[derive(Debug)]
pub enum DriverStep {
    /// Connect to the server, and drive the connection from then on. [`Turn::is_closed`] tells when
    /// it is not wanted any more, also while it is being made.
    Connect {
        /// What the connection is called.
        connection: ConnectionId,
        /// Where to.
        server: Server,
    },
    /// Come again after this time, or when the waker is called.
    Wait(Duration),
    /// Every client is gone and every call is over: nothing is to be done any more.
    Closed,
}

/// What a connection wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// The socket is to be closed; the connection is over.
    pub is_closed: bool,
    /// Bytes wait to be written.
    pub wants_write: bool,
}

impl Driver {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, is_main: true }
    }

    /// Another handle, for the task of a connection.
    #[must_use]
    pub fn for_connection(&self) -> Self {
        Self { hub: Arc::clone(&self.hub), is_main: false }
    }

    /// What is to be done next; `waker` is called when that changes.
    pub fn next(&self, waker: &Waker) -> DriverStep {
        let mut state = self.hub.lock();
        let now = self.hub.now();
        state.pump(now);
        if let Some((connection, server)) = state.to_connect.pop_front() {
            return DriverStep::Connect { connection, server };
        }
        if state.is_closed && state.links.values().all(|link| link.signal().is_closed) {
            return DriverStep::Closed;
        }
        state.driver = Some(waker.clone());
        let (awake, next) = self.hub.sleepers.due(now);
        state.wakers.extend(awake);
        state.look_for_callers(now);
        let others = [next, state.looks_at].into_iter().flatten();
        let until = others.fold(state.deadline, Instant::min);
        state.armed = Some(until);
        DriverStep::Wait(until.saturating_since(now))
    }

    /// Whether a call of its clients is under way.
    pub fn has_calls(&self) -> bool {
        self.hub.lock().cluster.has_calls()
    }

    /// The connection was made.
    pub fn connected(&self, connection: ConnectionId) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.hub.tls {
            return self.begin_session(connection, tls);
        }
        if let Some(link) = self.link(connection) {
            self.hub.forget_cause(&link);
        }
        self.hub.change(|cluster, now| cluster.connected(connection, now));
    }

    /// The socket is connected: who the server is has to be agreed first.
    #[cfg(feature = "tls")]
    fn begin_session(&self, connection: ConnectionId, tls: &crate::Tls) {
        let Some(link) = self.link(connection) else { return };
        let Some(server) = link.server.clone() else { return };
        match Session::new(tls, server.clone()) {
            Ok(session) => {
                link.wire().session = Some(session);
                if let Some(waker) = link.tell(|signal| signal.wants_write = true) {
                    waker.wake();
                }
            }
            Err(why) => {
                let failure = tls.failed(&server, &why);
                self.hub.note_cause(&link, ConnectError::new(failure, why));
                self.hub.give_up(connection, &link, failure);
            }
        }
    }

    /// Waits for a connection to be made, as long as it is wanted, and tells what came of it. The
    /// stream, to be driven from now on; `None` where there is none.
    pub async fn make<S>(
        &self,
        connection: ConnectionId,
        connecting: impl Future<Output = Result<S, ConnectError>>,
    ) -> Option<S> {
        let mut connecting = pin!(connecting);
        let made = poll_fn(|cx| {
            if self.turn(connection, cx.waker()).is_closed {
                return Poll::Ready(None);
            }
            connecting.as_mut().poll(cx).map(Some)
        });
        match made.await? {
            Ok(stream) => {
                self.connected(connection);
                Some(stream)
            }
            Err(why) => {
                self.connect_failed(connection, why);
                None
            }
        }
    }

    /// The connection could not be made.
    pub fn connect_failed(&self, connection: ConnectionId, why: impl Into<ConnectError>) {
        let why = why.into();
        let failure = why.failure();
        if let Some(link) = self.link(connection) {
            self.hub.note_cause(&link, why);
        }
        self.hub.change(|state, now| state.connect_failed(connection, failure, now));
        self.hub.lock().links.remove(&connection.number());
    }

    /// What the connection wants; `waker` is called when that changes.
    pub fn turn(&self, connection: ConnectionId, waker: &Waker) -> Turn {
        match self.link(connection) {
            Some(link) => self.hub.turn_link(connection, &link, waker),
            None => Turn { is_closed: true, wants_write: false },
        }
    }

    /// Writes what waits, with `write`, which must not block: it says how many bytes went, or
    /// [`Poll::Pending`] where the socket takes nothing now and will say when it does.
    ///
    /// `Ready` means that it may be called again at once, if [`turn`](Self::turn) says so.
    pub fn write(
        &self,
        connection: ConnectionId,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        match self.link(connection) {
            Some(link) => self.hub.write_link(connection, &link, write),
            None => Poll::Pending,
        }
    }

    /// Reads with `read`, which must not block: it appends to the buffer and says how many bytes
    /// came, 0 at the end of the stream, or [`Poll::Pending`] where nothing is there now and the
    /// socket will say when there is.
    pub fn read(
        &self,
        connection: ConnectionId,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        match self.link(connection) {
            Some(link) => self.hub.read_link(connection, &link, read),
            None => Poll::Pending,
        }
    }

    /// A connection that is not over, as far as its tasks were told.
    pub(super) fn link(&self, connection: ConnectionId) -> Option<Arc<Link>> {
        self.hub.lock().links.get(&connection.number()).cloned()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.is_main {
            return;
        }
        let mut state = self.hub.lock();
        let now = self.hub.now();
        state.cluster.abort(now);
        state.pump(now);
        drop(state);
        self.hub.sleepers.end();
    }
}

/// What an error of a connect, to an address or the path of a Unix socket, says of the server.
///
/// A name is to be looked up before, for one that cannot be is [`ConnectFailure::NoAddress`] whatever
/// the error: systems and runtimes have no kind of their own for it, and the one that comes closest
/// also means that this machine has run out of ports.
///
/// ```
/// use std::io;
/// use windhover_client::{ConnectFailure, OsError, connect_failure};
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(connect_failure(&refused), ConnectFailure::Refused);
/// // No route to the host, as Linux numbers it.
/// let unreachable = io::Error::from_raw_os_error(113);
/// assert_eq!(connect_failure(&unreachable), ConnectFailure::Os(OsError(113)));
/// ```
pub fn connect_failure(error: &io::Error) -> ConnectFailure {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::ConnectionRefused, _) | (io::ErrorKind::NotFound, None) => {
            ConnectFailure::Refused
        }
        (_, Some(number)) => ConnectFailure::Os(OsError(number)),
        (io::ErrorKind::TimedOut, None) => ConnectFailure::TimedOut,
        (io::ErrorKind::InvalidInput, None) => ConnectFailure::NoAddress,
        (_, None) => ConnectFailure::Other,
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_lack_of_ports_is_not_the_servers_lack_of_an_address() {
        let failure = |kind| connect_failure(&io::Error::from(kind));
        assert_eq!(failure(io::ErrorKind::AddrNotAvailable), ConnectFailure::Other);
        // Its number is kept: no route to the host, no such path, tried for too long.
        for number in [113, 2, 110] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(connect_failure(&error), ConnectFailure::Os(OsError(number)));
        }
        assert_eq!(failure(io::ErrorKind::InvalidInput), ConnectFailure::NoAddress);
        assert_eq!(failure(io::ErrorKind::ConnectionRefused), ConnectFailure::Refused);
        assert_eq!(failure(io::ErrorKind::NotFound), ConnectFailure::Refused);
        assert_eq!(failure(io::ErrorKind::TimedOut), ConnectFailure::TimedOut);
    }
}
