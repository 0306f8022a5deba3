//! The typed client against real servers on a bad day: each fault ends at its deadline, says what is
//! known of the call's effect, and leaves the next request its own reply.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authentication;
mod broken;
mod cancel;
mod delay;
mod hang;
mod queue;
mod tls;
mod unreachable;

use std::time::{Duration, Instant};

use windhover_client::{Builder, Client, Error, ErrorKind, Outcome};
use windhover_conformance::{Runtime, report, sleep};
use windhover_core::client::{CallError, ConnectFailure, NotSent};
use windhover_core::memcache::{End, Reason};

/// How late a busy machine may be. An idle one is late by a millisecond or two: the figures are
/// printed.
const LOOSE: Duration = Duration::from_secs(3);

/// What takes this long has hung.
const LONG: Duration = Duration::from_secs(20);

/// Waits for a call that has to end after `aim`, prints by how much it was late, and fails where
/// that was early, or late by far.
async fn ends_at<T>(what: &str, aim: Duration, call: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let outcome = call.await;
    let took = begun.elapsed();
    let over = took.saturating_sub(aim);
    report(&format!("{what}: aim {} ms, over by {:.1} ms", aim.as_millis(), millis(over)));
    assert!(took >= aim, "{what}: ended after {took:?}, before {aim:?}");
    assert!(over < LOOSE, "{what}: ended after {took:?}, expected {aim:?}");
    outcome
}

/// The same for what has to end as soon as it is known.
async fn ends_at_once<T>(what: &str, call: impl Future<Output = T>) -> T {
    ends_at(what, Duration::ZERO, call).await
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A client of one cache, whose calls are sent once and have so long.
fn once(runtime: Runtime, address: &impl ToString, timeout: Duration) -> Client {
    runtime.connect(sent_once(address, timeout))
}

fn sent_once(address: &impl ToString, timeout: Duration) -> Builder {
    Client::builder()
        .server(&address.to_string())
        .timeout(timeout)
        .options(|options| options.attempts = 1)
}

/// Why it was sent and not answered.
#[track_caller]
fn unknown(error: &Error) -> Reason {
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    match error.kind() {
        ErrorKind::Call(CallError::Unknown { why, .. }) => *why,
        other => panic!("expected a call that was not answered, got {other:?}"),
    }
}

/// Why it was not sent.
#[track_caller]
fn not_sent(error: &Error) -> NotSent {
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    match error.kind() {
        ErrorKind::Call(CallError::NotSent { why, .. }) => *why,
        other => panic!("expected a call that was not sent, got {other:?}"),
    }
}

/// Whether the connection was ended by the other side, in whichever words of the system.
fn is_gone(why: Reason) -> bool {
    matches!(why, Reason::End(End::EndOfStream | End::Broken { .. }))
}

fn is_refused(why: NotSent) -> bool {
    why == NotSent::Connect(ConnectFailure::Refused)
}

/// Calls until it is answered; how long that took.
async fn until_answered<T, F>(call: impl Fn() -> F) -> (T, Duration)
where
    F: Future<Output = Result<T, Error>>,
{
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return (answer, begun.elapsed()),
            Err(error) => assert!(begun.elapsed() < LONG, "no answer within {LONG:?}: {error}"),
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// The value of a key that is there.
#[track_caller]
fn text(found: Result<Option<windhover_client::Value>, Error>) -> String {
    let value = found.unwrap().expect("the key is there");
    String::from_utf8(value.data.to_vec()).unwrap()
}
