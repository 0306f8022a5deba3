//! A connection's stream, as it was accepted or with TLS around it.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use windhover_core::Instant;

use crate::stream::poll_whichever;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;
use crate::{Peer, PollStream, ServeOptions};

/// A stream, or TLS around one. Adapters know the stream alone.
#[derive(Debug)]
pub(crate) enum Secured<S> {
    /// As it was accepted.
    Plain(S),
    /// In a box, since it is large and most connections are not of its kind.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<S>>),
}

impl<S> Secured<S> {
    /// A stream of `peer`'s that was accepted at `now`, with what `options` put around it.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unnecessary_wraps, reason = "TLS may fail"))]
    pub(crate) fn accepted(
        stream: S,
        peer: Peer,
        options: &ServeOptions,
        now: Instant,
    ) -> io::Result<Self> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &options.tls {
            return Ok(Self::Tls(Box::new(TlsStream::new(stream, peer, tls, now)?)));
        }
        let _ = (peer, options, now);
        Ok(Self::Plain(stream))
    }

    /// What was accepted.
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.stream_mut(),
        }
    }

    /// The peer is a proxy, which passes on what `source` sends.
    pub(crate) fn proxied_for(&mut self, source: SocketAddr) {
        match self {
            Self::Plain(_) => {
                // Who sends is the endpoint's affair.
                let _ = source;
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.proxied_for(source),
        }
    }

    /// Takes what was read of the stream already, and gives back what is for the endpoint as it is.
    pub(crate) fn take_early(&mut self, bytes: BytesMut) -> Option<BytesMut> {
        match self {
            Self::Plain(_) => Some(bytes).filter(|bytes| !bytes.is_empty()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                tls.take_early(bytes);
                None
            }
        }
    }

    /// How many bytes of memory it holds beside those of the stream.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.held(),
        }
    }

    /// When the connection is to be given up, unless the peer has agreed upon keys.
    pub(crate) fn agree_by(&self) -> Option<Instant> {
        match self {
            Self::Plain(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.agree_by(),
        }
    }

    /// The peer did not agree in time.
    pub(crate) fn give_up(&mut self) {
        match self {
            Self::Plain(_) => {}
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.give_up(),
        }
    }

    /// Says that nothing more comes, where that has to be said; whether there is something to flush.
    pub(crate) fn say_end(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.say_end(),
        }
    }
}

impl<S: PollStream> PollStream for Secured<S> {
    poll_whichever!(
        Plain,
        #[cfg(feature = "tls")]
        Tls
    );
}
