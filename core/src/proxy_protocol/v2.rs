//! Version 2: binary (§2.2).

use core::net::{IpAddr, SocketAddr};

use super::crc32c::Crc32c;
use super::{MAX_V2, ParsedProxyHeader, ProxyHeader, ProxyHeaderError, may_begin_with};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;
/// The extension that has the checksum of the header (`PP2_TYPE_CRC32C`).
const CRC32C: u8 = 0x03;
/// The bytes of type and length before the value of an extension.
const EXTENSION_HEAD: usize = 3;

pub(super) fn parse(bytes: &[u8]) -> Result<ParsedProxyHeader, ProxyHeaderError> {
    if !may_begin_with(bytes, SIGNATURE) {
        return Err(ProxyHeaderError::Signature);
    }
    // Each is looked at when it comes, so that no more is waited for than can be right.
    let behind = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    let Some(&version_and_command) = behind.first() else {
        return Ok(ParsedProxyHeader::Incomplete);
    };
    let is_local = is_local(version_and_command)?;
    let Some(&protocol) = behind.get(1) else { return Ok(ParsedProxyHeader::Incomplete) };
    let family = if is_local { Family::Other(0) } else { Family::of(protocol)? };
    let &[_, _, high, low, ..] = behind else { return Ok(ParsedProxyHeader::Incomplete) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > MAX_V2 {
        return Err(ProxyHeaderError::TooLong { length });
    }
    if length < family.addresses() {
        return Err(ProxyHeaderError::TooShort { length });
    }
    let Some(whole) = bytes.get(..FIXED + length) else { return Ok(ParsedProxyHeader::Incomplete) };
    let header = if is_local || protocol == 0 {
        // Nothing in it means anything, extensions included.
        ProxyHeader::Unnamed
    } else {
        check_extensions(whole, FIXED + family.addresses())?;
        family.header(whole.get(FIXED..).unwrap_or_default())
    };
    Ok(ParsedProxyHeader::Complete { header, length: whole.len() })
}

/// Whether the command is `LOCAL`, and not `PROXY`.
fn is_local(version_and_command: u8) -> Result<bool, ProxyHeaderError> {
    match (version_and_command >> 4, version_and_command & 0xf) {
        (2, 0) => Ok(true),
        (2, 1) => Ok(false),
        (2, command) => Err(ProxyHeaderError::Command { command }),
        (version, _) => Err(ProxyHeaderError::Version { version }),
    }
}

/// What the addresses are.
#[derive(Clone, Copy)]
enum Family {
    Tcp4,
    Tcp6,
    /// Something whose addresses say nothing here, and how many bytes they have.
    Other(usize),
}

impl Family {
    /// By the byte of family and protocol.
    fn of(byte: u8) -> Result<Self, ProxyHeaderError> {
        match byte {
            0x11 => Ok(Self::Tcp4),
            0x21 => Ok(Self::Tcp6),
            0x00 => Ok(Self::Other(0)),
            // Datagrams.
            0x12 => Ok(Self::Other(12)),
            0x22 => Ok(Self::Other(36)),
            // Unix sockets, by two paths.
            0x31 | 0x32 => Ok(Self::Other(216)),
            byte => Err(ProxyHeaderError::Protocol { byte }),
        }
    }

    /// How many bytes the addresses have.
    fn addresses(self) -> usize {
        match self {
            Self::Tcp4 => 12,
            Self::Tcp6 => 36,
            Self::Other(length) => length,
        }
    }

    /// What addresses of this family say, which `block` begins with.
    fn header(self, block: &[u8]) -> ProxyHeader {
        match self {
            Self::Tcp4 => tcp::<4>(block),
            Self::Tcp6 => tcp::<16>(block),
            Self::Other(_) => ProxyHeader::Unnamed,
        }
    }
}

/// Two addresses of `N` bytes, and two ports. They are there: the length was checked.
fn tcp<const N: usize>(block: &[u8]) -> ProxyHeader
where
    IpAddr: From<[u8; N]>,
{
    let end = |address, port| {
        let address = IpAddr::from(octets::<N>(block, address));
        SocketAddr::new(address, u16::from_be_bytes(octets(block, port)))
    };
    ProxyHeader::Tcp { source: end(0, 2 * N), destination: end(N, 2 * N + 2) }
}

/// The bytes at `at`.
fn octets<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    core::array::from_fn(|n| block.get(at + n).copied().unwrap_or_default())
}

/// Passes over the extensions from `at` to the end of a header. One of them may be the checksum.
fn check_extensions(whole: &[u8], mut at: usize) -> Result<(), ProxyHeaderError> {
    while let Some(rest) = whole.get(at..).filter(|rest| !rest.is_empty()) {
        let &[kind, high, low, ..] = rest else { return Err(ProxyHeaderError::Extension) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(EXTENSION_HEAD..EXTENSION_HEAD + length);
        let value = value.ok_or(ProxyHeaderError::Extension)?;
        if kind == CRC32C {
            check_sum(whole, at + EXTENSION_HEAD, value)?;
        }
        at += EXTENSION_HEAD + length;
    }
    Ok(())
}

/// The checksum is that of the whole header, in which it itself counts as zeros.
fn check_sum(whole: &[u8], at: usize, value: &[u8]) -> Result<(), ProxyHeaderError> {
    let &[a, b, c, d] = value else { return Err(ProxyHeaderError::Checksum) };
    let mut crc = Crc32c::new();
    crc.update(whole.get(..at).unwrap_or_default());
    crc.update(&[0; 4]);
    crc.update(whole.get(at + 4..).unwrap_or_default());
    if crc.value() == u32::from_be_bytes([a, b, c, d]) {
        Ok(())
    } else {
        Err(ProxyHeaderError::Checksum)
    }
}
