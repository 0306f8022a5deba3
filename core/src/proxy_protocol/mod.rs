//! The PROXY protocol: what a balancer says of a connection before it passes on its first byte.
//!
//! After haproxy's `proxy-protocol.txt`, versions 1 (a line of text, §2.1) and 2 (binary, §2.2). Who
//! expects a header must not guess whether there is one: anybody can send one, so that it is read from
//! one's own proxies alone, and from those always (§2).

mod crc32c;
mod v1;
mod v2;

use core::fmt;
use core::net::SocketAddr;

/// The longest header of version 1 in bytes, with its line end (§2.1).
pub const MAX_V1: usize = 107;
/// The longest header of version 2 that is taken, in bytes: the standard allows 65,551, for extensions
/// (TLVs) that nobody here looks at.
pub const MAX_V2: usize = 16 + 4096;

/// What a proxy says of a connection.
///
/// ```
/// use windhover_core::proxy_protocol::{ParsedProxyHeader, ProxyHeader, parse};
///
/// let header = |line: &[u8]| match parse(line) {
///     Ok(ParsedProxyHeader::Complete { header, .. }) => Some(header),
///     _ => None,
/// };
/// let client = "203.0.113.9:4711".parse().ok();
/// let passed_on = header(b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n");
/// assert_eq!(passed_on.and_then(|header| header.source()), client);
/// // A health check of the balancer's own.
/// assert_eq!(header(b"PROXY UNKNOWN\r\n"), Some(ProxyHeader::Unnamed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// Nothing: the connection is the proxy's own (`LOCAL`, as for its health checks), it does not know
    /// (`UNKNOWN`, `UNSPEC`), or the connection came to it by a Unix socket or by datagrams. The address
    /// of the connection itself is then that of whoever sends (§2.1, §2.2).
    Unnamed,
    /// It passes on a TCP connection.
    Tcp {
        /// Who opened it.
        source: SocketAddr,
        /// The proxy's address that it was opened to.
        destination: SocketAddr,
    },
}

impl ProxyHeader {
    /// The address of whoever opened the connection to the proxy, if it is named.
    pub const fn source(&self) -> Option<SocketAddr> {
        match self {
            Self::Unnamed => None,
            Self::Tcp { source, .. } => Some(*source),
        }
    }
}

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParsedProxyHeader {
    /// A header may be coming.
    Incomplete,
    /// A whole header.
    Complete {
        /// What it says.
        header: ProxyHeader,
        /// How many bytes it has; those behind it are the connection's.
        length: usize,
    },
}

/// Why some bytes are no header of the PROXY protocol.
///
/// ```
/// use windhover_core::proxy_protocol::{ProxyHeaderError, parse};
///
/// // Somebody who comes past the balancer.
/// assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(ProxyHeaderError::Signature));
/// assert_eq!(parse(b"PROXY TCP4 ::1 ::1 1 2\r\n"), Err(ProxyHeaderError::Address));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// They begin neither as version 1 does nor as version 2 does.
    Signature,
    /// A line of version 1 that does not end within [`MAX_V1`] bytes, or ends in LF without CR.
    Line,
    /// A line of version 1 with another word than `TCP4`, `TCP6` and `UNKNOWN` behind `PROXY `.
    Family,
    /// A line of version 1 whose addresses or ports are not as its word says, or with something behind
    /// them.
    Address,
    /// Another version than 2 behind the signature of version 2.
    Version {
        /// Which one.
        version: u8,
    },
    /// Version 2 with another command than `LOCAL` and `PROXY`.
    Command {
        /// Which one.
        command: u8,
    },
    /// Version 2 with a pair of address family and protocol that the standard does not have.
    Protocol {
        /// The two, as the byte that they are sent in.
        byte: u8,
    },
    /// Version 2 whose length has no room for the addresses of its family.
    TooShort {
        /// The length that it gives.
        length: usize,
    },
    /// Version 2 that would be longer than [`MAX_V2`].
    TooLong {
        /// The length that it gives.
        length: usize,
    },
    /// Version 2 with an extension (TLV) that is longer than what is left.
    Extension,
    /// Version 2 whose checksum (`PP2_TYPE_CRC32C`) is not that of its bytes.
    Checksum,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str(
                "expected a header of the PROXY protocol, version 1 or 2, before anything else: \
                 have the proxy send one",
            ),
            Self::Line => write!(
                f,
                "expected CR LF within {MAX_V1} bytes at the end of the PROXY protocol's line"
            ),
            Self::Family => f.write_str("expected `TCP4`, `TCP6` or `UNKNOWN` behind `PROXY `"),
            Self::Address => f.write_str(
                "expected two addresses of the family and two ports behind it, each behind one space",
            ),
            Self::Version { version } => {
                write!(f, "version {version} of the PROXY protocol: expected 1 or 2")
            }
            Self::Command { command } => {
                write!(f, "command {command} of the PROXY protocol: expected 0 or 1")
            }
            Self::Protocol { byte } => {
                write!(f, "the PROXY protocol has no address family and protocol {byte:#04x}")
            }
            Self::TooShort { length } => write!(
                f,
                "the PROXY protocol's header has {length} bytes behind its length: too few for its \
                 addresses"
            ),
            Self::TooLong { length } => write!(
                f,
                "the PROXY protocol's header has {length} bytes behind its length: at most {} are \
                 taken",
                MAX_V2 - 16
            ),
            Self::Extension => f.write_str(
                "an extension of the PROXY protocol's header is longer than the header has room for",
            ),
            Self::Checksum => {
                f.write_str("the checksum of the PROXY protocol's header is not that of its bytes")
            }
        }
    }
}

impl core::error::Error for ProxyHeaderError {}

/// Reads the header that `bytes` begin with; call it again with more behind them while it is
/// [`ParsedProxyHeader::Incomplete`], which it is for less than [`MAX_V2`] bytes only.
///
/// # Errors
///
/// [`ProxyHeaderError`], as soon as no bytes behind these could make a header of them.
///
/// ```
/// use windhover_core::proxy_protocol::{ParsedProxyHeader, parse};
///
/// let bytes = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\nGET /track";
/// let Ok(ParsedProxyHeader::Complete { header, length }) = parse(bytes) else {
///     panic!("it is whole")
/// };
/// assert_eq!(header.source(), Some("203.0.113.9:4711".parse().unwrap()));
/// assert_eq!(&bytes[length..], b"GET /track");
///
/// assert_eq!(parse(b"PROXY TCP4 203."), Ok(ParsedProxyHeader::Incomplete));
/// assert!(parse(b"GET /track HTTP/1.1\r\n").is_err());
/// ```
pub fn parse(bytes: &[u8]) -> Result<ParsedProxyHeader, ProxyHeaderError> {
    match bytes.first() {
        None => Ok(ParsedProxyHeader::Incomplete),
        Some(b'P') => v1::parse(bytes),
        Some(_) => v2::parse(bytes),
    }
}

/// Whether some bytes begin with `expected`, as far as they go.
fn may_begin_with(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(byte, expected)| byte == expected)
}

#[cfg(test)]
mod tests;
