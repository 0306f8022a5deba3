//! Every fault there is: what is answered, and what becomes of the connection.

use std::string::{String, ToString as _};
use std::vec::Vec;

use super::{Output, ServerConnection};
use crate::memcache::Dialect::{self, Darner, Kestrel, Memcached};
use crate::memcache::Limits;
use crate::memcache::kestrel::{QueueNameError, QueueReadError};
use crate::memcache::meta::FlagFault;
use crate::memcache::request::RequestFault;
use crate::memcache::response::Response;
use crate::{Now, Timeouts};

/// A place for every fault. A new one asks for a place here, and then for an example below.
const fn place(fault: &RequestFault) -> usize {
    match fault {
        RequestFault::UnknownCommand => 0,
        RequestFault::ArgumentCount => 1,
        RequestFault::KeyTooLong { .. } => 2,
        RequestFault::BadNumber => 3,
        RequestFault::NoCommand => 4,
        RequestFault::BadExptime => 5,
        RequestFault::BadDelta => 6,
        RequestFault::BadMegabytes => 7,
        RequestFault::NoKey => 8,
        RequestFault::TooManyFlags { .. } => 9,
        RequestFault::Unauthenticated => 10,
        RequestFault::BadCredentials => 11,
        RequestFault::BadCredentialsEnd => 12,
        RequestFault::BadDataBlock => 13,
        RequestFault::ValueTooLarge { .. } => 14,
        RequestFault::LineTooLong => 15,
        RequestFault::Binary => 16,
        RequestFault::Http => 17,
        RequestFault::Flag { fault, .. } => match fault {
            FlagFault::Unknown => 18,
            FlagFault::Duplicate => 19,
            FlagFault::BadNumber => 20,
            FlagFault::OpaqueTooLong => 21,
            FlagFault::NoLetter => 22,
            FlagFault::UnknownMode => 23,
            FlagFault::KeyNotBase64 => 24,
        },
        RequestFault::QueueName(QueueNameError::Empty)
        | RequestFault::Read(QueueReadError::Queue(QueueNameError::Empty)) => 25,
        RequestFault::QueueName(QueueNameError::Reserved { .. })
        | RequestFault::Read(QueueReadError::Queue(QueueNameError::Reserved { .. })) => 26,
        RequestFault::Read(QueueReadError::Conflict) => 27,
        RequestFault::Read(QueueReadError::Timeout) => 28,
        RequestFault::Read(QueueReadError::UnknownOption) => 29,
        RequestFault::CredentialsTooLong => 30,
        // The encoder's alone: no input is refused for it.
        RequestFault::Read(QueueReadError::Group) => PLACES,
    }
}
const PLACES: usize = 31;

/// What is sent to a new connection, by whom it is refused, the answer, and whether the request
/// behind it is answered; else the connection is closed.
struct Case {
    dialect: Dialect,
    locked: bool,
    input: Vec<u8>,
    answer: &'static str,
    goes_on: bool,
}

fn case(dialect: Dialect, input: impl Into<Vec<u8>>, answer: &'static str, goes_on: bool) -> Case {
    Case { dialect, locked: false, input: input.into(), answer, goes_on }
}

fn cases() -> Vec<Case> {
    const FORMAT: &str = "CLIENT_ERROR bad command line format\r\n";
    const FLAGS: &str = "CLIENT_ERROR options flags are too long\r\n";
    const OF_ARITHMETIC: &str = "CLIENT_ERROR invalid or duplicate flag\r\n";
    let open = |input: &str, answer| case(Memcached, input, answer, true);
    let locked = |input: &str, answer| Case { locked: true, ..open(input, answer) };
    let refused = |input: &str, answer| Case { goes_on: false, ..locked(input, answer) };
    let closed = |dialect, input: &str| case(dialect, input, "CLIENT_ERROR\r\n", false);
    let mut cases = Vec::from([
        open("bogus\r\n", "ERROR\r\n"),
        open(" get k\r\n", "ERROR\r\n"),
        open("bogus noreply\r\n", ""),
        open("\r\n", FORMAT),
        open("get\r\n", FORMAT),
        open(&std::format!("touch {} 0\r\n", "k".repeat(251)), FORMAT),
        open("touch k x\r\n", "CLIENT_ERROR invalid exptime argument\r\n"),
        open("touch k x noreply\r\n", ""),
        open("incr k x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"),
        open("cache_memlimit x\r\n", "ERROR\r\n"),
        open("me\r\n", FORMAT),
        open("mg k v t f c k s q h l u O P L b N0 R0 T0 x I\r\n", FLAGS),
        open(&std::format!("md k{}\r\n", " q".repeat(19)), FLAGS),
        open(&std::format!("ma k{}\r\n", " q".repeat(19)), OF_ARITHMETIC),
        locked("get k\r\n", "CLIENT_ERROR unauthenticated\r\n"),
        open("set k 0 0 1\r\nxXX", "CLIENT_ERROR bad data chunk\r\n"),
        // What is wrong with the rest of the line takes the block with it.
        open("set k 0 0\r\n", FORMAT),
        open("set k 0 0 x noreply\r\n", FORMAT),
        open("set k x 0 7\r\nversion\r\n", FORMAT),
        open("set k 0 x 7\r\nversion\r\n", FORMAT),
        open("set k x 0 7 noreply\r\nversion\r\n", ""),
        open(&std::format!("set {} 0 0 7\r\nversion\r\n", "k".repeat(251)), FORMAT),
        open("cas k 0 0 7\r\nversion\r\n", FORMAT),
        open("cas k 0 0 7 x\r\nversion\r\n", FORMAT),
        open("ms k 7 =\r\nversion\r\n", FORMAT),
        open(&std::format!("ms {} 7\r\nversion\r\n", "k".repeat(251)), FORMAT),
        open(&std::format!("ms k 7{}\r\nversion\r\n", " q".repeat(18)), FLAGS),
        open("mg k =\r\n", FORMAT),
        open("mg k Z\r\n", "CLIENT_ERROR invalid flag\r\n"),
        open("mg k v v\r\n", "CLIENT_ERROR duplicate flag\r\n"),
        open("ma k v v\r\n", OF_ARITHMETIC),
        open("mg k Tx\r\n", "CLIENT_ERROR bad token in command line format\r\n"),
        open("ms k 1 Fx\r\nv\r\n", FORMAT),
        open("mg k Jx\r\n", "CLIENT_ERROR invalid numeric initial value\r\n"),
        open("mg k Dx\r\n", "CLIENT_ERROR invalid numeric delta value\r\n"),
        open(
            &std::format!("mg k O{}\r\n", "o".repeat(32)),
            "CLIENT_ERROR opaque token too long\r\n",
        ),
        open("ms k 1 M\r\nv\r\n", "CLIENT_ERROR invalid mode for ms M token\r\n"),
        open("ma k MX\r\n", "CLIENT_ERROR invalid mode for ma M token\r\n"),
        open(&std::format!("ma {}\r\n", "k".repeat(251)), OF_ARITHMETIC),
        open("mg ! b\r\n", "CLIENT_ERROR error decoding key\r\n"),
        open("me ! b\r\n", FORMAT),
        open("me k =\r\n", FORMAT),
        refused("set k 0 0 1\r\nx\r\n", "CLIENT_ERROR bad authentication token format\r\n"),
        refused("set k 0 0 3\r\na bXX", "CLIENT_ERROR bad command line termination\r\n"),
        refused("set k 0 0 16385\r\n", "CLIENT_ERROR auth token too long\r\n"),
        closed(Kestrel, "bogus\r\n"),
        closed(Kestrel, "get\r\n"),
        closed(Kestrel, "monitor q x\r\n"),
        closed(Kestrel, "set q 0 0 1\r\nxXX"),
        closed(Kestrel, "get /open\r\n"),
        closed(Kestrel, "flush a.b\r\n"),
        closed(Kestrel, "get q/peek/open\r\n"),
        closed(Kestrel, "get q/t=x\r\n"),
        closed(Darner, "get q/bogus\r\n"),
    ]);
    for dialect in Dialect::ALL {
        let answer = if dialect.is_queue() {
            "NOT_STORED\r\n"
        } else {
            "SERVER_ERROR object too large for cache\r\n"
        };
        let block = "x".repeat(1_048_577);
        let input = std::format!("set k 0 0 1048577\r\n{block}\r\n");
        cases.push(case(dialect, input, answer, true));
        cases.push(case(dialect, [b'x'; 2049], "CLIENT_ERROR line too long\r\n", false));
        cases.push(case(dialect, *b"\x80", "", false));
        cases.push(case(dialect, *b"GET / HTTP/1.1\r\n", "", false));
    }
    cases
}

/// What is written, whether it is closed, and the last fault, when the pieces come one by one and
/// every request is answered with a version.
fn serve(case: &Case, pieces: &[&[u8]]) -> (String, bool, Option<RequestFault>) {
    let now = Now::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(case.dialect, &limits, &timeouts, now.instant);
    if case.locked {
        connection.require_authentication();
    }
    let mut written = Vec::new();
    let mut closed = false;
    for piece in pieces {
        connection.receive(piece);
        loop {
            match connection.poll_output(now) {
                Output::Request { .. } => {
                    connection.responses_mut().respond(&Response::Version(b"1"));
                }
                Output::TooLarge { .. } => {}
                Output::Write => {
                    let mut slices = [&b""[..]; 1];
                    connection.unsent(&mut slices);
                    let [slice] = slices;
                    written.extend_from_slice(slice);
                    let length = slice.len();
                    connection.wrote(length);
                }
                Output::Idle(_) => break,
                Output::CloseWrite | Output::Close => {
                    closed = true;
                    break;
                }
            }
        }
    }
    (String::from_utf8_lossy(&written).into_owned(), closed, connection.fault())
}

#[test]
fn every_fault_has_its_answer_and_its_way_on() {
    let mut seen = [false; PLACES + 1];
    for case in cases() {
        let shown = case.input[..case.input.len().min(60)].escape_ascii().to_string();
        let (_, _, fault) = serve(&case, &[&case.input]);
        let fault = fault.unwrap_or_else(|| panic!("{shown} is refused"));
        seen[place(&fault)] = true;
        assert!(!fault.to_string().is_empty());

        let behind = match (case.goes_on, case.locked) {
            (true, true) => "CLIENT_ERROR unauthenticated\r\n",
            (true, false) => "VERSION 1\r\n",
            (false, _) => "",
        };
        let expected = [case.answer, behind].concat();
        let input = [&case.input[..], b"version\r\n"].concat();
        let bytes: Vec<&[u8]> = input.chunks(if input.len() > 5000 { 1000 } else { 1 }).collect();
        for pieces in [&[&input[..]][..], &bytes] {
            let (written, closed, _) = serve(&case, pieces);
            assert_eq!(written, expected, "{:?}: {shown}", case.dialect);
            assert_eq!(closed, !case.goes_on, "{:?}: {shown}", case.dialect);
        }
    }
    let missing: Vec<usize> = (0..PLACES).filter(|&place| !seen[place]).collect();
    assert_eq!(missing, [0; 0], "places without an example");
}
