//! The server connection: splits, order, back-pressure, large values, ends and deadlines.

use core::time::Duration;

use crate::cache::{Cache, Served, drain, serve, write_all};
use crate::turn;
use bytes::Bytes;
use windhover_core::memcache::request::{Request, RequestFault};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Timeouts};

const START: Instant = Instant::from_epoch(Duration::from_secs(1000));

fn at(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

/// head 10 s, body 30 s, idle 75 s, write 20 s.
fn timeouts() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.write = Duration::from_secs(20);
    timeouts
}

fn connect_with(dialect: Dialect, limits: &Limits) -> ServerConnection {
    ServerConnection::new(dialect, limits, &timeouts(), START)
}

fn connect() -> ServerConnection {
    connect_with(Dialect::Memcached, &Limits::default())
}

/// The request that the connection gives next, as text with the length of its data.
fn request(connection: &mut ServerConnection, now: Instant) -> String {
    match connection.poll_output(turn(now)) {
        Output::Request { request, data, .. } => format!("{request:?} +{}", data.len()),
        other => panic!("{other:?}"),
    }
}

fn deadline(connection: &mut ServerConnection, now: Instant) -> Instant {
    match connection.poll_output(turn(now)) {
        Output::Idle(deadline) => deadline,
        other => panic!("{other:?}"),
    }
}

fn is_closed(connection: &mut ServerConnection, now: Instant) -> bool {
    matches!(connection.poll_output(turn(now)), Output::CloseWrite | Output::Close)
}

fn written(connection: &mut ServerConnection) -> String {
    let mut out = Vec::new();
    write_all(connection, &mut out);
    out.escape_ascii().to_string()
}

#[test]
fn every_split_gives_the_same_requests_and_bytes() {
    let memcached: &[u8] = b"set a 1 0 3\r\nabc\r\nget a b\r\nbogus\r\nset a 0 0 2 noreply\r\nxyz\r\n\
        delete a 0 noreply\nstats reset\r\nflush_all noreply\r\nverbosity 1\r\nset b 0 0 2\r\n\r\n\r\n\
        gets b\r\nversion\r\nquit\r\nversion\r\n";
    let kestrel: &[u8] = b"SET q 0 0 3 noreply\r\nabc\r\nget q/t=5/open\r\nGET q/close\r\n\
        delete q\r\nflush q\r\nFlush_All\r\nstats\r\nstatus\r\nget q/peek/open\r\nversion\r\n";
    for (dialect, input) in [(Dialect::Memcached, memcached), (Dialect::Kestrel, kestrel)] {
        let whole = serve(dialect, &mut Cache::default(), &[input]);
        assert!(whole.requests.len() > 7 && whole.closed);
        for first in 1..input.len() {
            let (start, end) = input.split_at(first);
            let split = serve(dialect, &mut Cache::default(), &[start, end]);
            assert_eq!(split, whole, "at {first}");
        }
        for size in [1, 2, 3, 7] {
            let pieces: Vec<&[u8]> = input.chunks(size).collect();
            assert_eq!(serve(dialect, &mut Cache::default(), &pieces), whole);
        }
    }
}

#[test]
fn kestrel_is_answered_in_spite_of_noreply_and_disconnected_after_an_error() {
    let input = b"set q 0 0 1 noreply\r\na\r\nget q\r\nget q/abort/peek\r\nget q\r\n";
    let served = serve(Dialect::Kestrel, &mut Cache::default(), &[input]);
    assert_eq!(
        served.written.escape_ascii().to_string(),
        r"STORED\r\nVALUE q 0 1\r\na\r\nEND\r\nCLIENT_ERROR\r\n"
    );
    assert_eq!(served.requests.len(), 2);
    assert!(served.closed);
}

#[test]
fn a_large_value_of_any_split_is_stored_and_comes_back() {
    for length in [65_535, 65_536, 65_537, 200_000, 1_048_576] {
        let value: Vec<u8> = (0..=250u8).cycle().take(length).collect();
        let line = format!("set k 5 0 {length}\r\n");
        let input = [line.as_bytes(), &value, b"\r\nget k\r\n"].concat();
        let expected =
            [format!("STORED\r\nVALUE k 5 {length}\r\n").as_bytes(), &value, b"\r\nEND\r\n"]
                .concat();
        for size in [1000, 1460, 4096, 65_536, 100_001, input.len()] {
            let pieces: Vec<&[u8]> = input.chunks(size).collect();
            let served = serve(Dialect::Memcached, &mut Cache::default(), &pieces);
            assert!(served.written == expected, "{length} by {size}");
        }
    }
}

#[test]
fn a_large_value_is_split_at_every_point_around_its_ends() {
    let length = 70_000;
    let line = format!("set k 0 0 {length}\r\n");
    let input = [line.as_bytes(), &vec![b'v'; length], b"\r\nversion\r\n"].concat();
    let ends = line.len() + length;
    for first in (1..40).chain(ends - 20..input.len()) {
        let (start, end) = input.split_at(first);
        let served = serve(Dialect::Memcached, &mut Cache::default(), &[start, end]);
        assert_eq!(served.written, b"STORED\r\nVERSION 1.6.18\r\n", "at {first}");
    }
}

#[test]
fn the_wrong_end_of_a_large_value_is_a_bad_data_chunk() {
    let length = 70_000;
    let line = format!("set k 0 0 {length}\r\n");
    let input = [line.as_bytes(), &vec![b'v'; length], b"XYversion\r\n"].concat();
    for size in [1000, input.len()] {
        let pieces: Vec<&[u8]> = input.chunks(size).collect();
        let served = serve(Dialect::Memcached, &mut Cache::default(), &pieces);
        assert_eq!(
            served.written.escape_ascii().to_string(),
            r"CLIENT_ERROR bad data chunk\r\nVERSION 1.6.18\r\n"
        );
        let served = serve(Dialect::Kestrel, &mut Cache::default(), &pieces);
        assert_eq!(served.written, b"CLIENT_ERROR\r\n");
        assert!(served.closed);
    }
}

#[test]
fn a_large_value_is_handed_on_where_it_was_read_to() {
    let mut connection = connect();
    connection.receive(b"set k 0 0 300000\r\n");
    deadline(&mut connection, START);
    let mut left = 300_000;
    let mut read_to = Vec::new();
    while left > 0 {
        let buffer = connection.read_buffer();
        let n = (buffer.capacity() - buffer.len()).min(left).min(1460);
        let start = buffer.len();
        buffer.extend_from_slice(&vec![b'v'; n]);
        read_to.extend((start..start + n).map(|at| buffer[at..].as_ptr()));
        left -= n;
        deadline(&mut connection, START);
        let held = connection.held();
        assert!((300_000 - left..500_000).contains(&held), "{held} for {} bytes", 300_000 - left);
    }
    connection.receive(b"\r\n");
    match connection.poll_output(turn(START)) {
        Output::Request { data, .. } => {
            let segments = data.segments().expect("it is large");
            assert!(segments.len() <= 8, "{} segments", segments.len());
            assert!(segments.iter().all(|segment| segment.len() <= 64 * 1024));
            let lies_at = data.chunks().flat_map(|chunk| chunk.iter().map(|byte| &raw const *byte));
            assert!(lies_at.eq(read_to), "a byte was moved");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_declared_length_costs_no_memory() {
    for length in [60_000, 70_000, 1_048_576] {
        let mut connection = connect();
        connection.receive(format!("set k 0 0 {length}\r\n").as_bytes());
        deadline(&mut connection, START);
        assert!(connection.read_buffer().capacity() < 80 * 1024);
    }
}

#[test]
fn a_value_that_is_too_large_is_swallowed_without_being_kept() {
    for (dialect, answer) in [
        (Dialect::Memcached, r"SERVER_ERROR object too large for cache\r\n"),
        (Dialect::Kestrel, r"NOT_STORED\r\n"),
    ] {
        let mut connection = connect_with(dialect, &Limits::default());
        connection.receive(b"version\r\nset k 0 0 2000000\r\n");
        assert_eq!(request(&mut connection, START), "Version +0");
        connection.responses_mut().respond(&Response::Version(b"1"));
        assert!(matches!(connection.poll_output(turn(START)), Output::TooLarge { .. }));
        for _ in 0..200 {
            connection.receive(&[b'x'; 10_000]);
            assert!(matches!(connection.poll_output(turn(START)), Output::Write));
            assert!(connection.read_buffer().len() < 20_000);
        }
        assert_eq!(written(&mut connection), r"VERSION 1\r\n");
        connection.receive(b"\r\nversion\r\n");
        assert_eq!(request(&mut connection, START), "Version +0");
        assert_eq!(written(&mut connection), answer);
        assert_eq!(connection.fault(), Some(RequestFault::ValueTooLarge { length: 2_000_000 }));
    }
    let quiet = [&b"set k 0 0 2000000 noreply\r\n"[..], &vec![b'x'; 2_000_000], b"\r\nversion\r\n"];
    let served = serve(Dialect::Memcached, &mut Cache::default(), &quiet);
    assert_eq!(served.written, b"VERSION 1.6.18\r\n");
}

#[test]
fn who_keeps_items_is_told_of_too_large_a_value_in_order() {
    let mut connection = connect();
    connection.receive(b"get a\r\nset k 7 0 2000000 noreply\r\nx");
    assert_eq!(request(&mut connection, START), r#"Get(["a"]) +0"#);
    match connection.poll_output(turn(START)) {
        Output::TooLarge { request: Request::Set(item) } => {
            assert_eq!((item.key, item.flags, item.noreply), (&b"k"[..], 7, true));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(connection.responses().unanswered(), 1, "it is not to be answered");
    deadline(&mut connection, START);
    connection.receive(&[&vec![b'x'; 1_999_999][..], b"\r\nms k 2000000 T\r\n"].concat());
    // Its flags are wrong as well: that is what is refused.
    deadline(&mut connection, START);
    assert_eq!(connection.fault().map(|fault| fault.to_string().contains("'T'")), Some(true));
}

#[test]
fn answers_may_come_later_and_errors_keep_their_place() {
    let mut connection = connect();
    connection.receive(b"get a\r\nbogus\r\nget b\r\nset k 0 0 x\r\nversion\r\nGET /\r\n");
    assert_eq!(request(&mut connection, START), r#"Get(["a"]) +0"#);
    assert_eq!(request(&mut connection, START), r#"Get(["b"]) +0"#);
    assert_eq!(request(&mut connection, START), "Version +0");
    assert!(deadline(&mut connection, START) > START);
    assert_eq!(written(&mut connection), "");

    connection.responses_mut().respond_value(b"a", 0, None, &Bytes::from_static(b"A"));
    assert_eq!(connection.responses().unanswered(), 5);
    connection.responses_mut().respond(&Response::End);
    assert_eq!(connection.responses().unanswered(), 3, "the error behind it went too");
    assert_eq!(written(&mut connection), r"VALUE a 0 1\r\nA\r\nEND\r\nERROR\r\n");

    connection.responses_mut().respond(&Response::End);
    connection.responses_mut().respond(&Response::Version(b"1"));
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert_eq!(
        written(&mut connection),
        r"END\r\nCLIENT_ERROR bad command line format\r\nVERSION 1\r\n"
    );
    assert!(is_closed(&mut connection, START), "HTTP ends the connection");
}

#[test]
fn an_answer_to_no_request_is_dropped() {
    let mut connection = connect();
    connection.responses_mut().respond(&Response::Stored);
    connection.responses_mut().respond_value(b"k", 0, None, &Bytes::from_static(b"v"));
    connection.receive(b"delete k noreply\r\n");
    request(&mut connection, START);
    connection.responses_mut().respond(&Response::ServerError(b"out of memory"));
    connection.responses_mut().respond(&Response::Deleted);
    assert_eq!(deadline(&mut connection, START), at(75));
    assert_eq!(written(&mut connection), "");
}

#[test]
fn the_pipeline_is_bounded() {
    let mut limits = Limits::default();
    limits.pipeline = 2;
    let mut connection = connect_with(Dialect::Memcached, &limits);
    connection.receive(b"get a\r\nbogus\r\nget b\r\nget c\r\n");
    assert!(connection.wants_read());
    request(&mut connection, START);
    deadline(&mut connection, START);
    assert!(!connection.wants_read(), "a request and an error wait");
    connection.responses_mut().respond(&Response::End);
    assert!(connection.wants_read());
    assert_eq!(request(&mut connection, START), r#"Get(["b"]) +0"#);
    assert_eq!(request(&mut connection, START), r#"Get(["c"]) +0"#);
    assert!(!connection.wants_read());
}

#[test]
fn requests_can_be_held_back_behind_one_that_waits() {
    let mut connection = connect_with(Dialect::Kestrel, &Limits::default());
    connection.receive(b"get q/t=100000\r\nget q/close\r\nvers");
    request(&mut connection, START);
    connection.responses_mut().hold_requests();
    assert!(deadline(&mut connection, at(99)) > at(99));
    assert!(connection.wants_read(), "a disconnect must be seen");
    connection.receive(&[b'x'; 3000]);
    deadline(&mut connection, at(99));
    assert!(!connection.wants_read(), "but what is held back is bounded");
    connection.responses_mut().respond(&Response::End);
    assert!(request(&mut connection, at(99)).contains("mode: Close"));
    connection.responses_mut().respond(&Response::End);
    assert!(matches!(connection.poll_output(turn(at(99))), Output::Write));
    assert_eq!(written(&mut connection), r"END\r\nEND\r\nCLIENT_ERROR line too long\r\n");
}

#[test]
fn requests_are_held_back_until_the_one_that_waits_is_answered_and_no_longer() {
    let mut connection = connect_with(Dialect::Kestrel, &Limits::default());
    connection.receive(b"get a/t=1\r\nget b/t=9\r\nget c/t=1\r\nget d/t=1\r\n");
    assert!(request(&mut connection, START).contains("queue: [97]"));
    assert!(request(&mut connection, START).contains("queue: [98]"));
    connection.responses_mut().hold_requests();
    // Others before it are answered.
    connection.responses_mut().respond(&Response::End);
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert_eq!(written(&mut connection), r"END\r\n");
    assert!(deadline(&mut connection, START) > START);
    connection.responses_mut().respond(&Response::End);
    assert!(request(&mut connection, START).contains("queue: [99]"));
    // Nobody has asked to hold back what is behind that one.
    assert!(request(&mut connection, START).contains("queue: [100]"));
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    let mut limits = Limits::default();
    limits.unsent = 1000;
    let mut connection = connect_with(Dialect::Memcached, &limits);
    connection.receive(b"get a\r\nget b\r\n");
    request(&mut connection, START);
    connection.responses_mut().respond_value(b"a", 0, None, &Bytes::from(vec![b'v'; 5000]));
    connection.responses_mut().respond(&Response::End);
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert!(!connection.wants_read());
    written(&mut connection);
    assert!(connection.wants_read());
    assert_eq!(request(&mut connection, START), r#"Get(["b"]) +0"#);
}

#[test]
fn a_long_line_is_answered_and_ends_the_connection_however_it_comes() {
    let input = [&b"version\r\n"[..], &[b'a'; 5000], b"\r\nversion\r\n"].concat();
    let expected = Served {
        written: b"VERSION 1.6.18\r\nCLIENT_ERROR line too long\r\n".to_vec(),
        requests: vec!["Version ".to_owned()],
        closed: true,
    };
    for size in [1, 10, 1000, 2000, 2058, 2059, 4096, 10_000] {
        let pieces: Vec<&[u8]> = input.chunks(size).collect();
        let served = serve(Dialect::Memcached, &mut Cache::default(), &pieces);
        assert_eq!(served, expected, "by {size}");
    }
}

#[test]
fn other_protocols_are_closed_upon() {
    for input in [&b"\x80\0\0\0"[..], b"GET / HTTP/1.1\r\n", b"POST /x\r\n"] {
        for dialect in [Dialect::Memcached, Dialect::Kestrel] {
            let served = serve(dialect, &mut Cache::default(), &[input]);
            assert_eq!(served.written, b"");
            assert!(served.closed, "{}", input.escape_ascii());
        }
    }
}

#[test]
fn after_the_end_of_the_stream_what_came_is_answered() {
    let mut connection = connect();
    connection.receive(b"get a\r\nversion\r\nset k 0 0 5\r\nab");
    connection.end_of_stream();
    assert!(!connection.wants_read());
    request(&mut connection, START);
    request(&mut connection, START);
    deadline(&mut connection, START);
    connection.responses_mut().respond(&Response::End);
    connection.responses_mut().respond(&Response::Version(b"1"));
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert_eq!(written(&mut connection), r"END\r\nVERSION 1\r\n");
    assert!(is_closed(&mut connection, START));
    assert!(is_closed(&mut connection, START), "and stays so");

    let mut silent = connect();
    silent.end_of_stream();
    assert!(is_closed(&mut silent, START));
}

#[test]
fn a_shut_down_finishes_what_was_begun() {
    let mut connection = connect();
    connection.receive(b"get a\r\nset k 0 0 5\r\nab");
    request(&mut connection, START);
    deadline(&mut connection, START);
    connection.shut_down();
    assert!(connection.wants_read(), "a data block is on its way");
    connection.receive(b"cde\r\nget b\r\nversi");
    assert_eq!(
        request(&mut connection, START),
        "Set(StoreRequest { key: [107], flags: 0, exptime: 0, noreply: false }) +5"
    );
    assert!(!connection.wants_read());
    assert_eq!(request(&mut connection, START), r#"Get(["b"]) +0"#);
    for response in [Response::End, Response::Stored, Response::End] {
        assert!(!is_closed(&mut connection, START));
        connection.responses_mut().respond(&response);
    }
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert_eq!(written(&mut connection), r"END\r\nSTORED\r\nEND\r\n");
    assert!(is_closed(&mut connection, START));

    let mut idle = connect();
    idle.receive(b"get a");
    deadline(&mut idle, START);
    idle.shut_down();
    assert!(is_closed(&mut idle, START), "a line is not begun before it is complete");
}

#[test]
fn the_application_may_end_the_connection() {
    let mut connection = connect_with(Dialect::Kestrel, &Limits::default());
    connection.receive(b"get q/open\r\nget q\r\nversion\r\nstats\r\n");
    request(&mut connection, START);
    connection.responses_mut().respond(&Response::End);
    request(&mut connection, START);
    request(&mut connection, START);
    connection.responses_mut().respond(&Response::Error(b""));
    connection.responses_mut().close_after_responses();
    connection.responses_mut().respond(&Response::Version(b"too late"));
    assert!(!connection.wants_read());
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert_eq!(written(&mut connection), r"END\r\nERROR\r\n");
    connection.receive(b"version\r\n");
    assert!(is_closed(&mut connection, START));

    let mut asked = connect_with(Dialect::Kestrel, &Limits::default());
    asked.receive(b"shutdown\r\n");
    assert_eq!(request(&mut asked, START), "Shutdown { mode: Now } +0");
    asked.responses_mut().close_after_responses();
    assert!(is_closed(&mut asked, START));
}

#[test]
fn an_idle_connection_is_closed_in_silence() {
    let mut connection = connect();
    assert_eq!(deadline(&mut connection, START), at(75));
    connection.receive(b"version\r\n");
    request(&mut connection, at(70));
    connection.responses_mut().respond(&Response::Version(b"1"));
    assert!(matches!(connection.poll_output(turn(at(70))), Output::Write));
    written(&mut connection);
    assert_eq!(deadline(&mut connection, at(80)), at(155), "from the last byte written");
    assert_eq!(deadline(&mut connection, at(154)), at(155));
    assert!(is_closed(&mut connection, at(155)));
    assert_eq!(written(&mut connection), "");
}

#[test]
fn a_line_and_a_block_have_their_deadlines_and_bytes_do_not_move_them() {
    let mut connection = connect();
    connection.receive(b"se");
    assert_eq!(deadline(&mut connection, at(5)), at(15));
    connection.receive(b"t k 0 0 ");
    assert_eq!(deadline(&mut connection, at(14)), at(15));
    connection.receive(b"5\r\n");
    assert_eq!(deadline(&mut connection, at(14)), at(44));
    connection.receive(b"abcd");
    assert_eq!(deadline(&mut connection, at(43)), at(44));
    assert!(is_closed(&mut connection, at(44)));

    let mut dripping = connect();
    for second in 0..10 {
        dripping.receive(b"a");
        assert_eq!(deadline(&mut dripping, at(second)), at(10));
    }
    dripping.receive(b"a");
    assert!(is_closed(&mut dripping, at(10)));
}

#[test]
fn a_line_that_stops_does_not_take_earlier_answers_away() {
    let mut connection = connect();
    connection.receive(b"get a\r\nget");
    request(&mut connection, START);
    assert_eq!(deadline(&mut connection, START), at(10));
    deadline(&mut connection, at(10));
    assert!(!connection.wants_read());
    connection.responses_mut().respond(&Response::End);
    assert!(matches!(connection.poll_output(turn(at(50))), Output::Write));
    assert_eq!(written(&mut connection), r"END\r\n");
    assert!(is_closed(&mut connection, at(50)));
}

#[test]
fn an_application_has_as_long_as_the_request_lets_it_and_no_longer() {
    for (dialect, input, seconds) in [
        (Dialect::Memcached, &b"get a\r\nversion\r\n"[..], 0),
        (Dialect::Kestrel, b"get q\r\nversion\r\n", 0),
        (Dialect::Kestrel, b"get q/t=3600000\r\nversion\r\n", 3600),
        (Dialect::Kestrel, b"monitor q 60 5\r\nversion\r\n", 60),
    ] {
        let mut connection = connect_with(dialect, &Limits::default());
        connection.receive(input);
        request(&mut connection, START);
        request(&mut connection, START);
        let end = at(seconds + 30);
        assert_eq!(deadline(&mut connection, at(1)), end);
        assert_eq!(deadline(&mut connection, at(seconds + 29)), end);
        assert!(matches!(connection.poll_output(turn(end)), Output::Write));
        assert_eq!(written(&mut connection), r"SERVER_ERROR the server made no reply in time\r\n");
        // A late reply must not be taken for one to the request behind.
        connection.responses_mut().respond(&Response::End);
        connection.responses_mut().respond(&Response::Version(b"1"));
        assert!(is_closed(&mut connection, end));
        assert_eq!(written(&mut connection), "");
    }

    let mut answered = connect();
    answered.receive(b"version\r\n");
    request(&mut answered, START);
    answered.responses_mut().respond(&Response::Version(b"1"));
    written(&mut answered);
    assert_eq!(deadline(&mut answered, at(40)), at(115), "nothing is pending any more");
}

#[test]
fn a_reply_that_the_command_cannot_have_is_refused() {
    use windhover_core::memcache::command::Command;
    use windhover_core::memcache::handler::ReplyError;
    use windhover_core::memcache::response::Kind;
    const INVALID: &str = r"SERVER_ERROR the server made a reply that the command cannot have\r\n";

    let mut connection = connect();
    connection.receive(b"get a\r\nget b\r\nset c 0 0 1 noreply\r\n1\r\nversion\r\n");
    for _ in 0..4 {
        request(&mut connection, START);
    }
    assert_eq!(connection.responses().error(), None);
    connection.responses_mut().respond(&Response::Stored);
    let error = ReplyError::Invalid { command: Command::Get, frame: Kind::Stored };
    assert_eq!(connection.responses().error(), Some(error));
    assert_eq!(written(&mut connection), INVALID);

    // What follows belongs to the same reply, up to its end.
    connection.responses_mut().respond_value(b"b", 0, None, b"1");
    connection.responses_mut().respond(&Response::Stat { name: b"x", value: b"y" });
    connection.responses_mut().respond_value(b"b", 0, None, b"2");
    assert_eq!(connection.responses().unanswered(), 3);
    connection.responses_mut().respond(&Response::End);
    assert_eq!(connection.responses().unanswered(), 2);
    assert_eq!(written(&mut connection), [r"VALUE b 0 1\r\n1\r\n", INVALID].concat());

    connection.responses_mut().respond(&Response::Deleted);
    assert_eq!(written(&mut connection), "", "it is hidden as any answer to it");
    connection.responses_mut().respond(&Response::Version(b"1"));
    assert_eq!(written(&mut connection), r"VERSION 1\r\n");
}

#[test]
fn a_peer_that_takes_no_bytes_is_closed() {
    let mut connection = connect();
    connection.receive(b"version\r\nversion\r\n");
    request(&mut connection, START);
    connection.responses_mut().respond(&Response::Version(b"1"));
    request(&mut connection, START);
    connection.responses_mut().respond(&Response::Version(b"2"));
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    connection.wrote(0);
    assert_eq!(deadline(&mut connection, at(1)), at(20));
    connection.wrote(4);
    assert!(matches!(connection.poll_output(turn(at(10))), Output::Write));
    connection.wrote(0);
    assert_eq!(deadline(&mut connection, at(29)), at(30), "progress moved it");
    assert!(is_closed(&mut connection, at(30)));
    assert_eq!(written(&mut connection), "");
}

#[test]
fn an_idle_connection_gives_its_memory_back() {
    let mut connection = connect();
    let mut served = Served { written: Vec::new(), requests: Vec::new(), closed: false };
    connection.receive(b"set k 0 0 50000\r\n");
    connection.receive(&vec![b'v'; 50_000]);
    connection.receive(b"\r\n");
    drain(&mut connection, START, &mut Cache::default(), &mut served);
    assert_eq!(served.written, b"STORED\r\n");
    connection.release();
    let shown = format!("{connection:?}");
    assert!(shown.contains("bytes: b\"\""), "{shown}");
    assert!(size_of::<ServerConnection>() <= 512, "{}", size_of::<ServerConnection>());
}

#[test]
fn a_request_is_borrowed_until_the_next_call() {
    let mut connection = connect();
    connection.receive(b"set k 0 0 5\r\nhello\r\nquit\r\n");
    match connection.poll_output(turn(START)) {
        Output::Request { request: Request::Set(item), data, .. } => {
            assert_eq!(item.key, b"k");
            assert_eq!(data.chunks().collect::<Vec<_>>(), [b"hello"]);
            assert!(data.segments().is_none() && !data.is_empty());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(connection.responses().unanswered(), 1);
    deadline(&mut connection, START);
    connection.responses_mut().respond(&Response::Stored);
    assert!(matches!(connection.poll_output(turn(START)), Output::Write));
    assert_eq!(written(&mut connection), r"STORED\r\n");
    assert!(is_closed(&mut connection, START));
}
