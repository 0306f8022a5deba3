//! The PROXY protocol's header, read by looking at all of it at once.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The two ends that a header names, if it does, and its length; `None` where some bytes do not begin
/// with a whole one.
pub fn header(bytes: &[u8]) -> Option<(Option<[SocketAddr; 2]>, usize)> {
    if bytes.starts_with(b"PROXY ") { line(bytes) } else { binary(bytes) }
}

fn line(bytes: &[u8]) -> Option<(Option<[SocketAddr; 2]>, usize)> {
    let length = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    if length > 107 || !bytes[..length].ends_with(b"\r\n") {
        return None;
    }
    let words: Vec<&[u8]> = bytes[6..length - 2].split(|&byte| byte == b' ').collect();
    let [family, source, destination, from, to] = words[..] else {
        return (words[0] == b"UNKNOWN").then_some((None, length));
    };
    let address = |word: &[u8]| -> Option<IpAddr> {
        let word = std::str::from_utf8(word).ok()?;
        match family {
            b"TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            b"TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |word: &[u8]| {
        let port: u16 = std::str::from_utf8(word).ok()?.parse().ok()?;
        (port.to_string().as_bytes() == word).then_some(port)
    };
    if family == b"UNKNOWN" {
        return Some((None, length));
    }
    let source = SocketAddr::new(address(source)?, port(from)?);
    let destination = SocketAddr::new(address(destination)?, port(to)?);
    Some((Some([source, destination]), length))
}

fn binary(bytes: &[u8]) -> Option<(Option<[SocketAddr; 2]>, usize)> {
    let rest = bytes.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")?;
    let [version_and_command, protocol, high, low] = *rest.first_chunk()?;
    let length = 16 + usize::from(high) * 256 + usize::from(low);
    let whole = bytes.get(..length).filter(|_| length <= 16 + 4096)?;
    if version_and_command == 0x20 {
        return Some((None, length));
    }
    let addresses = match protocol {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return None,
    };
    if version_and_command != 0x21 || length < 16 + addresses {
        return None;
    }
    if protocol != 0 && !extensions_hold(whole, 16 + addresses) {
        return None;
    }
    let end = |at: usize, port: usize| {
        let port = u16::from_be_bytes([whole[port], whole[port + 1]]);
        let address: IpAddr = if protocol == 0x11 {
            <[u8; 4]>::try_from(&whole[at..at + 4]).unwrap().into()
        } else {
            <[u8; 16]>::try_from(&whole[at..at + 16]).unwrap().into()
        };
        SocketAddr::new(address, port)
    };
    let named = match protocol {
        0x11 => Some([end(16, 24), end(20, 26)]),
        0x21 => Some([end(16, 48), end(32, 50)]),
        _ => None,
    };
    Some((named, length))
}

/// Whether the extensions from `at` on fill the header, and no checksum among them is wrong.
fn extensions_hold(whole: &[u8], at: usize) -> bool {
    let rest = &whole[at..];
    if rest.is_empty() {
        return true;
    }
    if rest.len() < 3 {
        return false;
    }
    let next = at + 3 + usize::from(rest[1]) * 256 + usize::from(rest[2]);
    if next > whole.len() {
        return false;
    }
    if rest[0] == 3 {
        let mut without = whole.to_vec();
        let sum = without[at + 3..next].to_vec();
        without[at + 3..next].fill(0);
        if sum != checksum(&without).to_be_bytes() {
            return false;
        }
    }
    extensions_hold(whole, next)
}

/// CRC-32C, bit by bit.
pub fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for bit in bytes.iter().flat_map(|&byte| (0..8).map(move |place| byte >> place & 1)) {
        let carry = (crc ^ u32::from(bit)) & 1 == 1;
        crc >>= 1;
        if carry {
            crc ^= 0x82f6_3b78;
        }
    }
    !crc
}
