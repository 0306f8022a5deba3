//! A server that is wrong in ten ways: a proxy before memcached that changes lines.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Something that the double does wrong.
pub(crate) struct Deviation {
    /// In words.
    pub(crate) what: &'static str,
    /// A vector that shows it: file and name.
    pub(crate) seen_by: &'static str,
    /// What is said of it there.
    pub(crate) as_seen: &'static str,
    /// What becomes of a line of a request (`true`) or of a reply.
    change: fn(bool, &str) -> Option<String>,
}

pub(crate) const DEVIATIONS: [Deviation; 10] = [
    Deviation {
        what: "an item that is not stored is said to be",
        seen_by: "storage: add does not store where something is",
        as_seen: "got `STORED",
        change: |is_request, line| instead(!is_request && line == "NOT_STORED\r\n", "STORED\r\n"),
    },
    Deviation {
        what: "an item that has changed is said to be gone",
        seen_by: "cas: a cas unique that was",
        as_seen: "got `NOT_FOUND",
        change: |is_request, line| instead(!is_request && line == "EXISTS\r\n", "NOT_FOUND\r\n"),
    },
    Deviation {
        what: "a touch is answered OK",
        seen_by: "touch: an item that is there",
        as_seen: "got `OK",
        change: |is_request, line| instead(!is_request && line == "TOUCHED\r\n", "OK\r\n"),
    },
    Deviation {
        what: "noreply is not heeded",
        seen_by: "noreply: every storage command",
        as_seen: "got `STORED",
        change: |is_request, line| {
            let bare = line.strip_suffix(" noreply\r\n").filter(|_| is_request)?;
            Some(format!("{bare}\r\n"))
        },
    },
    Deviation {
        what: "counting on what is no number is an unknown command",
        seen_by: "arithmetic: incr of a value that is no number",
        as_seen: "got `ERROR",
        change: |is_request, line| {
            instead(!is_request && line.contains("non-numeric value"), "ERROR\r\n")
        },
    },
    Deviation {
        what: "flags are forgotten",
        seen_by: "retrieval: a hit",
        as_seen: "got `VALUE k 0 5",
        change: |is_request, line| {
            let words: Vec<&str> = line.split(' ').collect();
            let ["VALUE", key, flags, rest @ ..] = words.as_slice() else { return None };
            (!is_request && *flags == "7").then(|| format!("VALUE {key} 0 {}", rest.join(" ")))
        },
    },
    Deviation {
        what: "a meta miss is that of a get",
        seen_by: "meta-get: a miss without flags",
        as_seen: "got `END",
        change: |is_request, line| instead(!is_request && line == "EN\r\n", "END\r\n"),
    },
    Deviation {
        what: "a meta success is the old protocol's",
        seen_by: "meta-get: a hit without flags",
        as_seen: "got `OK",
        change: |is_request, line| instead(!is_request && line == "HD\r\n", "OK\r\n"),
    },
    Deviation {
        what: "quit is not heeded",
        seen_by: "misc: quit closes the connection",
        as_seen: "nothing more came",
        change: |is_request, line| instead(is_request && line == "quit\r\n", ""),
    },
    Deviation {
        what: "a wrong data block is passed over in silence",
        seen_by: "errors: a data block that is longer than declared",
        as_seen: "got `ERROR",
        change: |is_request, line| {
            instead(!is_request && line == "CLIENT_ERROR bad data chunk\r\n", "")
        },
    },
];

fn instead(applies: bool, line: &str) -> Option<String> {
    applies.then(|| line.to_owned())
}

/// The proxy. It ends with the process of the test.
pub(crate) struct Double(SocketAddr);

impl Double {
    /// Before `server`.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        let address = listener.local_addr().expect("a listener has an address");
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let twin =
                    |stream: &TcpStream| stream.try_clone().expect("a socket has a second handle");
                let (from, to) = (twin(&client), twin(&server));
                thread::spawn(move || pass(from, to, true));
                thread::spawn(move || pass(server, client, false));
            }
        });
        Self(address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_request: bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let mut changed = Vec::new();
        for line in buffer[..n].split_inclusive(|&byte| byte == b'\n') {
            let text = std::str::from_utf8(line).unwrap_or_default();
            let found =
                DEVIATIONS.iter().find_map(|deviation| (deviation.change)(is_request, text));
            match found {
                Some(other) => changed.extend(other.into_bytes()),
                None => changed.extend_from_slice(line),
            }
        }
        if to.write_all(&changed).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
