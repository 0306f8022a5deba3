//! Where events are forwarded to, as it stands on the command line.

use std::fmt;
use std::str::FromStr;

use windhover_client::{AddressError, server_address};
use windhover_core::nats::{NatsUrl, NatsUrlError};

/// Kestrel's port.
const DEFAULT_PORT: u16 = 22133;
/// NATS' port.
const NATS_PORT: u16 = 4222;
const SCHEME: &str = "kestrel://";

/// What records are forwarded to.
///
/// ```
/// use windhover_server::forward::ForwardTo;
///
/// let target: ForwardTo = "kestrel://queue-1,queue-2".parse()?;
/// assert!(matches!(target, ForwardTo::Kestrel(_)));
/// # Ok::<(), windhover_server::forward::ForwardToError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardTo {
    /// Queue servers of kestrel's kind.
    Kestrel(QueueServers),
    /// A stream of NATS JetStream.
    JetStream(Box<JetStreamUrl>),
}

/// Why it is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardToError {
    /// It has none of the schemes.
    Scheme,
    /// The queue servers are not understood.
    Kestrel(QueueServersError),
    /// The URL of JetStream is not understood.
    JetStream(NatsUrlError),
    /// The address of a server in it is not.
    Address(AddressError),
    /// Two of its servers are the same one.
    Twice(String),
    /// This program was built without the feature `nats`.
    NotBuilt,
}

impl fmt::Display for ForwardToError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "it has to begin with `{SCHEME}`, `nats://` or `tls://`"),
            Self::Kestrel(error) => error.fmt(f),
            Self::JetStream(error) => error.fmt(f),
            Self::Address(error) => error.fmt(f),
            Self::Twice(server) => write!(f, "`{server}` stands there twice"),
            Self::NotBuilt => f.write_str(
                "this program was built without NATS: build it with `--features nats`, or take a released package",
            ),
        }
    }
}

impl std::error::Error for ForwardToError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kestrel(error) => error.source(),
            Self::JetStream(error) => error.source(),
            Self::Address(error) => error.source(),
            Self::Scheme | Self::Twice(_) | Self::NotBuilt => None,
        }
    }
}

impl FromStr for ForwardTo {
    type Err = ForwardToError;

    fn from_str(text: &str) -> Result<Self, ForwardToError> {
        if text.starts_with(SCHEME) {
            return text.parse().map(Self::Kestrel).map_err(ForwardToError::Kestrel);
        }
        let url = match NatsUrl::parse(text) {
            Err(NatsUrlError::Scheme) => return Err(ForwardToError::Scheme),
            parsed => parsed.map_err(ForwardToError::JetStream)?,
        };
        let mut addresses = Vec::new();
        for host in &url.hosts {
            let address = server_address(host, NATS_PORT).map_err(ForwardToError::Address)?;
            if addresses.contains(&address) {
                return Err(ForwardToError::Twice(address));
            }
            addresses.push(address);
        }
        if cfg!(feature = "nats") {
            Ok(Self::JetStream(Box::new(JetStreamUrl { url, addresses })))
        } else {
            Err(ForwardToError::NotBuilt)
        }
    }
}

/// A stream of NATS JetStream: [`NatsUrl`], with the addresses of its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamUrl {
    pub(super) url: NatsUrl,
    pub(super) addresses: Vec<String>,
}

impl JetStreamUrl {
    /// What it says.
    pub fn url(&self) -> &NatsUrl {
        &self.url
    }

    /// Each server's host and port.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The subject that records of a queue are published to: the URL's own for the queue of events, and one below
    /// it for any other.
    pub fn subject_of(&self, queue: &str, is_of_events: bool) -> String {
        if is_of_events {
            self.url.subject.clone()
        } else {
            format!("{}.{queue}", self.url.subject)
        }
    }
}

/// Queue servers: `kestrel://HOST[:PORT][,HOST[:PORT]…]`.
///
/// ```
/// use windhover_server::forward::QueueServers;
///
/// let servers: QueueServers = "kestrel://queue-1,queue-2:2000,[::1]".parse()?;
/// assert_eq!(servers.addresses(), ["queue-1:22133", "queue-2:2000", "[::1]:22133"]);
/// # Ok::<(), windhover_server::forward::QueueServersError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueServers(Vec<String>);

impl QueueServers {
    /// Each server's host and port.
    pub fn addresses(&self) -> &[String] {
        &self.0
    }
}

/// Why the servers cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueServersError {
    /// It does not begin with `kestrel://`.
    Scheme,
    /// The address of a server is not understood.
    Address(AddressError),
    /// A server stands there twice.
    Twice(String),
    /// Something stands behind the servers, such as a path.
    Trailing(String),
}

impl fmt::Display for QueueServersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "it has to begin with `{SCHEME}`"),
            Self::Address(error) => error.fmt(f),
            Self::Twice(server) => write!(f, "`{server}` stands there twice"),
            Self::Trailing(text) => {
                write!(f, "`{text}` is not understood: the queue is named by --queue-name")
            }
        }
    }
}

impl std::error::Error for QueueServersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => error.source(),
            Self::Scheme | Self::Twice(_) | Self::Trailing(_) => None,
        }
    }
}

impl FromStr for QueueServers {
    type Err = QueueServersError;

    fn from_str(text: &str) -> Result<Self, QueueServersError> {
        let list = text.strip_prefix(SCHEME).ok_or(QueueServersError::Scheme)?;
        let (list, rest) = list.split_once('/').unwrap_or((list, ""));
        if !rest.is_empty() {
            return Err(QueueServersError::Trailing(rest.to_owned()));
        }
        let mut addresses = Vec::new();
        for server in list.split(',') {
            let address = server_address(server.trim(), DEFAULT_PORT);
            let address = address.map_err(QueueServersError::Address)?;
            if addresses.contains(&address) {
                return Err(QueueServersError::Twice(address));
            }
            addresses.push(address);
        }
        Ok(Self(addresses))
    }
}

#[cfg(test)]
mod tests {
    use windhover_client::AddressFault;

    use super::*;

    #[cfg(feature = "nats")]
    #[test]
    fn a_stream_has_addresses_and_a_subject_for_each_queue() {
        let Ok(ForwardTo::JetStream(stream)) = "nats://n1,n2:4223,[::1]/app".parse() else {
            panic!("no stream");
        };
        assert_eq!(stream.addresses(), ["n1:4222", "n2:4223", "[::1]:4222"]);
        assert_eq!(stream.subject_of("events", true), "app");
        assert_eq!(stream.subject_of("engage", false), "app.engage");
    }

    #[test]
    fn a_target_is_one_of_two_kinds() {
        for (text, told) in [
            ("redis://a", "it has to begin with `kestrel://`, `nats://` or `tls://`"),
            ("kestrel://a/b", "`b` is not understood: the queue is named by --queue-name"),
            ("nats://a", "the subject is missing: write nats://HOST/SUBJECT"),
            ("nats://a,a:4222/b", "`a:4222` stands there twice"),
            (
                "nats://a:0/b",
                "the server's address 'a:0' is not understood: '0' is no port from 1 to 65535",
            ),
        ] {
            let error = text.parse::<ForwardTo>().unwrap_err();
            assert_eq!(error.to_string(), told, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, error) in [
            ("queue-1", QueueServersError::Scheme),
            ("kestrel://a,a:22133", QueueServersError::Twice("a:22133".to_owned())),
            ("kestrel://a/events", QueueServersError::Trailing("events".to_owned())),
        ] {
            assert_eq!(text.parse::<QueueServers>(), Err(error), "{text}");
        }
        let port = |port: &str| AddressFault::Port(port.to_owned());
        for (text, fault) in [
            ("kestrel://", AddressFault::NoHost),
            ("kestrel://a,,b", AddressFault::NoHost),
            ("kestrel://:22133", AddressFault::NoHost),
            ("kestrel://a:0", port("0")),
            ("kestrel://a:70000", port("70000")),
            ("kestrel://::1", AddressFault::NoBrackets),
            ("kestrel://u:p@h:1", AddressFault::User),
            ("kestrel://h:1:1", AddressFault::Colons),
            ("kestrel://[::1", AddressFault::Brackets),
            ("kestrel://a b", AddressFault::Space),
        ] {
            match text.parse::<QueueServers>() {
                Err(QueueServersError::Address(error)) => assert_eq!(error.fault, fault, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!("kestrel://a/".parse::<QueueServers>().is_ok());
    }
}
