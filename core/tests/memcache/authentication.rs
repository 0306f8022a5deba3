//! ASCII authentication: who is let in, and what the others are answered.

use bytes::BytesMut;
use windhover_core::memcache::request::{self, EncodeError, Request};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Timeouts};

use crate::cache::write_all;
use crate::turn;

/// What is written and whether the connection is closed when the pieces come one by one; `user` and
/// `pass` are let in.
fn serve(pieces: &[&[u8]]) -> (String, bool) {
    let now = Instant::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
    connection.require_authentication();
    let mut written = Vec::new();
    let mut closed = false;
    for piece in pieces {
        connection.receive(piece);
        loop {
            let answer = match connection.poll_output(turn(now)) {
                Output::Request {
                    request: Request::Authenticate { user: b"user", password: b"pass" },
                    ..
                } => Response::Stored,
                Output::Request { request: Request::Authenticate { .. }, .. } => {
                    Response::ClientError(b"authentication failure")
                }
                Output::Request { request: Request::Version, .. } => Response::Version(b"1.6.18"),
                Output::Request { request, .. } | Output::TooLarge { request } => {
                    panic!("{request:?} came through")
                }
                Output::Write => {
                    write_all(&mut connection, &mut written);
                    continue;
                }
                Output::Idle(_) => break,
                Output::CloseWrite | Output::Close => {
                    closed = true;
                    break;
                }
            };
            connection.responses_mut().respond(&answer);
        }
    }
    (written.escape_ascii().to_string(), closed)
}

/// What is answered to the parts up to `|`; `-` is `CLIENT_ERROR unauthenticated`, and a connection that
/// was answered something else before `.` is closed. (memcached 1.6.45 forgets answers when they are
/// pipelined on a connection that has not authenticated, closes behind a line of less than six bytes
/// without a word, and takes further attempts.)
#[rustfmt::skip]
const VECTORS: &[(&str, &str)] = &[
    ("version\r\n", "-"),
    ("get k\r\n", "-"),
    ("mn\r\n", "-"),
    ("quit\r\n", "-"),
    ("shutdown\r\n", "-"),
    ("\r\n", "-"),
    ("add a 0 0 9\r\n", "-"),
    ("set a 0 0\r\n", "-"),
    ("set a 0 0 x\r\n", "-"),
    ("set a 0 0 -1\r\n", "-"),
    ("set a 0 0 9\r\nuser pass\r\n|version\r\n", "STORED|VERSION 1.6.18"),
    ("set a 0 0 9 noreply\r\nuser pass\r\n", "STORED"),
    ("set a x y 9 1 2 3 4\r\nuser pass\r\n", "STORED"),
    (" set a 0 0 9\n|user pass\r\n", "-|-"),
    ("set a 0 0 9\nuser pass\r\n", "STORED"),
    ("set a 0 0 +9\r\n|user pass\r\n", "-|-"),
    ("set a 0 0 11\r\nuser  pass \r\n", "STORED"),
    ("set a 0 0 13\r\nuser pass foo\r\n", "STORED"),
    ("set a 0 0 9\r\nuser pasX\r\n|version\r\n", "CLIENT_ERROR authentication failure."),
    ("version\r\n|set a 0 0 9\r\nuser nope\r\n|set a 0 0 9\r\nuser pass\r\n|version\r\n",
        "-|CLIENT_ERROR authentication failure."),
    ("set a 0 0 9\r\nuser\tpass\r\n", "CLIENT_ERROR bad authentication token format."),
    ("set a 0 0 4\r\nuser\r\n|version\r\n", "CLIENT_ERROR bad authentication token format."),
    ("set a 0 0 0\r\n\r\n", "CLIENT_ERROR bad authentication token format."),
    ("set a 0 0 7\r\nuser passXX", "CLIENT_ERROR bad command line termination."),
    ("set a 0 0 16385\r\n", "CLIENT_ERROR auth token too long."),
];

#[test]
fn at_every_split_point() {
    for (input, answers) in VECTORS {
        let input = input.replace('|', "").into_bytes();
        let closed = answers.ends_with('.');
        let expected: String = answers
            .trim_end_matches('.')
            .split('|')
            .map(|answer| if answer == "-" { "CLIENT_ERROR unauthenticated" } else { answer })
            .flat_map(|answer| [answer, r"\r\n"])
            .collect();
        let shown = input.escape_ascii();
        assert_eq!(serve(&[&input]), (expected.clone(), closed), "{shown}");
        for at in 1..input.len() {
            let (first, second) = input.split_at(at);
            assert_eq!(serve(&[first, second]), (expected.clone(), closed), "{shown} at {at}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(serve(&bytes), (expected, closed), "{shown}");
    }
}

#[test]
fn a_block_of_16_kib_is_read() {
    let password = [b'x'; 16_384 - 5];
    let input = [b"set a 0 0 16384\r\nuser ", &password[..], b"\r\n"].concat();
    let expected = r"CLIENT_ERROR authentication failure\r\n";
    assert_eq!(serve(&[&input]), (expected.to_owned(), true));
}

#[test]
fn other_protocols_and_long_lines_are_closed_upon() {
    for input in [&b"\x80\0\0\0"[..], b"GET / HTTP/1.1\r\n", b"POST /x\r\n"] {
        assert_eq!(serve(&[input]), (String::new(), true), "{}", input.escape_ascii());
    }
    let gets = [&b"get "[..], &[b'k'; 3000]].concat();
    assert_eq!(serve(&[&gets]), (r"CLIENT_ERROR line too long\r\n".to_owned(), true));
}

#[test]
fn nothing_behind_credentials_is_taken_before_they_are_answered() {
    let now = Instant::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
    connection.require_authentication();
    connection.receive(b"set a 0 0 9\r\nuser pass\r\nversion\r\n");
    assert!(matches!(
        connection.poll_output(turn(now)),
        Output::Request { request: Request::Authenticate { .. }, .. }
    ));
    assert!(matches!(connection.poll_output(turn(now)), Output::Idle(_)));
    assert!(!connection.is_open());
    connection.require_authentication();
    connection.responses_mut().respond(&Response::Stored);
    assert!(connection.is_open());
    assert!(matches!(
        connection.poll_output(turn(now)),
        Output::Request { request: Request::Version, .. }
    ));
}

#[test]
fn what_a_client_sends_lets_it_in() {
    let encode = |user, password| {
        let mut out = BytesMut::new();
        let request = Request::Authenticate { user, password };
        request::encode(&request, b"", Dialect::Memcached, &Limits::default(), &mut out)
            .map(|()| out)
    };
    let sent = encode(b"user", b"pass").unwrap();
    assert_eq!(&sent[..], b"set auth 0 0 9\r\nuser pass\r\n");
    assert_eq!(serve(&[&sent]), (r"STORED\r\n".to_owned(), false));
    assert_eq!(encode(b"a b", b"c"), Err(EncodeError::ForbiddenByte { byte: b' ', at: 1 }));
    assert_eq!(encode(b"a", b""), Err(EncodeError::EmptyKey));
}

#[test]
fn servers_of_queues_let_in_by_the_same_words() {
    for dialect in [Dialect::Kestrel, Dialect::Darner, Dialect::Siberite] {
        let now = Instant::default();
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let mut connection = ServerConnection::new(dialect, &limits, &timeouts, now);
        connection.require_authentication();
        connection.receive(b"get q\r\nset - 0 0 9\r\nuser pass\r\n");
        let Output::Request { request, .. } = connection.poll_output(turn(now)) else {
            panic!("{dialect:?}: no credentials")
        };
        assert_eq!(request, Request::Authenticate { user: b"user", password: b"pass" });
        connection.responses_mut().respond(&Response::Stored);
        let mut written = Vec::new();
        write_all(&mut connection, &mut written);
        assert_eq!(written, b"CLIENT_ERROR unauthenticated\r\nSTORED\r\n", "{dialect:?}");
        assert!(connection.is_open());
    }
}
