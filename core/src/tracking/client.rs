//! The address of the client, also behind proxies.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::{IpAddr, SocketAddr};

use super::decimal;
use crate::http::Headers;

/// The address of the client that sent a request with these `headers` over a connection from
/// `peer`, when there are `trusted_hops` proxies of one's own in front.
///
/// Every proxy appends the address that it was called from to `X-Forwarded-For`, so the n-th entry
/// from the right is the one that the outermost of n trusted proxies saw; what is left of it may be
/// made up by the client, and is never used. Without trusted hops the header is not looked at. When
/// there are fewer entries than hops, or the entry is no address (with or without port, IPv6 with
/// or without brackets), it is `peer`. IPv4-mapped IPv6 addresses are given as IPv4.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use windhover_core::http::Headers;
/// use windhover_core::tracking::client_address;
///
/// let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// let entries: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"6.6.6.6, 203.0.113.9:4711")];
/// let headers = Headers::new(&entries);
/// assert_eq!(client_address(&headers, peer, 0), peer);
/// assert_eq!(client_address(&headers, peer, 1), IpAddr::from([203, 0, 113, 9]));
/// ```
pub fn client_address(headers: &Headers<'_>, peer: IpAddr, trusted_hops: usize) -> IpAddr {
    forwarded_for(headers, trusted_hops).unwrap_or(peer).to_canonical()
}

fn forwarded_for(headers: &Headers<'_>, trusted_hops: usize) -> Option<IpAddr> {
    if trusted_hops == 0 {
        return None;
    }
    // A list may be spread over several headers (RFC 9110 §5.3), and have empty elements.
    let entries = || {
        headers
            .all("x-forwarded-for")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|entry| !entry.is_empty())
    };
    let from_left = entries().count().checked_sub(trusted_hops)?;
    address(entries().nth(from_left)?)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`, or one of them
/// in double quotes.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = core::str::from_utf8(entry).ok()?;
    let entry =
        entry.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or(entry);
    if let Ok(address) = entry.parse() {
        return Some(address);
    }
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let bare = entry.strip_prefix('[')?.strip_suffix(']')?;
    bare.parse().ok().filter(IpAddr::is_ipv6)
}

/// Appends an address as a JSON string.
pub(super) fn push_quoted(address: IpAddr, into: &mut Vec<u8>) {
    into.push(b'"');
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (n, octet) in address.octets().into_iter().enumerate() {
                if n > 0 {
                    into.push(b'.');
                }
                decimal::push(octet.into(), into);
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory does not fail.
            let _ = write!(Appended(into), "{address}");
        }
    }
    into.push(b'"');
}

struct Appended<'a>(&'a mut Vec<u8>);

impl fmt::Write for Appended<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(values: &[&str], hops: usize) -> std::string::String {
        let entries: Vec<(&str, &[u8])> =
            values.iter().map(|value| ("X-Forwarded-For", value.as_bytes())).collect();
        let peer = IpAddr::from([10, 0, 0, 1]);
        std::format!("{}", client_address(&Headers::new(&entries), peer, hops))
    }

    #[test]
    fn the_entry_of_the_outermost_trusted_proxy_counts() {
        assert_eq!(client(&["1.1.1.1, 2.2.2.2, 3.3.3.3"], 0), "10.0.0.1");
        assert_eq!(client(&["1.1.1.1, 2.2.2.2, 3.3.3.3"], 1), "3.3.3.3");
        assert_eq!(client(&["1.1.1.1, 2.2.2.2, 3.3.3.3"], 3), "1.1.1.1");
        assert_eq!(client(&["1.1.1.1", "2.2.2.2 ,, 3.3.3.3,"], 2), "2.2.2.2");
    }

    #[test]
    fn a_header_with_too_few_entries_is_not_used() {
        assert_eq!(client(&["1.1.1.1"], 2), "10.0.0.1");
        assert_eq!(client(&[""], 1), "10.0.0.1");
        assert_eq!(client(&[], 1), "10.0.0.1");
    }

    #[test]
    fn entries_may_have_ports_brackets_and_quotes() {
        let cases = [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:DB8::1]:4711", "2001:db8::1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ];
        for (entry, expected) in cases {
            assert_eq!(client(&[entry], 1), expected, "{entry}");
        }
    }

    #[test]
    fn garbage_is_not_an_address() {
        for entry in ["unknown", "_hidden", "[192.0.2.1]", "1.2.3", "1.2.3.4.5", "[::1", "\u{e9}"] {
            assert_eq!(client(&[entry], 1), "10.0.0.1", "{entry}");
        }
    }

    #[test]
    fn addresses_are_written_as_strings() {
        let cases: [(IpAddr, &[u8]); 3] = [
            (IpAddr::from([192, 0, 2, 1]), b"\"192.0.2.1\""),
            ("2001:db8::1".parse().unwrap(), b"\"2001:db8::1\""),
            ("::ffff:192.0.2.1".parse().unwrap(), b"\"192.0.2.1\""),
        ];
        for (address, expected) in cases {
            let mut out = Vec::new();
            push_quoted(address, &mut out);
            assert_eq!(out, expected);
        }
    }
}
