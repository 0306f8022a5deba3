//! Connections that speak TLS: what an adapter reads and writes is not what the cluster says.
//!
//! A session is locked before the hub and never after it, so that what takes long, the handshake's
//! arithmetic and the socket, holds up no other connection.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use bytes::BytesMut;
use windhover_core::client::{ConnectFailure, ConnectionId};

use super::driver::{Driver, with_unsent};
use crate::tls::{Came, Session, Tls};

/// The TLS of one connection.
pub(super) type Shared = Arc<Mutex<Session>>;

impl Driver {
    /// The socket is connected: what it is to be used for has to be agreed upon first.
    pub(super) fn begin_session(&self, connection: ConnectionId, tls: &Tls) {
        let state = self.hub.lock();
        let Some(server) = state.links.get(&connection).and_then(|link| link.server.clone()) else {
            return;
        };
        drop(state);
        match Session::new(tls, server) {
            Ok(session) => {
                let session = Arc::new(Mutex::new(session));
                self.hub.lock().with_link(connection, |link| {
                    link.session = Some(session);
                    link.wants_write = true;
                });
            }
            Err(why) => self.give_up(connection, why),
        }
    }

    /// [`write`](Self::write) of what a session makes of what waits.
    pub(super) fn write_secured(
        &self,
        connection: ConnectionId,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        let Some(session) = self.session(connection) else { return Poll::Pending };
        let mut session = lock(&session);
        let is_all_taken = self.take_unsent(connection, &mut session);
        let written = session.write(write);
        if session.has_failed() {
            // The server was told why, or will not be.
            self.give_up(connection, ConnectFailure::Tls);
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(error)) = &written {
            self.broke(connection, &mut session, &error.to_string());
        }
        let mut state = self.hub.lock();
        if let Some(link) = state.links.get_mut(&connection) {
            link.wants_write |= !is_all_taken || session.wants_write();
            if link.is_ending {
                // It is closed next, whether or not the socket took the farewell.
                return Poll::Ready(());
            }
        }
        written.map(|_| ())
    }

    /// Gives a session what waits to be sent; whether it took all that it was shown.
    fn take_unsent(&self, connection: ConnectionId, session: &mut Session) -> bool {
        let mut state = self.hub.lock();
        if let Some(link) = state.links.get_mut(&connection) {
            link.wants_write = false;
        }
        if !session.is_agreed() {
            return true;
        }
        let (shown, taken) = with_unsent(&state.cluster, connection, |slices| {
            (slices.iter().map(|slice| slice.len()).sum::<usize>(), session.encrypt(slices))
        });
        state.cluster.wrote(connection, taken);
        state.pump(self.hub.now());
        taken == shown
    }

    /// [`read`](Self::read) of what a session makes of what comes.
    pub(super) fn read_secured(
        &self,
        connection: ConnectionId,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        let Some(session) = self.session(connection) else { return Poll::Pending };
        let mut session = lock(&session);
        if session.has_failed() {
            return Poll::Pending;
        }
        let was_agreed = session.is_agreed();
        let came = ready!(session.read(read));
        if session.is_agreed() && !was_agreed {
            self.change(|cluster, now| cluster.connected(connection, now));
        }
        let mut state = self.hub.lock();
        if let Some(buffer) = state.cluster.read_buffer(connection) {
            session.take_plain(buffer);
        }
        if came == Came::End {
            state.cluster.end_of_stream(connection);
        }
        if session.wants_write() {
            // Who reads need not be who writes.
            state.with_link(connection, |link| link.wants_write = true);
        }
        state.pump(self.hub.now());
        drop(state);
        if let Came::Broken(why) = came {
            self.broke(connection, &mut session, &why);
        }
        Poll::Ready(())
    }

    /// Without one, nothing is to be read or written: the socket is not connected, or not wanted.
    fn session(&self, connection: ConnectionId) -> Option<Shared> {
        let state = self.hub.lock();
        state.links.get(&connection).and_then(|link| link.session.clone())
    }

    fn broke(&self, connection: ConnectionId, session: &mut Session, why: &str) {
        if session.is_agreed() {
            self.change(|cluster, _| cluster.broke(connection));
            return;
        }
        let failure = session.fail(why);
        // The server is told first, where there is something to tell.
        if !session.wants_write() {
            self.give_up(connection, failure);
        }
    }

    /// Tells the cluster that there is no connection, and who drives it, whichever of its tasks.
    fn give_up(&self, connection: ConnectionId, why: ConnectFailure) {
        self.change(|cluster, now| cluster.connect_failed(connection, why, now));
        self.hub.lock().with_link(connection, |link| link.is_closed = true);
    }
}

/// Ends a session in the order of TLS, so that the server can tell it from an attack that cuts the
/// connection; whether there is something to be written for it.
pub(super) fn end(session: &Shared) -> bool {
    lock(session).end()
}

fn lock(session: &Shared) -> MutexGuard<'_, Session> {
    // A panic in between leaves a connection that fails, and no more.
    session.lock().unwrap_or_else(PoisonError::into_inner)
}
