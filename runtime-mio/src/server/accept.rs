//! Accepting connections, and waiting when something is wanting.

use std::io;

use mio::event::Source;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use windhover_core::Instant;
use windhover_runtime::{Peer, ServeOptions, StdListener};

use crate::socket::Socket;

/// A listening socket that a loop waits for.
pub(super) enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl TryFrom<StdListener> for Listening {
    type Error = io::Error;

    fn try_from(listener: StdListener) -> io::Result<Self> {
        Ok(match listener {
            StdListener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Self::Tcp(TcpListener::from_std(listener))
            }
            #[cfg(unix)]
            StdListener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Self::Unix(UnixListener::from_std(listener))
            }
        })
    }
}

impl Listening {
    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            #[cfg(unix)]
            Self::Unix(listener) => listener,
        }
    }

    fn accept(&self, options: &ServeOptions) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                options.tcp().apply(&stream);
                Ok((Socket::Tcp(stream), peer.into()))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// A listener, and whether it is worth asking.
pub(super) struct Acceptor {
    pub(super) listener: Listening,
    /// Connections may wait. Told once by the operating system: true until an accept finds none.
    pub(super) is_ready: bool,
    /// Not before this instant: something was wanting.
    paused_until: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listener: Listening) -> Self {
        Self { listener, is_ready: false, paused_until: None }
    }

    /// Whether to accept at `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_ready && self.paused_until.is_none_or(|until| until <= now)
    }

    /// When to accept: an instant in the past for at once, `None` for when a connection comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.is_ready.then(|| self.paused_until.unwrap_or_default())
    }

    /// A connection that waits; `None` when there is none, or when something is wanting.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        options: &ServeOptions,
    ) -> Option<(Socket, Peer)> {
        self.paused_until = None;
        loop {
            match self.listener.accept(options) {
                Ok(accepted) => return Some(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    return None;
                }
                Err(error) => {
                    if self.failed(now, &error, options) {
                        return None;
                    }
                }
            }
        }
    }

    /// Notes that accepting failed; whether there is a pause now, for lack of something.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        error: &io::Error,
        options: &ServeOptions,
    ) -> bool {
        self.paused_until = options.accept_failed(error).map(|pause| now + pause);
        self.paused_until.is_some()
    }
}
