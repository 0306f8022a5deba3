//! Version 1: a line of text (§2.1).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use super::{MAX_V1, ParsedProxyHeader, ProxyHeader, ProxyHeaderError, may_begin_with};

const BEGINNING: &[u8] = b"PROXY ";

pub(super) fn parse(bytes: &[u8]) -> Result<ParsedProxyHeader, ProxyHeaderError> {
    if !may_begin_with(bytes, BEGINNING) {
        return Err(ProxyHeaderError::Signature);
    }
    let within = bytes.get(..MAX_V1).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if bytes.len() < MAX_V1 {
            Ok(ParsedProxyHeader::Incomplete)
        } else {
            Err(ProxyHeaderError::Line)
        };
    };
    let said = within.get(BEGINNING.len()..end).unwrap_or_default();
    let header = header(said.strip_suffix(b"\r").ok_or(ProxyHeaderError::Line)?)?;
    Ok(ParsedProxyHeader::Complete { header, length: end + 1 })
}

/// Reads what is behind `PROXY `.
fn header(said: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let (family, rest) = match memchr::memchr(b' ', said) {
        Some(at) => (said.get(..at).unwrap_or_default(), said.get(at + 1..).unwrap_or_default()),
        None => (said, &b""[..]),
    };
    match family {
        b"TCP4" => addresses::<Ipv4Addr>(rest),
        b"TCP6" => addresses::<Ipv6Addr>(rest),
        // Whatever else is on the line is to be ignored.
        b"UNKNOWN" => Ok(ProxyHeader::Unnamed),
        _ => Err(ProxyHeaderError::Family),
    }
}

/// Reads two addresses and two ports.
fn addresses<A: FromStr + Into<IpAddr>>(text: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let read = || {
        let mut words = core::str::from_utf8(text).ok()?.split(' ');
        let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
        let (source, destination) = (address()?, address()?);
        let (from, to) = (port(words.next()?)?, port(words.next()?)?);
        words.next().is_none().then_some(ProxyHeader::Tcp {
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        })
    };
    read().ok_or(ProxyHeaderError::Address)
}

/// Digits without a zero before them.
fn port(word: &str) -> Option<u16> {
    let is_plain = word == "0" || !word.starts_with(['0', '+']);
    word.parse().ok().filter(|_| is_plain)
}
