//! Proxies of one's own: `--trusted-proxies`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use windhover_runtime::Peer;

/// Where proxies of one's own connect from: an address, a network, or the Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustedProxy {
    /// Whoever may connect to the listener's Unix socket.
    Unix,
    /// An address, or all of a network.
    Network(IpNet),
}

/// What is no address, network or `unix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustedProxyError;

impl fmt::Display for TrustedProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address (10.0.0.7), a network (10.0.0.0/8) or `unix`")
    }
}

impl std::error::Error for TrustedProxyError {}

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given == "unix" {
            return Ok(Self::Unix);
        }
        let network = given.parse().or_else(|_| given.parse::<IpAddr>().map(IpNet::from));
        network.map(Self::Network).map_err(|_| TrustedProxyError)
    }
}

impl TrustedProxy {
    fn is(&self, peer: Peer) -> bool {
        match self {
            Self::Unix => peer == Peer::Unix,
            // A listener for both families sees IPv4 as a part of IPv6.
            Self::Network(network) => {
                peer.ip().is_some_and(|address| network.contains(&address.to_canonical()))
            }
        }
    }
}

/// Whether a peer is one of these.
pub(crate) fn is_trusted(proxies: &[TrustedProxy], peer: Peer) -> bool {
    proxies.iter().any(|proxy| proxy.is(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(proxies: &[&str], peer: &str) -> bool {
        let proxies: Vec<_> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Tcp((address.parse::<IpAddr>().unwrap(), 4711).into()),
        };
        is_trusted(&proxies, peer)
    }

    #[test]
    fn a_peer_is_trusted_by_its_address() {
        let cases: [(&[&str], &str, bool); 12] = [
            (&[], "127.0.0.1", false),
            (&["127.0.0.1"], "127.0.0.1", true),
            (&["127.0.0.1"], "::ffff:127.0.0.1", true),
            (&["127.0.0.1"], "127.0.0.2", false),
            (&["10.0.0.0/8", "192.168.1.0/24"], "192.168.1.255", true),
            (&["10.0.0.0/8"], "11.0.0.0", false),
            (&["0.0.0.0/0"], "::1", false),
            (&["2001:db8::/32"], "2001:db8:ffff::1", true),
            (&["2001:db8::/32"], "2001:db9::1", false),
            (&["0.0.0.0/0", "::/0"], "unix", false),
            (&["unix"], "unix", true),
            (&["unix"], "127.0.0.1", false),
        ];
        for (proxies, peer, expected) in cases {
            assert_eq!(trusts(proxies, peer), expected, "{proxies:?} and {peer}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for given in ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "::/129", "Unix", "*"]
        {
            let error = given.parse::<TrustedProxy>().unwrap_err();
            assert!(error.to_string().contains("10.0.0.0/8"), "{given}: {error}");
        }
    }
}
