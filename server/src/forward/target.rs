//! Where events are forwarded to, as it stands on the command line.

use std::fmt;
use std::str::FromStr;

use windhover_client::{AddressError, server_address};

/// Kestrel's port.
const DEFAULT_PORT: u16 = 22133;
const SCHEME: &str = "kestrel://";

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
