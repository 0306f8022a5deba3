//! A socket is read and written while the client goes on: whoever is slow at it holds up nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use windhover_client::protocol::client::{CallError, ConnectionId};
use windhover_client::{Client, Driver, DriverStep, ErrorKind, Outcome, block_on};

const LONG: Duration = Duration::from_secs(600);

fn client() -> (Client, Driver) {
    let builder = Client::builder().server("127.0.0.1:11211").timeout(LONG);
    builder.options(|options| options.timeouts.stall = LONG).build().unwrap()
}

fn poll<T>(call: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    call.poll(&mut Context::from_waker(Waker::noop()))
}

/// The connection that the first call has asked for, made.
fn connect(driver: &Driver) -> ConnectionId {
    let DriverStep::Connect { connection, .. } = driver.next(Waker::noop()) else {
        panic!("a connection is wanted")
    };
    driver.connected(connection);
    connection
}

/// What waits to be written is written, `meanwhile` in the midst of it.
fn write(driver: &Driver, connection: ConnectionId, meanwhile: impl FnOnce()) -> Vec<u8> {
    let mut written = Vec::new();
    let wrote = driver.write(connection, |slices| {
        meanwhile();
        for slice in slices {
            written.extend_from_slice(slice);
        }
        Poll::Ready(Ok(written.len()))
    });
    assert!(wrote.is_ready());
    written
}

#[test]
fn a_call_is_taken_in_the_midst_of_a_write_and_of_a_read() {
    let (client, driver) = client();
    let mut first = pin!(client.get("first"));
    assert!(poll(first.as_mut()).is_pending());
    let connection = connect(&driver);
    let (mut second, mut third) = (pin!(client.get("second")), pin!(client.get("third")));

    let written = write(&driver, connection, || assert!(poll(second.as_mut()).is_pending()));
    assert_eq!(written, b"get first\r\n");
    assert!(driver.turn(connection, Waker::noop()).wants_write, "the second was forgotten");
    assert_eq!(write(&driver, connection, || ()), b"get second\r\n");
    assert!(!driver.turn(connection, Waker::noop()).wants_write);

    let read = driver.read(connection, |buffer| {
        assert!(poll(third.as_mut()).is_pending());
        // The second answer comes in two pieces.
        buffer.extend_from_slice(b"END\r\nVALUE second 0 2\r\nh");
        Poll::Ready(Ok(buffer.len()))
    });
    assert!(read.is_ready());
    assert!(matches!(poll(first.as_mut()), Poll::Ready(Ok(None))));
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(write(&driver, connection, || ()), b"get third\r\n");
    let read = driver.read(connection, |buffer| {
        buffer.extend_from_slice(b"i\r\nEND\r\nEND\r\n");
        Poll::Ready(Ok(15))
    });
    assert!(read.is_ready());
    assert!(matches!(poll(second), Poll::Ready(Ok(Some(found))) if found.data == "hi"));
    assert!(matches!(poll(third), Poll::Ready(Ok(None))));
}

#[test]
fn what_is_being_written_when_the_client_ends_may_have_been_sent() {
    let (client, driver) = client();
    let mut sent = pin!(client.set("sent", "v"));
    assert!(poll(sent.as_mut()).is_pending());
    let connection = connect(&driver);
    let mut later = pin!(client.set("later", "v"));

    let its = driver.for_connection();
    let written = write(&its, connection, || {
        assert!(poll(later.as_mut()).is_pending());
        drop(driver);
    });
    assert_eq!(written, b"set sent 0 0 1\r\nv\r\n");
    let Poll::Ready(Err(sent)) = poll(sent) else { panic!("it is over") };
    assert_eq!(sent.outcome(), Outcome::Unknown);
    let Poll::Ready(Err(later)) = poll(later) else { panic!("it is over") };
    assert!(matches!(later.kind(), ErrorKind::Call(CallError::NotSent { .. })), "{later:?}");
    assert!(its.turn(connection, Waker::noop()).is_closed);
}

#[test]
fn a_write_that_takes_its_time_keeps_no_call_from_its_deadline() {
    let (client, driver) = client();
    let client = client.with_timeout(Duration::from_millis(50));
    let mut first = pin!(client.set("k", "v"));
    assert!(poll(first.as_mut()).is_pending());
    let connection = connect(&driver);

    write(&driver, connection, || {
        let DriverStep::Wait(time) = driver.next(Waker::noop()) else { panic!("it waits") };
        thread::sleep(time.min(LONG / 60));
        assert!(matches!(driver.next(Waker::noop()), DriverStep::Wait(_)));
        let error = block_on(first.as_mut()).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
    });
}
