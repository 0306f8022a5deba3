use alloc::vec::Vec;
use std::string::ToString;

use super::*;

/// A header of version 2 with these bytes behind its length.
fn v2(version_and_command: u8, protocol: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[version_and_command, protocol][..], &length, block].concat()
}

fn tcp(source: &str, destination: &str) -> ProxyHeader {
    ProxyHeader::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

const TCP4: [u8; 12] = [203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 0, 80];

/// The addresses of `TCP4` with an extension, and the checksum of the header in another.
fn with_checksum() -> Vec<u8> {
    let mut extended = TCP4.to_vec();
    extended.extend_from_slice(b"\x04\x00\x02no\x03\x00\x04\0\0\0\0\x02\x00\x01h");
    let mut header = v2(0x21, 0x11, &extended);
    let mut crc = crc32c::Crc32c::new();
    crc.update(&header);
    header[36..40].copy_from_slice(&crc.value().to_be_bytes());
    header
}

/// Whole headers, and what they say.
fn headers() -> Vec<(Vec<u8>, ProxyHeader)> {
    let tcp6 = [
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..],
        &[0; 15],
        &[1, 0x12, 0x67, 0x01, 0xbb],
    ]
    .concat();
    let longest = b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                    ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n";
    let last = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let named = tcp("203.0.113.9:4711", "192.0.2.1:80");
    let mut headers = Vec::from([
        (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n".to_vec(), named),
        (
            b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n".to_vec(),
            tcp("255.255.255.255:65535", "0.0.0.0:0"),
        ),
        (
            b"PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.1 1 2\r\n".to_vec(),
            tcp("[2001:db8::1]:1", "[::ffff:192.0.2.1]:2"),
        ),
        (longest.to_vec(), tcp(last, &last.replace("ffff]", "fffe]"))),
        (b"PROXY UNKNOWN\r\n".to_vec(), ProxyHeader::Unnamed),
        (b"PROXY UNKNOWN \r\n".to_vec(), ProxyHeader::Unnamed),
        (b"PROXY UNKNOWN a\rb\0 \xff\r\n".to_vec(), ProxyHeader::Unnamed),
        ([b"PROXY UNKNOWN ", &[b'x'; 91][..], b"\r\n"].concat(), ProxyHeader::Unnamed),
        (v2(0x21, 0x11, &TCP4), named),
        (v2(0x21, 0x21, &tcp6), tcp("[2001:db8::1]:4711", "[::1]:443")),
        // Extensions are passed over.
        (v2(0x21, 0x11, &[&TCP4[..], b"\x01\x00\x02h2\x04\x00\x00"].concat()), named),
        (with_checksum(), named),
        // A proxy's own connection, whatever it says of it.
        (v2(0x20, 0x00, b""), ProxyHeader::Unnamed),
        (v2(0x20, 0x11, b"odd"), ProxyHeader::Unnamed),
        (v2(0x20, 0xff, &TCP4), ProxyHeader::Unnamed),
        // Where nothing is known, nothing is looked at.
        (v2(0x21, 0x00, b""), ProxyHeader::Unnamed),
        (v2(0x21, 0x00, b"odd"), ProxyHeader::Unnamed),
        // The longest that is taken.
        (v2(0x21, 0x00, &[0; 4096]), ProxyHeader::Unnamed),
    ]);
    for (protocol, addresses) in [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216)] {
        let mut block = [b'/'; 216][..addresses].to_vec();
        headers.push((v2(0x21, protocol, &block), ProxyHeader::Unnamed));
        block.extend_from_slice(b"\x04\x00\x01x");
        headers.push((v2(0x21, protocol, &block), ProxyHeader::Unnamed));
    }
    headers
}

#[test]
fn a_header_is_read_as_soon_as_it_is_whole() {
    for (bytes, header) in headers() {
        for end in 0..bytes.len() {
            assert_eq!(
                parse(&bytes[..end]),
                Ok(ParsedProxyHeader::Incomplete),
                "{end} of {bytes:?}"
            );
        }
        let length = bytes.len();
        for behind in [&b""[..], b"\r\n", b"PROXY UNKNOWN\r\n", b"GET / HTTP/1.1\r\n"] {
            let read = parse(&[&bytes[..], behind].concat());
            assert_eq!(
                read,
                Ok(ParsedProxyHeader::Complete { header, length }),
                "{bytes:?} + {behind:?}"
            );
        }
    }
}

/// What is no header, with the first byte at which that is certain.
fn refused() -> Vec<(Vec<u8>, usize, ProxyHeaderError)> {
    use ProxyHeaderError as Error;
    let line = |text: &[u8], error| (text.to_vec(), text.len(), error);
    let mut changed_sum = with_checksum();
    changed_sum[17] ^= 1;
    let all = changed_sum.len();
    let mut no_sum = TCP4.to_vec();
    no_sum.extend_from_slice(b"\x03\x00\x03abc");
    let mut refused = Vec::from([
        (b"GET / HTTP/1.1\r\n".to_vec(), 1, Error::Signature),
        (b"POST / HTTP/1.1\r\n".to_vec(), 2, Error::Signature),
        (b"proxy UNKNOWN\r\n".to_vec(), 1, Error::Signature),
        (b"\r\n\r\n\0\r\nQUIT\r\n".to_vec(), 12, Error::Signature),
        (b"\x16\x03\x01".to_vec(), 1, Error::Signature),
        (b"PROXY\tUNKNOWN\r\n".to_vec(), 6, Error::Signature),
        line(b"PROXY UNKNOWN\n", Error::Line),
        line(b"PROXY \n", Error::Line),
        line(&[b"PROXY UNKNOWN ", &[b'x'; 93][..]].concat(), Error::Line),
        line(b"PROXY \r\n", Error::Family),
        line(b"PROXY  UNKNOWN\r\n", Error::Family),
        line(b"PROXY unknown\r\n", Error::Family),
        line(b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", Error::Family),
        (v2(0x31, 0x11, &TCP4), 13, Error::Version { version: 3 }),
        (v2(0x11, 0x11, &TCP4), 13, Error::Version { version: 1 }),
        (v2(0x22, 0x11, &TCP4), 13, Error::Command { command: 2 }),
        (v2(0x21, 0x10, &TCP4), 14, Error::Protocol { byte: 0x10 }),
        (v2(0x21, 0x13, &TCP4), 14, Error::Protocol { byte: 0x13 }),
        (v2(0x21, 0x41, &TCP4), 14, Error::Protocol { byte: 0x41 }),
        (v2(0x21, 0x01, &TCP4), 14, Error::Protocol { byte: 0x01 }),
        (v2(0x21, 0x11, &TCP4[..11]), 16, Error::TooShort { length: 11 }),
        (v2(0x21, 0x21, &[0; 35]), 16, Error::TooShort { length: 35 }),
        (v2(0x21, 0x31, &[0; 215]), 16, Error::TooShort { length: 215 }),
        (v2(0x20, 0x00, &[0; 4097]), 16, Error::TooLong { length: 4097 }),
        (v2(0x21, 0x11, &std::vec![0; 0xffff]), 16, Error::TooLong { length: 0xffff }),
        (v2(0x21, 0x11, &[&TCP4[..], b"\x04"].concat()), 29, Error::Extension),
        (v2(0x21, 0x11, &[&TCP4[..], b"\x04\x00\x02x"].concat()), 32, Error::Extension),
        (v2(0x21, 0x11, &no_sum), 34, Error::Checksum),
        (changed_sum, all, Error::Checksum),
    ]);
    for words in [
        "TCP4",
        "TCP4 1.2.3.4 1.2.3.4 1",
        "TCP4 1.2.3.4 1.2.3.4 1 2 ",
        "TCP4 1.2.3.4 1.2.3.4 1 2 3",
        "TCP4  1.2.3.4 1.2.3.4 1 2",
        "TCP4 1.2.3.4\t1.2.3.4 1 2",
        "TCP4 1.2.3 1.2.3.4 1 2",
        "TCP4 01.2.3.4 1.2.3.4 1 2",
        "TCP4 1.2.3.256 1.2.3.4 1 2",
        "TCP4 ::1 ::1 1 2",
        "TCP6 1.2.3.4 1.2.3.4 1 2",
        "TCP6 [::1] ::1 1 2",
        "TCP6 ::1%lo ::1 1 2",
        "TCP4 1.2.3.4 1.2.3.4 01 2",
        "TCP4 1.2.3.4 1.2.3.4 +1 2",
        "TCP4 1.2.3.4 1.2.3.4 1 65536",
        "TCP4 1.2.3.4 1.2.3.4 1 -2",
        "TCP4 1.2.3.4 1.2.3.4 1 00",
        "TCP4 1.2.3.4 1.2.3.4 1 ",
        "TCP4 1.2.3.4 1.2.3.4 1 2\r",
        "TCP4 1.2.3.4 1.2.3.\u{664} 1 2",
    ] {
        let text = [b"PROXY ", words.as_bytes(), b"\r\n"].concat();
        refused.push(line(&text, Error::Address));
    }
    refused.push(line(b"PROXY TCP4 \xff 1.2.3.4 1 2\r\n", Error::Address));
    refused
}

#[test]
fn what_is_no_header_is_refused_at_the_first_byte_that_shows_it() {
    for (bytes, at, error) in refused() {
        for end in 0..at {
            assert_eq!(
                parse(&bytes[..end]),
                Ok(ParsedProxyHeader::Incomplete),
                "{end} of {bytes:?}"
            );
        }
        for end in at..=bytes.len() {
            assert_eq!(parse(&bytes[..end]), Err(error), "{end} of {bytes:?}");
        }
        assert!(error.to_string().len() > 20, "{error}");
    }
}

#[test]
fn a_source_is_named_where_there_is_one() {
    assert_eq!(ProxyHeader::Unnamed.source(), None);
    let named = tcp("203.0.113.9:4711", "192.0.2.1:80");
    assert_eq!(named.source(), Some("203.0.113.9:4711".parse().unwrap()));
}
