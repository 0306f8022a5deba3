//! Servers that do not answer, or not in time.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use windhover_core::client::{CallError, ConnectFailure, NotSent};
use windhover_mio::{Client, ErrorKind, block_on, connect};

use crate::script::{SOON, Script, eventually, nowhere};

const SHORT: Duration = Duration::from_millis(150);

#[test]
fn a_server_that_hangs_is_waited_for_no_longer_than_the_deadline() {
    let server = Script::silent();
    let client = connect(Client::builder().server(&server.address).timeout(SHORT)).unwrap();
    let begun = Instant::now();
    let error = block_on(client.get("k")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Call(CallError::Unknown { .. })), "{error}");
    assert!(begun.elapsed() >= SHORT);
    assert!(begun.elapsed() < SOON);
}

#[test]
fn where_nobody_listens_nothing_is_sent() {
    let client = connect(Client::builder().server(&nowhere()).timeout(SOON)).unwrap();
    let error = block_on(client.set("k", "v")).unwrap_err();
    let ErrorKind::Call(CallError::NotSent { why, .. }) = *error.kind() else {
        panic!("{error}");
    };
    assert_eq!(why, NotSent::Connect(ConnectFailure::Refused));
}

#[test]
fn a_late_reply_is_nobodys() {
    let (late, is_late) = channel();
    let is_late = Mutex::new(is_late);
    let server = Script::start(move |mut peer, _| {
        assert_eq!(peer.line().unwrap(), "get first");
        is_late.lock().unwrap().recv_timeout(SOON).unwrap();
        peer.send_value("first", b"late");
        assert_eq!(peer.line().unwrap(), "get second");
        peer.send_value("second", b"its own");
        assert_eq!(peer.line(), None);
    });
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    assert!(block_on(client.with_timeout(SHORT).get("first")).is_err());
    late.send(()).unwrap();
    assert_eq!(block_on(client.get("second")).unwrap().unwrap().data, "its own");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_call_that_is_dropped_keeps_its_place_in_the_order_of_replies() {
    let server = Script::start(|mut peer, _| {
        assert_eq!(peer.line().unwrap(), "get dropped");
        assert_eq!(peer.line().unwrap(), "get kept");
        peer.send_value("dropped", b"for nobody");
        peer.send_value("kept", b"its own");
        assert_eq!(peer.line(), None);
    });
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    {
        let mut call = Box::pin(client.get("dropped"));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        eventually("sent", || client.statistics()[0].counters.sent == 1);
    }
    assert_eq!(block_on(client.get("kept")).unwrap().unwrap().data, "its own");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_reservation_that_is_dropped_is_put_back_by_closing_its_connection() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = Script::start(move |mut peer, number| {
        while let Some(line) = peer.line() {
            assert_eq!(line, "get jobs/open");
            peer.send_value("jobs", b"item");
        }
        tell.lock().unwrap().send(number).unwrap();
    });
    let builder = Client::queue_builder().server(&server.address).timeout(SOON);
    let client = connect(builder).unwrap();
    let reservation = block_on(client.queue("jobs").reserve()).unwrap().unwrap();
    assert_eq!(reservation.item(), "item");
    drop(reservation);
    told.recv_timeout(SOON).unwrap();
    // The client is still of use.
    assert!(block_on(client.queue("jobs").reserve()).unwrap().is_some());
}

#[test]
fn a_server_that_hangs_up_is_connected_to_again() {
    let server = Script::start(|mut peer, number| {
        let line = peer.line().unwrap();
        peer.send_value(line.strip_prefix("get ").unwrap(), number.to_string().as_bytes());
    });
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    for number in 0..3 {
        assert_eq!(block_on(client.get("k")).unwrap().unwrap().data, number.to_string());
        let connections = || client.statistics()[0].connections;
        eventually("the end of the connection", || connections() == 0);
    }
}

#[test]
fn an_answer_before_the_end_of_a_stream_is_an_answer() {
    // The end is told with the bytes before it, or not at all.
    let server = Script::start(|mut peer, _| {
        peer.line().unwrap();
        peer.send_value("k", &vec![b'x'; 300_000]);
    });
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    for _ in 0..3 {
        assert_eq!(block_on(client.get("k")).unwrap().unwrap().data.len(), 300_000);
        eventually("the end of the connection", || client.statistics()[0].connections == 0);
    }
}
