//! The requests of `conformance/smuggling/requests.txt`.

use std::path::Path;

/// Comes behind each of them.
const MARKER: &[u8] = b"GET /marker HTTP/1.1\r\nHost: h\r\n\r\n";

/// Whom we compare ourselves with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Hyper,
    Nginx,
}

/// What is sent on one connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    refused_by: Vec<Peer>,
}

impl Entry {
    /// Whether it is noted, with a reason, that the peer refuses what we take.
    pub(crate) fn is_refused_by(&self, peer: Peer) -> bool {
        self.refused_by.contains(&peer)
    }
}

/// All of them.
pub(crate) fn entries() -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("smuggling/requests.txt");
    let text = std::fs::read_to_string(&path).expect("the requests can be read");
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(note) = line.strip_prefix("  ") {
            let (who, reason) = note.split_once(" refuses: ").expect("`PEER refuses: REASON`");
            assert!(!reason.is_empty(), "{line}: the reason is missing");
            let peer = match who {
                "hyper" => Peer::Hyper,
                "nginx" => Peer::Nginx,
                other => panic!("{other} is no peer"),
            };
            entries.last_mut().expect("a note follows a request").refused_by.push(peer);
            continue;
        }
        let (name, text) = line.split_once(": ").expect("`NAME: REQUEST`");
        assert!(entries.iter().all(|entry| entry.name != name), "there are two {name}");
        let mut bytes = unescape(text);
        bytes.extend_from_slice(MARKER);
        entries.push(Entry { name: name.to_owned(), bytes, refused_by: Vec::new() });
    }
    assert!(entries.len() > 300, "only {} requests were read", entries.len());
    entries
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, behind) = rest.split_first().expect("something follows a backslash");
        rest = behind;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'"' | b'\\' => escape,
            b'x' => {
                let (digits, behind) = rest.split_at(2);
                rest = behind;
                let digits = std::str::from_utf8(digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            other => panic!("{text}: there is no escape \\{}", char::from(other)),
        });
    }
    bytes
}
