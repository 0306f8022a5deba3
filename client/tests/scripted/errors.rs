//! What an error says.

use std::error::Error as _;

use windhover_client::protocol::client::{CallError, ConnectFailure, NotSent};
use windhover_client::{Client, DriverStep, Error};

use crate::script::{cache, script};

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

#[test]
fn an_error_can_be_kept_for_others_and_repeats_nothing_in_a_report() {
    let (client, mut server) = script(cache(), |_, _| Some(b"ERROR\r\n".to_vec()));
    let error = server.run(client.get("k")).unwrap_err();
    assert_eq!(error.clone().to_string(), error.to_string());
    assert!(error.source().is_none());
}

#[test]
fn what_the_operating_system_says_of_a_connect_is_kept() {
    let builder = Client::builder().server("a:1");
    let (client, driver) = builder.options(|options| options.attempts = 1).build().unwrap();
    let mut call = std::pin::pin!(client.get("k"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    let DriverStep::Connect { connection, .. } = driver.next(cx.waker()) else {
        panic!("nothing to do")
    };
    let no_route = std::io::Error::from_raw_os_error(113);
    driver.connect_failed(connection, windhover_client::connect_failure(&no_route));
    let std::task::Poll::Ready(Err(error)) = call.as_mut().poll(&mut cx) else {
        panic!("it waits")
    };
    let Error::Call { error: CallError::NotSent { why, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*why, NotSent::Connect(ConnectFailure::Os(113)));
    assert!(error.to_string().contains(&no_route.to_string()), "{error}");
}
