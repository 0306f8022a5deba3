//! Bytes between the socket of a connection and the cluster.
//!
//! A socket is read and written, and TLS is done, with nothing locked but that connection's [`Wire`]. The
//! [`Hub`], which every call needs, is locked for a moment to fetch what is to be sent and to say how much
//! of it has left, and to answer calls with what came, whose frames were found and copied before.
//!
//! # Locks
//!
//! In this order, if more than one: the stream of a connection, its wire, the hub, the signal of a connection.
//! Nobody is woken, and no hook of the application's called, with the hub or a signal held.
//!
//! # No wake-up is lost
//!
//! *While bytes wait that nobody writes, `wants_write` is set, and was set before the waker of the
//! connection was called, or while a caller is at work that looks at it before it rests
//! ([`shared`](super::shared)).* The cluster asks for a write once something waits, unless it is blocked or lent;
//! [`State::pump`](super::State::pump) sets the flag and takes the waker in one hold of the signal.
//! [`turn`](super::Driver::turn) reads the flag and leaves its waker in one hold, so that what comes later finds
//! that waker. Only a write clears the flag, before it fetches: what the cluster adds later sets it again.
//! What the cluster is given while its bytes are lent it asks for when the rest comes back, and a socket
//! that took nothing has the flag set once more by whoever found that, for the socket's own wake-up.

use std::io::{self, IoSlice};
use std::task::{Poll, Waker, ready};

use bytes::BytesMut;
use windhover_core::Instant;
use windhover_core::client::{Cluster, ConnectFailure, ConnectionId};

use super::link::Link;
use super::wire::{Break, Came, Wire, Written};
use super::{Hub, Turn};
use crate::ConnectError;

impl Hub {
    /// [`Driver::turn`](super::Driver::turn) of a connection that was found.
    pub(super) fn turn_link(&self, connection: ConnectionId, link: &Link, waker: &Waker) -> Turn {
        let mut signal = link.signal();
        signal.calling.end();
        if !signal.is_closed {
            signal.wait(waker);
            return Turn { is_closed: false, wants_write: signal.wants_write };
        }
        let was_ending = std::mem::replace(&mut signal.is_ending, true);
        drop(signal);
        if !was_ending && link.wire().end() {
            return Turn { is_closed: false, wants_write: true };
        }
        self.lock().links.remove(&connection.number());
        Turn { is_closed: true, wants_write: false }
    }

    /// [`Driver::write`](super::Driver::write) of a connection that was found.
    pub(super) fn write_link(
        &self,
        connection: ConnectionId,
        link: &Link,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        let mut wire = link.wire();
        if is_before_tls(self, &wire) {
            return Poll::Pending;
        }
        link.signal().wants_write = false;
        let now = self.now();
        if wire.is_open() {
            self.lock().cluster.lend_unsent(connection, &mut wire.outgoing, now);
        }
        let was_lent = !wire.outgoing.is_empty();
        let Written { taken, socket } = wire.write(write);
        let is_left = !wire.outgoing.is_empty();
        if was_lent {
            let mut state = self.lock();
            state.cluster.return_unsent(connection, taken, &mut wire.outgoing, now);
            state.pump(now);
        }
        if wire.has_failed() {
            // The server was told why, or will not be.
            self.give_up(connection, link, ConnectFailure::Tls);
            return Poll::Ready(());
        }
        let socket = socket.map(|socket| {
            if let Err(error) = socket {
                self.broke(connection, link, &mut wire, &error.into());
            }
        });
        let mut signal = link.signal();
        signal.wants_write |= socket.is_pending() || is_left || wire.wants_write();
        if signal.is_ending {
            // It is closed next, whether or not the socket took the farewell.
            return Poll::Ready(());
        }
        socket
    }

    /// [`Driver::read`](super::Driver::read) of a connection that was found.
    pub(super) fn read_link(
        &self,
        connection: ConnectionId,
        link: &Link,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        let mut wire = link.wire();
        if is_before_tls(self, &wire) || wire.has_failed() {
            return Poll::Pending;
        }
        let mut was_open = wire.is_open();
        let came = ready!(wire.read(read));
        loop {
            let has_more = wire.received.parse(&self.parser);
            let mut state = self.lock();
            let now = self.now();
            if wire.is_open() && !was_open {
                state.causes.remove(&link.server_id);
                state.cluster.connected(connection, now);
                was_open = true;
            }
            state.cluster.take_received(connection, &mut wire.received);
            if came == Came::End && !has_more {
                state.cluster.end_of_stream(connection);
            }
            state.pump(now);
            state.cluster.return_received(connection, &mut wire.received);
            if wire.wants_write() {
                // Who reads need not be who writes.
                let waker = link.tell(|signal| signal.wants_write = true);
                state.wakers.extend(waker);
            }
            if !has_more {
                break;
            }
        }
        wire.received.trim();
        if let Came::Broken(why) = came {
            self.broke(connection, link, &mut wire, &why);
        }
        Poll::Ready(())
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Cluster, Instant)) {
        let mut state = self.lock();
        let now = self.now();
        change(&mut state.cluster, now);
        state.pump(now);
    }

    /// Tells the cluster that a connection broke: where it is not agreed yet who the server is, that there
    /// is none.
    fn broke(&self, connection: ConnectionId, link: &Link, wire: &mut Wire, why: &Break) {
        if wire.is_open() {
            return self.change(|cluster, _| cluster.broke(connection, why.os));
        }
        let failure = wire.fail(&why.why);
        self.note_cause(link, ConnectError::new(failure, why.why.as_str()));
        // The server is told first, where there is something to tell.
        if !wire.wants_write() {
            self.give_up(connection, link, failure);
        }
    }

    /// Tells the cluster that there is no connection, and who drives it, whichever of its tasks.
    pub(super) fn give_up(&self, connection: ConnectionId, link: &Link, why: ConnectFailure) {
        let mut state = self.lock();
        state.cluster.connect_failed(connection, why, self.now());
        state.pump(self.now());
        let waker = link.tell(|signal| signal.is_closed = true);
        state.wakers.extend(waker);
    }
}

/// Where there is to be TLS and no session, nothing is read or written: the socket is not connected, or
/// not wanted.
#[cfg(feature = "tls")]
const fn is_before_tls(hub: &Hub, wire: &Wire) -> bool {
    hub.tls.is_some() && wire.session.is_none()
}

#[cfg(not(feature = "tls"))]
const fn is_before_tls(_: &Hub, _: &Wire) -> bool {
    false
}
