//! Where events are forwarded to, as it stands on the command line.

use std::fmt;
use std::str::FromStr;

/// Kestrel's port.
const DEFAULT_PORT: u16 = 22133;
const SCHEME: &str = "kestrel://";

/// Queue servers: `kestrel://HOST[:PORT][,HOST[:PORT]…]`.
///
/// ```
/// use windhover::forward::QueueServers;
///
/// let servers: QueueServers = "kestrel://queue-1,queue-2:2000,[::1]".parse()?;
/// assert_eq!(servers.addresses(), ["queue-1:22133", "queue-2:2000", "[::1]:22133"]);
/// # Ok::<(), windhover::forward::BadQueueServers>(())
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
pub enum BadQueueServers {
    /// It does not begin with `kestrel://`.
    Scheme,
    /// There is no host where one should be.
    NoHost,
    /// What stands behind the colon is no port.
    Port(String),
    /// A server stands there twice.
    Twice(String),
    /// Something stands behind the servers, such as a path.
    Trailing(String),
}

impl fmt::Display for BadQueueServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "it has to begin with `{SCHEME}`"),
            Self::NoHost => write!(f, "a host is missing: write `{SCHEME}HOST[:PORT],…`"),
            Self::Port(port) => write!(f, "`{port}` is no port from 1 to 65535"),
            Self::Twice(server) => write!(f, "`{server}` stands there twice"),
            Self::Trailing(text) => {
                write!(f, "`{text}` is not understood: the queue is named by --queue-name")
            }
        }
    }
}

impl std::error::Error for BadQueueServers {}

impl FromStr for QueueServers {
    type Err = BadQueueServers;

    fn from_str(text: &str) -> Result<Self, BadQueueServers> {
        let list = text.strip_prefix(SCHEME).ok_or(BadQueueServers::Scheme)?;
        let (list, rest) = list.split_once('/').unwrap_or((list, ""));
        if !rest.is_empty() {
            return Err(BadQueueServers::Trailing(rest.to_owned()));
        }
        let mut addresses = Vec::new();
        for server in list.split(',') {
            let address = address(server.trim())?;
            if addresses.contains(&address) {
                return Err(BadQueueServers::Twice(address));
            }
            addresses.push(address);
        }
        Ok(Self(addresses))
    }
}

fn address(server: &str) -> Result<String, BadQueueServers> {
    // The colons of an IPv6 address stand in brackets.
    let behind_brackets = server.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match server.get(behind_brackets..).and_then(|rest| rest.rfind(':')) {
        None => (server, None),
        Some(at) => {
            let (host, port) = server.split_at(behind_brackets + at);
            (host, port.get(1..))
        }
    };
    if host.is_empty() || host == "[]" {
        return Err(BadQueueServers::NoHost);
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| BadQueueServers::Port(port.to_owned()))?,
    };
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, error) in [
            ("queue-1", BadQueueServers::Scheme),
            ("kestrel://", BadQueueServers::NoHost),
            ("kestrel://a,,b", BadQueueServers::NoHost),
            ("kestrel://:22133", BadQueueServers::NoHost),
            ("kestrel://a:0", BadQueueServers::Port("0".to_owned())),
            ("kestrel://a:70000", BadQueueServers::Port("70000".to_owned())),
            ("kestrel://a,a:22133", BadQueueServers::Twice("a:22133".to_owned())),
            ("kestrel://a/events", BadQueueServers::Trailing("events".to_owned())),
        ] {
            assert_eq!(text.parse::<QueueServers>(), Err(error), "{text}");
        }
        assert!("kestrel://a/".parse::<QueueServers>().is_ok());
    }
}
