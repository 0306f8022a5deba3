//! One stream, one server: its replies in a form that can be compared.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Stream;
use super::rules::{MOST_DATA, Peer};
use super::stream::{KEYS, Part};

const BOUND: Duration = Duration::from_secs(10);
/// Stands between the phases of a stream; its reply holds the opaque, which no value does.
const MARK: &[u8] = b"mg nothing-here k Oend-of-phase\r\n";
const MARKED: &[u8] = b"EN knothing-here Oend-of-phase\r\n";

/// The replies to `stream` behind a `flush_all`, one a line, with what may differ taken out (the
/// rules "cas", "clock", "version", "meta-debug" and, beside an old memcached, "words"); and how the
/// connection ended.
pub(super) fn replies(address: SocketAddr, stream: &Stream, peer: Peer) -> String {
    let mut connection = Connection::open(address);
    let ending = match connection.play(stream) {
        Ok(()) => {
            let marks = connection.received.windows(MARKED.len()).filter(|at| *at == MARKED);
            assert_eq!(marks.count(), stream.phases().len(), "phases that were answered");
            String::from("(open)")
        }
        Err(error) => format!("(closed: {:?})", error.kind()),
    };
    let mut normal = Normal { words: !peer.may_be(Peer::Old), uniques: HashMap::new() };
    let mut text = String::new();
    for line in connection.received.split_inclusive(|&byte| byte == b'\n') {
        text.push_str(&normal.line(line).escape_ascii().to_string());
        text.push('\n');
    }
    text + &ending
}

/// Whether two lines of replies are the same (the rule "clock": times to live may be some seconds
/// apart).
pub(super) fn same_line(left: &str, right: &str) -> bool {
    const APART: u64 = 5;
    if left == right {
        return true;
    }
    let is_meta = |line: &str| line.starts_with("HD ") || line.starts_with("VA ");
    let seconds = |word: &str| -> Option<u64> {
        let word = word.strip_suffix("\\r\\n").unwrap_or(word);
        word.strip_prefix('t').filter(|digits| is_number(digits.as_bytes()))?.parse().ok()
    };
    let (left_words, right_words) = (left.split(' '), right.split(' '));
    is_meta(left)
        && is_meta(right)
        && left_words.clone().count() == right_words.clone().count()
        && left_words.zip(right_words).all(|(left, right)| {
            left == right
                || match (seconds(left), seconds(right)) {
                    (Some(one), Some(other)) => one.abs_diff(other) <= APART,
                    _ => false,
                }
        })
}

/// Whether all replies are.
pub(super) fn same(left: &str, right: &str) -> bool {
    left == right
        || (left.lines().count() == right.lines().count()
            && left.lines().zip(right.lines()).all(|(left, right)| same_line(left, right)))
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// The end of the last mark in what was received.
    marked: usize,
}

impl Connection {
    #[track_caller]
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server takes a connection");
        for set in [stream.set_read_timeout(Some(BOUND)), stream.set_write_timeout(Some(BOUND))] {
            set.expect("a socket takes a time limit");
        }
        stream.set_nodelay(true).expect("a socket sends at once");
        Self { stream, received: Vec::new(), marked: 0 }
    }

    fn play(&mut self, stream: &Stream) -> io::Result<()> {
        self.stream.write_all(b"flush_all\r\n")?;
        for (at, phase) in stream.phases().iter().enumerate() {
            let uniques = if at == 0 { HashMap::new() } else { self.cas_uniques()? };
            let mut bytes = Vec::new();
            for part in phase.iter().flatten() {
                match part {
                    Part::Bytes(more) => bytes.extend_from_slice(more),
                    Part::CasOf(key) => {
                        let unique =
                            uniques.get(*key).map_or("4611686018427387904", String::as_str);
                        bytes.extend_from_slice(unique.as_bytes());
                    }
                }
            }
            self.stream.write_all(&bytes)?;
        }
        // The longest block that may be open is over behind this, and then there is a line's end.
        let filler = [b'!'; 98];
        let tail = [&filler[..], b"\r\n"].concat().repeat(MOST_DATA / 100 + 2);
        self.stream.write_all(&[&tail, MARK].concat())?;
        self.read_to_mark()
    }

    /// Reads up to the next mark.
    fn read_to_mark(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        while !self.received[self.marked..].ends_with(MARKED) {
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.received.extend_from_slice(&buffer[..read]),
            }
        }
        self.marked = self.received.len();
        Ok(())
    }

    /// Reads what is still to come, and the cas unique of every key.
    fn cas_uniques(&mut self) -> io::Result<HashMap<&'static str, String>> {
        let mut request = format!("gets {}\r\n", KEYS.join(" ")).into_bytes();
        request.extend_from_slice(MARK);
        self.stream.write_all(&request)?;
        let before = self.received.len();
        self.read_to_mark()?;
        let text = String::from_utf8_lossy(&self.received[before..]);
        let mut uniques = HashMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["VALUE", key, _, _, unique] = words[..]
                && let Some(key) = KEYS.iter().find(|known| **known == key)
            {
                uniques.insert(*key, unique.to_owned());
            }
        }
        Ok(uniques)
    }
}

/// Takes out what may differ.
struct Normal {
    /// Whether the words of errors are compared.
    words: bool,
    /// Cas uniques in the order in which they were seen.
    uniques: HashMap<Vec<u8>, usize>,
}

impl Normal {
    fn line(&mut self, line: &[u8]) -> Vec<u8> {
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let word = words[0].strip_suffix(b"\r\n").unwrap_or(words[0]);
        let normal: Vec<Vec<u8>> = match words[0] {
            _ if !self.words && (word == b"ERROR" || word == b"CLIENT_ERROR") => {
                return b"(refused)\r\n".to_vec();
            }
            b"VALUE" if words.len() == 5 => {
                let mut normal: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
                normal[4] = self.unique(words[4]);
                normal
            }
            b"VERSION" => return b"VERSION\r\n".to_vec(),
            b"ME" => {
                let keeps = |word: &&&[u8]| !word.contains(&b'=') || word.starts_with(b"fetch=");
                words.iter().filter(keeps).map(|word| word.to_vec()).collect()
            }
            b"HD" | b"VA" | b"EN" | b"NS" | b"EX" | b"NF" | b"HD\r\n" => {
                words.iter().map(|word| self.flag(word)).collect()
            }
            _ => return line.to_vec(),
        };
        normal.join(&b' ')
    }

    fn flag(&mut self, word: &[u8]) -> Vec<u8> {
        let end = word.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |at| at + 1);
        let (flag, line_end) = word.split_at(end);
        let mut normal = match flag.split_first() {
            Some((b'c', digits)) if digits != b"0" && is_number(digits) => {
                [b"c".to_vec(), self.unique(digits)].concat()
            }
            Some((b'l', digits)) if is_number(digits) => b"l?".to_vec(),
            _ => flag.to_vec(),
        };
        normal.extend_from_slice(line_end);
        normal
    }

    fn unique(&mut self, unique: &[u8]) -> Vec<u8> {
        let digits = unique.strip_suffix(b"\r\n").unwrap_or(unique);
        let next = self.uniques.len();
        let number = *self.uniques.entry(digits.to_vec()).or_insert(next);
        let mut normal = format!("<cas {number}>").into_bytes();
        normal.extend_from_slice(&unique[digits.len()..]);
        normal
    }
}

fn is_number(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_to_live_may_be_apart() {
        assert!(same_line(r"HD t100\r\n", r"HD t99\r\n") && same_line("VA 2 t9 f0", "VA 2 t12 f0"));
        assert!(!same_line("HD t100", "HD t90") && !same_line("HD t-1", "HD t1"));
        assert!(!same_line("HD s100", "HD s99") && !same_line("HD t1 k", "HD t1"));
        assert!(!same_line("x t100", "x t99"));
        assert!(same("OK\nHD t5\n(open)", "OK\nHD t6\n(open)") && !same("OK\n", "OK\nHD\n"));
    }
}
