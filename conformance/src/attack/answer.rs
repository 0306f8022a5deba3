//! What a server answers that has every key: its value is `value of KEY`.

use windhover_core::memcache::request::{self, ErrorRecovery};
use windhover_core::memcache::{Dialect, Limits, Parsed};

/// A request and what is right.
pub(super) struct Asked {
    /// Its line, to be shown.
    pub(super) line: String,
    /// The right answer; nothing where none is wanted.
    pub(super) answer: Vec<u8>,
    /// How many bytes it took.
    pub(super) used: usize,
}

/// The first request of what has come; `None` until it is whole.
pub(super) fn next_request(input: &[u8]) -> Option<Asked> {
    let line = || {
        let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
        line.trim_ascii_end().escape_ascii().to_string()
    };
    match request::parse(input, Dialect::Memcached, &Limits::default()) {
        Ok(Parsed::Complete { consumed, .. }) => {
            Some(Asked { line: line(), answer: answer(input), used: consumed })
        }
        Ok(Parsed::Incomplete { .. }) => None,
        Err(error) => {
            let used = match error.recovery {
                ErrorRecovery::Skip(bytes) => bytes.min(input.len()),
                ErrorRecovery::Close => input.len(),
            };
            Some(Asked { line: line(), answer: b"ERROR\r\n".to_vec(), used })
        }
    }
}

fn answer(input: &[u8]) -> Vec<u8> {
    let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default().to_ascii_lowercase();
    let words: Vec<&[u8]> = words.collect();
    if words.last() == Some(&&b"noreply"[..]) {
        return Vec::new();
    }
    let key = words.first().copied().unwrap_or_default();
    match verb.as_slice() {
        b"get" | b"gets" => {
            let is_gets = verb == b"gets";
            let mut answer: Vec<u8> = words.iter().flat_map(|key| value(key, is_gets)).collect();
            answer.extend(b"END\r\n");
            answer
        }
        b"gat" | b"gats" => {
            let keys = words.iter().skip(1);
            let mut answer: Vec<u8> = keys.flat_map(|key| value(key, verb == b"gats")).collect();
            answer.extend(b"END\r\n");
            answer
        }
        b"mg" => meta_get(key, &words[1..]),
        b"mn" => b"MN\r\n".to_vec(),
        b"ms" | b"md" => b"HD\r\n".to_vec(),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => b"STORED\r\n".to_vec(),
        b"delete" => b"DELETED\r\n".to_vec(),
        b"touch" => b"TOUCHED\r\n".to_vec(),
        b"incr" | b"decr" => b"1\r\n".to_vec(),
        b"flush_all" => b"OK\r\n".to_vec(),
        b"version" => b"VERSION 1.6.45\r\n".to_vec(),
        _ => b"ERROR\r\n".to_vec(),
    }
}

/// What is kept under a key; of a queue, options stand behind a slash.
pub(super) fn value_of(key: &[u8]) -> Vec<u8> {
    let name = key.split(|&byte| byte == b'/').next().unwrap_or_default();
    [b"value of ", name].concat()
}

fn value(key: &[u8], with_cas: bool) -> Vec<u8> {
    let (data, cas) = (value_of(key), if with_cas { " 1" } else { "" });
    let head = format!(" 0 {}{cas}\r\n", data.len());
    [b"VALUE ", key, head.as_bytes(), &data, b"\r\n"].concat()
}

fn meta_get(key: &[u8], flags: &[&[u8]]) -> Vec<u8> {
    let data = value_of(key);
    let has = |flag: &[u8]| flags.contains(&flag);
    let mut head =
        if has(b"v") { format!("VA {}", data.len()).into_bytes() } else { b"HD".to_vec() };
    for flag in flags {
        match flag.first() {
            Some(b'k') => head.extend([b" k", key].concat()),
            Some(b'O') => head.extend([b" ", *flag].concat()),
            Some(b'f') => head.extend(b" f0"),
            Some(b'c') => head.extend(b" c1"),
            Some(b't') => head.extend(b" t-1"),
            _ => {}
        }
    }
    head.extend(b"\r\n");
    if has(b"v") { [head, data, b"\r\n".to_vec()].concat() } else { head }
}
