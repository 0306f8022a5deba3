//! Headers of the PROXY protocol, mostly well formed.

use crate::Source;
use crate::reference::proxy_protocol::checksum;

/// Tokens of both versions.
pub const DICTIONARY: &[&[u8]] = &[
    b"PROXY ",
    b"TCP4 ",
    b"TCP6 ",
    b"UNKNOWN",
    b" 203.0.113.9",
    b" 2001:db8::1",
    b" ::ffff:192.0.2.1",
    b" 65535",
    b" 65536",
    b" 0",
    b" 00",
    b"\r\n",
    b"\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x20\x00\x00\x00",
    b"\x21\x11\x00\x0c",
    b"\x21\x12\x00\x0c",
    b"\x21\x21\x00\x24",
    b"\x21\x31\x00\xd8",
    b"\x21\x00\x10\x00",
    b"\x21\x00\x10\x01",
    b"\x03\x00\x04",
    b"\x04\x00\x00",
    &[b'/'; 216],
];

/// A header, and some bytes behind it.
pub fn header(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = if source.chance(1, 2) { binary(source) } else { line(source) };
    if source.chance(1, 2) {
        out.extend_from_slice(b"GET / HTTP/1.1\r\n");
    }
    out
}

fn line(source: &mut Source<'_>) -> Vec<u8> {
    let families = ["TCP4", "TCP6", "UNKNOWN", "TCP4", "TCP6", "UDP4"];
    let family = source.pick(&families);
    let v4 = ["203.0.113.9", "0.0.0.0", "255.255.255.255", "01.2.3.4"];
    let v6 = ["2001:db8::1", "::", "::ffff:192.0.2.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    let ports = ["4711", "0", "65535", "80", "65536", "01", "+80"];
    let mut address = || {
        let of_v6 = (family == "TCP6") != source.chance(1, 16);
        if of_v6 { source.pick(&v6) } else { source.pick(&v4) }
    };
    let (from, to) = (address(), address());
    let (source_port, port) = (source.pick(&ports), source.pick(&ports));
    let end = if source.chance(1, 16) { "\n" } else { "\r\n" };
    match family {
        "UNKNOWN" => format!("PROXY UNKNOWN{}{end}", " x".repeat(source.below(50))),
        family => format!("PROXY {family} {from} {to} {source_port} {port}{end}"),
    }
    .into_bytes()
}

fn binary(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    out.push(source.pick(&[0x21, 0x20, 0x21, 0x21, 0x22, 0x11]));
    let protocol = source.pick(&[0x11, 0x21, 0x00, 0x12, 0x22, 0x31, 0x32, 0x13]);
    out.push(protocol);
    let addresses = match protocol >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    };
    let mut block = source.bytes(addresses).to_vec();
    block.resize(if source.chance(1, 16) { addresses / 2 } else { addresses }, 7);
    for _ in 0..source.below(3) {
        let length = source.below(9);
        block.extend_from_slice(&[
            source.pick(&[4, 1, 2, 5, 0x20, 3]),
            0,
            u8::try_from(length).unwrap(),
        ]);
        block.extend_from_slice(&vec![b'v'; if source.chance(1, 16) { 1 } else { length }]);
    }
    let summed = source.chance(1, 3).then_some(16 + block.len() + 3);
    if summed.is_some() {
        block.extend_from_slice(b"\x03\0\x04\0\0\0\0");
    }
    out.extend_from_slice(&u16::try_from(block.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&block);
    if let Some(at) = summed {
        let sum = checksum(&out).to_be_bytes();
        out[at..at + 4].copy_from_slice(&sum);
    }
    out
}
