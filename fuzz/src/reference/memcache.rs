//! What a server connection has to do with a stream of bytes, all of which are there.

use windhover_core::memcache::request::{ErrorRecovery, Request, parse};
use windhover_core::memcache::{Dialect, Limits, Parsed};

use super::number;

/// What a part of the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A request for the application, as text, with its data.
    Request(String, Vec<u8>),
    /// A refused request and its answer, if any.
    Refused(Option<&'static str>),
}

/// In the middle of what the stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Between requests.
    Between,
    /// In a line.
    Line,
    /// In a block, or in what is skipped.
    Block,
    /// Nothing more is read.
    Over,
}

/// A stream taken apart.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its parts, in order.
    pub items: Vec<Item>,
    /// Where it ends.
    pub tail: Tail,
    /// How many bytes belong to the items.
    pub taken: usize,
}

/// Takes a stream apart. Where the peer has to authenticate, `verdicts` are the answers to its
/// credentials, in order; behind the last one it is not known what the bytes are.
pub fn read(
    input: &[u8],
    dialect: Dialect,
    limits: &Limits,
    mut verdicts: Option<&[bool]>,
) -> Stream {
    let mut stream = Stream { items: Vec::new(), tail: Tail::Between, taken: 0 };
    loop {
        let rest = &input[stream.taken..];
        if rest.is_empty() {
            return stream;
        }
        let locked = verdicts.is_some();
        let (item, skip) =
            match if locked { credentials(rest, limits) } else { open(rest, dialect, limits) } {
                Ok(None) => {
                    stream.tail = if rest.contains(&b'\n') { Tail::Block } else { Tail::Line };
                    return stream;
                }
                Ok(Some(part)) => part,
                Err(reply) => {
                    stream.items.push(Item::Refused(reply));
                    stream.tail = Tail::Over;
                    return stream;
                }
            };
        if let Item::Request(name, _) = &item {
            if name == "Quit" {
                stream.tail = Tail::Over;
                return stream;
            }
            if let Some(verdicts_left) = verdicts {
                let Some((verdict, _)) = verdicts_left.split_first() else {
                    stream.items.push(item);
                    stream.taken += skip;
                    return stream;
                };
                if !verdict {
                    stream.items.push(item);
                    stream.taken += skip;
                    stream.tail = Tail::Over;
                    return stream;
                }
                verdicts = None;
            }
        }
        if skip > rest.len() {
            stream.tail = Tail::Block;
            return stream;
        }
        stream.items.push(item);
        stream.taken += skip;
    }
}

type Part = Result<Option<(Item, usize)>, Option<&'static str>>;

fn open(rest: &[u8], dialect: Dialect, limits: &Limits) -> Part {
    match parse(rest, dialect, limits) {
        Ok(Parsed::Incomplete { .. }) => Ok(None),
        Ok(Parsed::Complete { message, consumed }) => {
            Ok(Some((item(&message.request, message.data), consumed)))
        }
        Err(error) => match error.recovery {
            ErrorRecovery::Close => Err(error.reply),
            ErrorRecovery::Skip(skip) => Ok(Some((Item::Refused(error.reply), skip))),
        },
    }
}

/// How a request is told apart from others.
pub fn item(request: &Request<'_>, data: &[u8]) -> Item {
    Item::Request(format!("{request:?}"), data.to_vec())
}

/// The `set` that authenticates (protocol.txt, "Authentication").
fn credentials(rest: &[u8], limits: &Limits) -> Part {
    if rest[0] == 0x80 {
        return Err(None);
    }
    let newline = rest.iter().position(|&byte| byte == b'\n');
    if newline.unwrap_or(rest.len()) > limits.line {
        return Err(Some("CLIENT_ERROR line too long"));
    }
    let Some(newline) = newline else {
        return Ok(None);
    };
    let line = &rest[..newline];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words: Vec<&[u8]> = split(line);
    let length = words.get(4).and_then(|word| number::length(word));
    let length = match (line.starts_with(b"set "), length) {
        (true, Some(length)) => length,
        _ if is_http(&words) => return Err(None),
        _ => return Ok(Some((Item::Refused(Some("CLIENT_ERROR unauthenticated")), newline + 1))),
    };
    let whole = newline + 1 + length + 2;
    if length > 16_384 {
        return Err(Some("CLIENT_ERROR auth token too long"));
    }
    let Some(block) = rest.get(newline + 1..whole) else {
        return Ok(None);
    };
    let Some(block) = block.strip_suffix(b"\r\n") else {
        return Err(Some("CLIENT_ERROR bad command line termination"));
    };
    match split(block)[..] {
        [user, password, ..] => {
            Ok(Some((item(&Request::Authenticate { user, password }, b""), whole)))
        }
        _ => Err(Some("CLIENT_ERROR bad authentication token format")),
    }
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect()
}

fn is_http(words: &[&[u8]]) -> bool {
    let methods: [&[u8]; 9] =
        [b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE"];
    let last = words.get(1..).and_then(<[_]>::last);
    last.is_some_and(|last| last.starts_with(b"HTTP/"))
        || (words.first().is_some_and(|first| methods.contains(first))
            && words.get(1).is_some_and(|target| target.starts_with(b"/")))
}
