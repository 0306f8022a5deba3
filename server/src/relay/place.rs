//! Where queues are moved from and to, as it stands on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::forward::{ForwardTo, ForwardToError};

/// A data directory, queue servers of kestrel's kind, or a subject of NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayPlace {
    /// The data directory of a server that does not run.
    Directory(PathBuf),
    /// Servers.
    Servers(ForwardTo),
}

impl FromStr for RelayPlace {
    type Err = ForwardToError;

    fn from_str(text: &str) -> Result<Self, ForwardToError> {
        if text.contains("://") {
            text.parse().map(Self::Servers)
        } else {
            Ok(Self::Directory(text.into()))
        }
    }
}

impl fmt::Display for RelayPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Servers(ForwardTo::Kestrel(servers)) => {
                write!(f, "kestrel://{}", servers.addresses().join(","))
            }
            Self::Servers(ForwardTo::JetStream(stream)) => stream.url().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_scheme_is_a_directory() {
        let place: RelayPlace = "./windhover-data".parse().unwrap();
        assert_eq!(place, RelayPlace::Directory("./windhover-data".into()));
        let place: RelayPlace = "kestrel://a,b:1".parse().unwrap();
        assert_eq!(place.to_string(), "kestrel://a:22133,b:1");
        assert_eq!("redis://a".parse::<RelayPlace>(), Err(ForwardToError::Scheme));
    }
}
