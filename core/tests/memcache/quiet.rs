//! Quiet mode and `noreply`: the application answers uniformly, the connection hides.

use bytes::Bytes;
use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaReply};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Timeouts};

use crate::cache::write_all;
use crate::turn;

/// What is sent when the application gives these answers to the requests of that input.
fn sent(input: &[u8], answers: &[Response<'_>]) -> String {
    let now = Instant::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
    connection.receive(input);
    while matches!(connection.poll_output(turn(now)), Output::Request { .. }) {}
    for answer in answers {
        connection.responses_mut().respond(answer);
    }
    assert_eq!(connection.responses().unanswered(), 0);
    let mut out = Vec::new();
    write_all(&mut connection, &mut out);
    out.escape_ascii().to_string()
}

fn reply(code: MetaCode) -> Response<'static> {
    match code {
        MetaCode::Value => Response::Meta(MetaReply::value(MetaFlags::new(b"t1"), b"v")),
        code => Response::Meta(MetaReply::new(code, MetaFlags::new(b"kk"))),
    }
}

#[test]
fn what_q_hides_is_memcacheds() {
    use MetaCode::{Done, Exists, Miss, NotFound, NotStored, Value};
    for (request, code, hidden) in [
        (&b"mg k v q\r\n"[..], Miss, true),
        (b"mg k v q\r\n", Value, false),
        (b"mg k q\r\n", Done, false),
        (b"ms k 1 q\r\nv\r\n", Done, true),
        (b"ms k 1 q\r\nv\r\n", NotStored, false),
        (b"ms k 1 q\r\nv\r\n", Exists, false),
        (b"ms k 1 q\r\nv\r\n", NotFound, false),
        (b"md k q\r\n", Done, true),
        (b"md k q\r\n", NotFound, false),
        (b"md k q\r\n", Exists, false),
        (b"ma k q\r\n", Done, true),
        (b"ma k v q\r\n", Value, true),
        (b"ma k q\r\n", NotFound, false),
        (b"ma k q\r\n", NotStored, false),
        (b"ma k q\r\n", Exists, false),
    ] {
        let quiet = sent(request, &[reply(code)]);
        assert_eq!(quiet.is_empty(), hidden, "{} {code:?}", request.escape_ascii());
        let loud = String::from_utf8_lossy(request).replace(" q", "");
        assert!(!sent(loud.as_bytes(), &[reply(code)]).is_empty());
        let error = sent(request, &[Response::ServerError(b"out of memory")]);
        assert_eq!(error, r"SERVER_ERROR out of memory\r\n", "errors are always sent");
    }
}

#[test]
fn a_chain_of_quiet_requests_ends_in_a_mark() {
    let input = b"mg a v q\r\nmg b v q\r\nms c 2 q\r\nhi\r\nmg ! v v q\r\nmn\r\n";
    let answers =
        [reply(MetaCode::Miss), reply(MetaCode::Value), reply(MetaCode::Done), Response::MetaNoop];
    assert_eq!(sent(input, &answers), r"VA 1 t1\r\nv\r\nCLIENT_ERROR duplicate flag\r\nMN\r\n");
}

#[test]
fn a_bad_block_is_told_in_spite_of_q_and_not_of_noreply() {
    assert_eq!(sent(b"ms k 1 q\r\nvXX", &[]), r"CLIENT_ERROR bad data chunk\r\n");
    assert_eq!(sent(b"add k 0 0 1 noreply\r\nvXX", &[]), "");
}

#[test]
fn noreply_hides_every_answer() {
    let answers = [
        Response::Number(5),
        Response::NotFound,
        Response::Touched,
        Response::ClientError(b"cannot increment or decrement non-numeric value"),
        Response::Exists,
        Response::Line(b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"),
        Response::Ok,
        Response::MetaNoop,
    ];
    let input = b"incr a 1 noreply\r\ndecr a 1 noreply\r\ntouch a 0 noreply\r\n\
        incr b 1 noreply\r\ncas a 0 0 1 7 noreply\r\nv\r\ncache_memlimit 1 noreply\r\n\
        lru mode flat noreply\r\nmn\r\n";
    assert_eq!(sent(input, &answers), r"MN\r\n");
}

#[test]
fn a_shared_value_is_hidden_as_a_copied_one() {
    let now = Instant::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
    connection.receive(b"mg a v\r\nma b v q\r\nmn\r\n");
    while matches!(connection.poll_output(turn(now)), Output::Request { .. }) {}
    connection
        .responses_mut()
        .respond_meta_value(MetaFlags::new(b"t-1 c7"), &Bytes::from_static(b"value"));
    connection.responses_mut().respond_meta_value(MetaFlags::default(), &Bytes::from_static(b"5"));
    connection.responses_mut().respond(&Response::MetaNoop);
    let mut out = Vec::new();
    write_all(&mut connection, &mut out);
    assert_eq!(out, b"VA 5 t-1 c7\r\nvalue\r\nMN\r\n");
}
