//! Replies whose end depends on the request: `monitor`, `watch` and a flaw of `stats`.

use bytes::Bytes;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Timeouts};

use crate::cache::write_all;
use crate::turn;

fn connect(dialect: Dialect, input: &[u8]) -> ServerConnection {
    let now = Instant::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(dialect, &limits, &timeouts, now);
    connection.receive(input);
    while matches!(connection.poll_output(turn(now)), Output::Request { .. }) {}
    connection
}

fn written(connection: &mut ServerConnection) -> String {
    let mut out = Vec::new();
    write_all(connection, &mut out);
    out.escape_ascii().to_string()
}

#[test]
fn the_items_of_a_monitor_are_one_reply() {
    let mut connection = connect(Dialect::Kestrel, b"monitor q 10 2\r\nconfirm q 2\r\n");
    for item in [&b"one"[..], b"two"] {
        connection.responses_mut().respond_value(b"q", 0, None, &Bytes::from_static(item));
        connection.responses_mut().respond(&Response::End);
        assert_eq!(connection.responses().unanswered(), 2, "the time or the number is not used up");
    }
    assert_eq!(
        written(&mut connection),
        r"VALUE q 0 3\r\none\r\nEND\r\nVALUE q 0 3\r\ntwo\r\nEND\r\n"
    );
    connection.responses_mut().respond(&Response::End);
    assert_eq!(connection.responses().unanswered(), 1);
    connection.responses_mut().respond(&Response::Error(b""));
    assert_eq!(written(&mut connection), r"END\r\nERROR\r\n");
}

#[test]
fn a_monitor_that_sees_nothing_ends_at_once() {
    let mut connection = connect(Dialect::Kestrel, b"monitor q 0\r\n");
    connection.responses_mut().respond(&Response::End);
    assert_eq!(connection.responses().unanswered(), 0);
}

#[test]
fn a_watcher_is_told_until_the_connection_closes() {
    let mut connection = connect(Dialect::Memcached, b"watch fetchers\r\n");
    connection.responses_mut().respond(&Response::Ok);
    connection.responses_mut().respond(&Response::Listing(b"ts=1.5 gid=1 type=item_get key=k"));
    assert_eq!(connection.responses().unanswered(), 1);
    assert_eq!(written(&mut connection), r"OK\r\nts=1.5 gid=1 type=item_get key=k\r\n");

    let mut refused = connect(Dialect::Memcached, b"watch\r\n");
    refused.responses_mut().respond(&Response::ClientError(b"watch commands not allowed"));
    assert_eq!(refused.responses().unanswered(), 0);
}

#[test]
fn a_dump_is_a_listing_with_an_end() {
    let mut connection = connect(Dialect::Kestrel, b"dump_stats q\r\nversion\r\n");
    for line in [&b"queue 'q' {"[..], b"  items=0", b"}"] {
        connection.responses_mut().respond(&Response::Listing(line));
    }
    connection.responses_mut().respond(&Response::End);
    assert_eq!(connection.responses().unanswered(), 1);
    assert_eq!(written(&mut connection), r"queue \'q\' {\r\n  items=0\r\n}\r\nEND\r\n");
}

#[test]
fn the_end_that_memcached_forgets_is_not_sent() {
    for argument in ["sizes_enable", "sizes_disable"] {
        let input = format!("stats {argument}\r\nstats sizes\r\n");
        let mut connection = connect(Dialect::Memcached, input.as_bytes());
        for _ in 0..2 {
            connection
                .responses_mut()
                .respond(&Response::Stat { name: b"sizes_status", value: b"enabled" });
            connection.responses_mut().respond(&Response::End);
        }
        assert_eq!(connection.responses().unanswered(), 0);
        assert_eq!(
            written(&mut connection),
            r"STAT sizes_status enabled\r\nSTAT sizes_status enabled\r\nEND\r\n"
        );
    }
}
