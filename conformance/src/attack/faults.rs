//! What is done to an answer, and what a right client makes of it.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::answer::value_of;

/// Something that is done to an answer.
#[derive(Clone, Copy, Debug)]
pub struct HostileFault {
    /// By which it is chosen.
    pub name: &'static str,
    /// What the server does.
    pub does: &'static str,
    /// What a right client does. It may always send a request again that is harmless twice, as a get is.
    pub right: &'static str,
    /// Plays it: the right answer, and what is to go out before the next one; whether the connection goes on.
    pub(super) play: fn(&mut TcpStream, &[u8], &mut Vec<u8>) -> io::Result<bool>,
}

/// How much later "late" is.
const LATE: Duration = Duration::from_secs(1);

/// All of them.
pub const FAULTS: &[HostileFault] = &[
    HostileFault {
        name: "silence",
        does: "nothing comes, and the connection stays",
        right: "the request fails at its timeout, and not later; no later answer is taken for it",
        play: |_, _, _| Ok(true),
    },
    HostileFault {
        name: "late",
        does: "the answer comes a second later, and others behind it",
        right: "with a shorter timeout the request fails at it, and the answer is given to nobody else",
        play: |stream, answer, _| {
            thread::sleep(LATE);
            stream.write_all(answer).map(|()| true)
        },
    },
    HostileFault {
        name: "stale",
        does: "the answer comes right before that of the next request on the connection",
        right: "each request gets its own answer, or fails; the next one is not given this one's",
        play: |_, answer, kept| {
            kept.extend_from_slice(answer);
            Ok(true)
        },
    },
    HostileFault {
        name: "drip",
        does: "the answer comes byte by byte, one each 20 ms",
        right: "the answer is taken once it is whole, within the request's timeout and not from the last byte",
        play: |stream, answer, _| {
            for byte in answer {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(20));
            }
            Ok(true)
        },
    },
    HostileFault {
        name: "close",
        does: "the connection is closed without an answer",
        right: "the request fails (or is sent again where that is harmless), and the next one is sent elsewhere",
        play: |stream, _, _| stream.shutdown(Shutdown::Both).map(|()| false),
    },
    HostileFault {
        name: "cut",
        does: "half of the answer comes, then the end of the connection",
        right: "the request fails: what came is neither a value nor a miss",
        play: |stream, answer, _| {
            stream.write_all(&answer[..answer.len() / 2])?;
            stream.shutdown(Shutdown::Both).map(|()| false)
        },
    },
    HostileFault {
        name: "reset",
        does: "half of the answer comes, then the connection is reset",
        right: "the request fails, as when it is cut",
        play: |stream, answer, _| {
            stream.write_all(&answer[..answer.len() / 2])?;
            rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO))?;
            Ok(false)
        },
    },
    HostileFault {
        name: "half-close",
        does: "nothing comes but the end of the stream, and requests are still taken",
        right: "the request fails at once, and nothing more is sent on the connection",
        play: |stream, _, _| stream.shutdown(Shutdown::Write).map(|()| true),
    },
    HostileFault {
        name: "twice",
        does: "the answer comes twice",
        right: "the second one answers nothing: the connection is given up, or the answer dropped",
        play: |stream, answer, _| stream.write_all(&[answer, answer].concat()).map(|()| true),
    },
    HostileFault {
        name: "other-key",
        does: "the value of another key comes",
        right: "the request fails: the value is not that of the key, nor is it a miss",
        play: |stream, _, _| {
            let data = value_of(b"another");
            let head = format!("VALUE another 0 {}\r\n", data.len());
            stream.write_all(&[head.as_bytes(), &data, b"\r\nEND\r\n"].concat()).map(|()| true)
        },
    },
    HostileFault {
        name: "other-reply",
        does: "what comes answers another command",
        right: "the request fails, and the connection is given up: nobody knows whose the next reply is",
        play: |stream, answer, _| {
            let other: &[u8] = if answer.starts_with(b"VALUE") {
                b"TOUCHED\r\n"
            } else {
                b"VALUE k 0 1\r\nx\r\nEND\r\n"
            };
            stream.write_all(other).map(|()| true)
        },
    },
    HostileFault {
        name: "short-length",
        does: "a value comes with fewer bytes announced than there are",
        right: "the request fails, and the connection is given up",
        play: |stream, _, _| {
            stream.write_all(b"VALUE k 0 3\r\nmuch longer than that\r\nEND\r\n").map(|()| true)
        },
    },
    HostileFault {
        name: "long-length",
        does: "a value comes with more bytes announced than follow, and the connection stays",
        right: "the request fails at its timeout; the next answer's bytes are not taken for the value's",
        play: |stream, _, _| stream.write_all(b"VALUE k 0 100\r\nshort\r\nEND\r\n").map(|()| true),
    },
    HostileFault {
        name: "giant",
        does: "a value of a terabyte is announced",
        right: "the request fails; no memory is taken for what has not come",
        play: |stream, _, _| stream.write_all(b"VALUE k 0 1099511627776\r\nx").map(|()| true),
    },
    HostileFault {
        name: "endless-line",
        does: "sixteen megabytes without a line end",
        right: "the request fails long before all of it has come, and the connection is given up",
        play: |stream, _, _| {
            for _ in 0..256 {
                stream.write_all(&[b'x'; 64 * 1024])?;
            }
            Ok(true)
        },
    },
    HostileFault {
        name: "garbage",
        does: "bytes that are no reply",
        right: "the request fails, and the connection is given up",
        play: |stream, _, _| {
            stream.write_all(b"\x80\x00\xffHTTP/1.1 200 OK\r\n\r\n\x00\n").map(|()| true)
        },
    },
    HostileFault {
        name: "no-end",
        does: "a value comes, and the `END` behind it does not",
        right: "the request fails at its timeout; with a value of the next request it is not mixed up",
        play: |stream, answer, _| {
            let end = answer.strip_suffix(b"END\r\n").unwrap_or_default();
            stream.write_all(end).map(|()| true)
        },
    },
    HostileFault {
        name: "server-error",
        does: "`SERVER_ERROR out of memory`",
        right: "the request fails with the server's words; it is not a miss, and the connection goes on",
        play: |stream, _, _| stream.write_all(b"SERVER_ERROR out of memory\r\n").map(|()| true),
    },
    HostileFault {
        name: "error",
        does: "`ERROR`, as to a command that is not known",
        right: "the request fails; it is not a miss",
        play: |stream, _, _| stream.write_all(b"ERROR\r\n").map(|()| true),
    },
];

/// The fault of that name.
///
/// # Errors
/// A sentence that names those there are.
pub fn fault(name: &str) -> Result<&'static HostileFault, String> {
    FAULTS.iter().find(|fault| fault.name == name).ok_or_else(|| {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        format!("there is no fault `{name}`; there are: {}", names.join(", "))
    })
}
