//! What an error says.

use std::error::Error as _;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use windhover_client::protocol::client::{CallError, ConnectFailure, NotSent, OsError};
use windhover_client::protocol::memcache::{End, Reason};
use windhover_client::{Client, Compression, DriverStep, Error, ErrorKind, Outcome, Report, Store};

use crate::script::{Script, cache, script};

/// An error's text and those of its causes.
fn chain(error: &Error) -> Vec<String> {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect()
}

#[test]
fn an_error_names_server_key_and_cause_in_one_line() {
    let (client, mut server) = script(cache(), |_, _| Some(b"SERVER_ERROR busy\r\n".to_vec()));
    let refused = "the server refused the request: SERVER_ERROR busy";
    let error = server.run(client.set("user:7", "v")).unwrap_err();
    assert_eq!(error.to_string(), format!("a:1: 'user:7': {refused}"));
    let error = server.run(client.queue("jobs").enqueue("v")).unwrap_err();
    assert_eq!(error.to_string(), format!("a:1: 'jobs': {refused}"));
    let told: Vec<String> = server
        .run(client.get_many(["b", "c"]))
        .into_iter()
        .map(|found| found.unwrap_err().to_string())
        .collect();
    assert_eq!(told, [format!("a:1: 'b': {refused}"), format!("a:1: 'c': {refused}")]);
    // What has no key names none.
    let (_, version) = server.run(client.versions()).remove(0);
    assert_eq!(version.unwrap_err().to_string(), format!("a:1: {refused}"));
}

/// A server that gives the same answer to everything.
fn saying(reply: &'static str) -> (Client, Script<'static>) {
    let builder = cache().compression(Compression::ReadOnly);
    script(builder, move |_, _| Some(reply.as_bytes().to_vec()))
}

#[test]
fn whatever_is_wrong_with_an_answer_is_told_of_its_server_and_key() {
    let (client, mut server) = saying("NOT_STORED\r\n");
    let not_done = server.run(client.set("k", "v")).unwrap_err();
    let full = server.run(client.queue("k").enqueue("v")).unwrap_err();
    let (client, mut server) = saying("VALUE k 0 1\r\n1\r\nEND\r\n");
    let unexpected = server.run(client.update("k", |_| Some("2"))).unwrap_err();
    let (client, mut server) = saying("VALUE k 0 2\r\n\u{e9}\r\nEND\r\n");
    let not_number = server.run(client.get_as::<u64>("k")).unwrap_err();
    let (client, mut server) = saying("VALUE k 8 2\r\n\u{e9}\r\nEND\r\n");
    let one_of_many = server.run(client.get_many(["k"])).remove(0).unwrap_err();
    let (client, mut server) = script(cache(), |_, heard| {
        let is_asked = heard.contains("mn\r\n") && !heard.contains("ms");
        Some(if is_asked { "MN\r\n" } else { "SERVER_ERROR no\r\nMN\r\n" }.into())
    });
    let in_batch = server.run(client.set_many([("k", Store::from("v"))])).remove(0).unwrap_err();
    let told = [
        (not_done, "the server has not done it, and says NOT_STORED"),
        (full, "the queue takes no more items"),
        (unexpected, "the server's answer is none that the call can have: VALUE without a"),
        (not_number, "the value '\\xc3\\xa9' is no number of that type"),
        (one_of_many, "the flags say that the value is compressed"),
        (in_batch, "a request of the batch, maybe this one, was refused: SERVER_ERROR no"),
    ];
    for (error, what) in told {
        assert_eq!(error.server().map(|server| &*server.name), Some("a:1"), "{error:?}");
        assert_eq!(error.key(), Some(&b"k"[..]), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("a:1: 'k': {what}")), "{text}");
    }
}

#[test]
fn what_was_not_sent_names_its_key() {
    let (client, mut server) = saying("");
    let zero = Store::from("v").expires(Duration::ZERO);
    for error in [
        server.run(client.set("k", zero.clone())).unwrap_err(),
        server.run(client.touch("k", Duration::ZERO)).unwrap_err(),
        server.run(client.set_many([("k", zero)])).remove(0).unwrap_err(),
        server.run(client.set("k", Store::from("v").flags(8))).unwrap_err(),
        server.run(client.queue("k").expires(Duration::ZERO).enqueue("v")).unwrap_err(),
        server.run(client.set("k", vec![0; (1 << 20) + 1])).unwrap_err(),
    ] {
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert_eq!(error.key(), Some(&b"k"[..]), "{error:?}");
    }
}

#[test]
fn an_error_can_be_kept_for_others_and_says_nothing_twice() {
    let mut errors = Vec::new();
    for reply in ["ERROR\r\n", "VALUE k 0 1 junk\r\n", "VALUE k 0 1\r\n\u{1}\r\nEND\r\n"] {
        let (client, mut server) = saying(reply);
        errors.extend(server.run(client.get_as::<u8>("k")).err());
        errors.extend(server.run(client.get("a b")).err());
        #[cfg(feature = "json")]
        errors.extend(server.run(client.get_json::<u8>("k")).err());
    }
    errors.extend(Client::builder().server("h:0").build().err());
    let builder = Client::builder().server("h").credentials("a b", "c");
    errors.extend(builder.build().err());
    assert!(errors.len() >= 8, "{errors:?}");
    for error in errors {
        let chain = chain(&error);
        assert!(chain.len() <= 3, "two levels at most: {chain:?}");
        for (text, cause) in chain.iter().zip(chain.iter().skip(1)) {
            assert!(!text.contains(cause.as_str()), "{chain:?}");
        }
        assert_eq!(format!("{error:#}"), chain.join(": "));
        assert_eq!(Report::new(&error).to_string(), chain.join(": "));
        assert_eq!(error.clone().to_string(), error.to_string());
    }
}

/// Polls a call once more, which is to be over.
#[track_caller]
fn failed<T>(poll: Poll<Result<T, Error>>) -> Error {
    match poll {
        Poll::Ready(Err(error)) => error,
        Poll::Ready(Ok(_)) => panic!("it has a result"),
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn what_the_operating_system_says_of_a_connect_is_kept() {
    let builder = Client::builder().server("a:1");
    let (client, driver) = builder.options(|options| options.attempts = 1).build().unwrap();
    let mut call = std::pin::pin!(client.get("k"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    let DriverStep::Connect { connection, .. } = driver.next(cx.waker()) else {
        panic!("nothing to do")
    };
    let no_route = io::Error::from_raw_os_error(113);
    driver.connect_failed(connection, windhover_client::connect_failure(&no_route));
    let error = failed(call.as_mut().poll(&mut cx));
    let ErrorKind::Call(CallError::NotSent { why, .. }) = error.kind() else { panic!("{error}") };
    assert_eq!(*why, NotSent::Connect(ConnectFailure::Os(OsError(113))));
    let text = "a:1: 'k': the request was not sent: it cannot be connected to";
    assert_eq!(chain(&error), [text, "No route to host (os error 113)"]);
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.and_then(io::Error::raw_os_error), Some(113));
}

#[test]
fn what_the_operating_system_says_of_a_connection_that_broke_is_kept() {
    for breaks_at_write in [true, false] {
        let builder = Client::builder().server("a:1");
        let (client, driver) = builder.options(|options| options.attempts = 1).build().unwrap();
        let mut call = std::pin::pin!(client.incr("k", 1));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let DriverStep::Connect { connection, .. } = driver.next(cx.waker()) else {
            panic!("nothing")
        };
        driver.connected(connection);
        assert!(call.as_mut().poll(&mut cx).is_pending());
        // What has left in part is not known to have had no effect.
        let reset = || Poll::Ready(Err(io::Error::from_raw_os_error(104)));
        let _ = driver.write(connection, |_| Poll::Ready(Ok(3)));
        if breaks_at_write {
            let _ = driver.write(connection, |_| reset());
        } else {
            let _ = driver.read(connection, |_| reset());
        }
        let error = failed(call.as_mut().poll(&mut cx));
        let os = Some(OsError(104));
        let ErrorKind::Call(CallError::Unknown { why, .. }) = error.kind() else {
            panic!("{error}")
        };
        assert_eq!(*why, Reason::End(End::Broken { os }));
        let [text, cause] = &chain(&error)[..] else { panic!("{error:#}") };
        assert!(text.ends_with("is not known: the connection broke"), "{text}");
        assert_eq!(cause, "Connection reset by peer (os error 104)");
    }
}
