//! The address of the client, also behind proxies.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::{IpAddr, SocketAddr};

use super::decimal;
use crate::http::Headers;

/// The header in which proxies name the sender of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), a list of elements with `for=` in each.
    Forwarded,
}

/// The proxies of one's own in front of a tracker. Nobody else is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// How many there are, one behind the other, each of which appends to the header.
    pub hops: usize,
    /// The header that they write. The other one may be the client's, and is not looked at.
    pub header: ForwardedHeader,
}

/// The address of the client that sent a request with these `headers` over a connection from
/// `peer`, when these `proxies` of one's own are in front.
///
/// Every proxy appends the address that it was called from to the header, so the n-th entry
/// from the right is the one that the outermost of n trusted proxies saw; what is left of it may be
/// made up by the client, and is never used. Without trusted hops no header is looked at. When
/// there are fewer entries than hops, or the entry is no address (with or without port, IPv6 with
/// or without brackets), or a `Forwarded` is malformed anywhere, it is `peer`. IPv4-mapped IPv6
/// addresses are given as IPv4.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use windhover_core::http::Headers;
/// use windhover_core::tracking::{ForwardedHeader, TrustedProxies, client_address};
///
/// let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// let entries: [(&str, &[u8]); 2] = [
///     ("X-Forwarded-For", b"6.6.6.6, 203.0.113.9:4711"),
///     ("Forwarded", b"for=6.6.6.6, for=\"[2001:db8::1]\";proto=https"),
/// ];
/// let headers = Headers::new(&entries);
/// assert_eq!(client_address(&headers, peer, &TrustedProxies::default()), peer);
/// let proxies = TrustedProxies { hops: 1, header: ForwardedHeader::XForwardedFor };
/// assert_eq!(client_address(&headers, peer, &proxies), IpAddr::from([203, 0, 113, 9]));
/// let proxies = TrustedProxies { hops: 1, header: ForwardedHeader::Forwarded };
/// assert_eq!(client_address(&headers, peer, &proxies).to_string(), "2001:db8::1");
/// ```
pub fn client_address(headers: &Headers<'_>, peer: IpAddr, proxies: &TrustedProxies) -> IpAddr {
    let named = match (proxies.hops, proxies.header) {
        (0, _) => None,
        (hops, ForwardedHeader::XForwardedFor) => x_forwarded_for(headers, hops),
        (hops, ForwardedHeader::Forwarded) => forwarded(headers, hops),
    };
    named.unwrap_or(peer).to_canonical()
}

fn x_forwarded_for(headers: &Headers<'_>, hops: usize) -> Option<IpAddr> {
    // A list may be spread over several headers (RFC 9110 §5.3), and have empty elements.
    let entries = || {
        headers
            .all("x-forwarded-for")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|entry| !entry.is_empty())
    };
    let from_left = entries().count().checked_sub(hops)?;
    address(entries().nth(from_left)?)
}

fn forwarded(headers: &Headers<'_>, hops: usize) -> Option<IpAddr> {
    let elements = || headers.all("forwarded").flat_map(|value| Elements { rest: value });
    // What is malformed on the left could hide where the proxies' own elements begin.
    let count = elements().try_fold(0_usize, |count, element| element.ok().map(|_| count + 1))?;
    let element = elements().nth(count.checked_sub(hops)?)?;
    address(element.ok()??)
}

/// The elements of one `Forwarded` (RFC 7239 §4): the value of `for` of each, with its quotes.
struct Elements<'a> {
    rest: &'a [u8],
}

/// The header breaks its grammar.
struct Malformed;

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Option<&'a [u8]>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty elements may be in every list.
        while let [b',' | b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let element = self.element();
        if element.is_err() {
            self.rest = &[];
        }
        Some(element)
    }
}

impl<'a> Elements<'a> {
    /// Takes an element.
    fn element(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let mut client = None;
        loop {
            self.skip_spaces();
            let name = self.take(token_len(self.rest)).ok_or(Malformed)?;
            self.rest = self.rest.strip_prefix(b"=").ok_or(Malformed)?;
            let is_quoted = self.rest.starts_with(b"\"");
            let len = if is_quoted {
                quoted_len(self.rest).ok_or(Malformed)?
            } else {
                token_len(self.rest)
            };
            let value = self.take(len).ok_or(Malformed)?;
            if client.is_none() && name.eq_ignore_ascii_case(b"for") {
                client = Some(value);
            }
            self.skip_spaces();
            match self.rest {
                [] | [b',', ..] => return Ok(client),
                [b';', rest @ ..] => self.rest = rest,
                _ => return Err(Malformed),
            }
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Takes so many bytes, one at least.
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        (len > 0).then_some(taken)
    }
}

/// How long the token is that some bytes begin with. Addresses with colons and brackets belong in
/// quotes, but not every proxy puts them there.
fn token_len(bytes: &[u8]) -> usize {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(byte);
    bytes.iter().take_while(is_part).count()
}

/// How long the quoted string is that some bytes begin with, quotes included.
fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
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
        std::format!(
            "{}",
            client_address(
                &Headers::new(&entries),
                peer,
                &TrustedProxies { hops, ..TrustedProxies::default() }
            )
        )
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

    fn forwarded_by(values: &[&str], hops: usize) -> std::string::String {
        let entries: Vec<(&str, &[u8])> =
            values.iter().map(|value| ("Forwarded", value.as_bytes())).collect();
        let proxies = TrustedProxies { hops, header: ForwardedHeader::Forwarded };
        let peer = IpAddr::from([10, 0, 0, 1]);
        std::format!("{}", client_address(&Headers::new(&entries), peer, &proxies))
    }

    #[test]
    fn forwarded_names_the_client_in_each_element() {
        let cases: &[(&[&str], usize, &str)] = &[
            (&["for=1.1.1.1, for=2.2.2.2"], 0, "10.0.0.1"),
            (&["for=1.1.1.1, for=2.2.2.2"], 1, "2.2.2.2"),
            (&["for=1.1.1.1", "For=2.2.2.2;proto=https ; by=3.3.3.3"], 2, "1.1.1.1"),
            (&["proto=http;FOR=\"[2001:db8::1]:4711\""], 1, "2001:db8::1"),
            (&["for=[2001:db8::1], ,"], 1, "2001:db8::1"),
            (&["for=\"192.0.2.1:80\";host=\"a, \\\";for=6.6.6.6\""], 1, "192.0.2.1"),
            (&["for=1.1.1.1;for=2.2.2.2"], 1, "1.1.1.1"),
            // No address, or fewer elements than hops.
            (&["for=unknown"], 1, "10.0.0.1"),
            (&["for=_hidden, for=2.2.2.2"], 2, "10.0.0.1"),
            (&["proto=https"], 1, "10.0.0.1"),
            (&["for=1.1.1.1"], 2, "10.0.0.1"),
            (&[], 1, "10.0.0.1"),
        ];
        for (values, hops, expected) in cases {
            assert_eq!(forwarded_by(values, *hops), *expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_malformed_cannot_move_the_elements_of_the_proxies() {
        for malformed in ["for=\"6.6.6.6", "for=", "for", "=1.1.1.1", "for=1.1.1.1 x", "for=\"a\\"]
        {
            for joined in
                [&[&*std::format!("{malformed}, for=2.2.2.2")][..], &[malformed, "for=2.2.2.2"]]
            {
                assert_eq!(forwarded_by(joined, 1), "10.0.0.1", "{joined:?}");
            }
        }
        // The client's own header of the other kind is not looked at.
        assert_eq!(client(&["1.1.1.1"], 1), "1.1.1.1");
        let entries: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"6.6.6.6")];
        let proxies = TrustedProxies { hops: 1, header: ForwardedHeader::Forwarded };
        let peer = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(client_address(&Headers::new(&entries), peer, &proxies), peer);
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
