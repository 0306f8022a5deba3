//! SIGSTOP: the server's sockets stay, and nothing comes from them.

use std::time::Duration;

use windhover_client::Client;
use windhover_conformance::{CacheServer, Runtime, on_each_runtime};
use windhover_core::client::{ConnectFailure, NotSent};
use windhover_core::memcache::{End, Reason};

use crate::{LONG, ends_at, ends_at_once, not_sent, once, sent_once, text, unknown};

const DEADLINE: Duration = Duration::from_millis(300);

async fn a_read_and_a_write_end_at_their_deadline(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let client = once(runtime, &server.address(), DEADLINE);
    client.set("a", "one").await.unwrap();
    client.set("b", "two").await.unwrap();
    server.pause();
    let read = ends_at("hang, get", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(unknown(&read), Reason::Deadline);
    let write = ends_at("hang, set", DEADLINE, client.set("a", "new")).await.unwrap_err();
    assert_eq!(unknown(&write), Reason::Deadline);
    server.resume();
    // Both late replies come on the same connection, and go to nobody.
    let patient = client.with_timeout(LONG);
    assert_eq!(text(patient.get("b").await), "two");
    assert_eq!(text(patient.get("a").await), "new");
    assert_eq!(client.statistics()[0].counters.connects, 1);
}

async fn a_server_that_hangs_from_the_start_ends_calls_at_their_deadline(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    server.pause();
    // The kernel takes the connection in the server's place.
    let client = once(runtime, &server.address(), DEADLINE);
    let read = ends_at("hang, first get", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(unknown(&read), Reason::Deadline);
    server.resume();
    client.with_timeout(LONG).set("a", "one").await.unwrap();
    assert_eq!(text(client.with_timeout(LONG).get("a").await), "one");
}

async fn silence_ends_the_connection_before_a_late_deadline(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let builder =
        sent_once(&server.address(), LONG).options(|options| options.timeouts.stall = DEADLINE);
    let client = runtime.connect(builder);
    client.set("a", "one").await.unwrap();
    server.pause();
    let write = ends_at("hang, set, stall timeout", DEADLINE, client.set("a", "new")).await;
    assert_eq!(unknown(&write.unwrap_err()), Reason::End(End::Stalled));
    server.resume();
    assert_eq!(text(client.get("a").await), "new");
    assert_eq!(client.statistics()[0].counters.connects, 2);
}

async fn a_short_deadline_fails_nobody_else_on_the_connection(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let client = once(runtime, &server.address(), LONG);
    client.set("a", "one").await.unwrap();
    client.set("b", "two").await.unwrap();
    server.pause();
    let patient: Vec<_> = ["b", "a", "b"]
        .map(|key| {
            let client = client.clone();
            runtime.spawn(async move { text(client.get(key).await) })
        })
        .into();
    let hasty = client.with_timeout(DEADLINE);
    let hasty = ends_at("hang, get among neighbours", DEADLINE, hasty.get("a")).await.unwrap_err();
    assert_eq!(unknown(&hasty), Reason::Deadline);
    server.resume();
    let mut answers = Vec::new();
    for task in patient {
        answers.push(task.await);
    }
    assert_eq!(answers, ["two", "one", "two"]);
    let counters = client.statistics()[0].counters;
    assert_eq!((counters.connects, counters.timed_out, counters.broken), (1, 1, 0));
}

async fn one_of_three_servers_fails_its_own_keys_alone(runtime: Runtime) {
    let servers: Vec<_> = (0..3).map(|_| CacheServer::memcached(&[])).collect();
    let mut builder = Client::builder().timeout(DEADLINE).options(|options| options.attempts = 1);
    for server in &servers {
        builder = builder.server(&server.address().to_string());
    }
    let client = runtime.connect(builder);
    let keys: Vec<String> = (0..300).map(|n| format!("key-{n}")).collect();
    let items = keys.iter().map(|key| (key, key));
    assert!(client.with_timeout(LONG).set_many(items).await.iter().all(Result::is_ok));
    let hung = servers[1].address().to_string();
    servers[1].pause();
    let found = ends_at("hang of one of three, get_many", DEADLINE, client.get_many(&keys)).await;
    let mut failed = 0;
    for (key, found) in keys.iter().zip(found) {
        match found {
            Ok(value) => assert_eq!(value.expect("no failure looks like a miss").data, *key),
            Err(error) => {
                assert_eq!(error.server().unwrap().name.as_ref(), hung);
                assert_eq!(unknown(&error), Reason::Deadline);
                failed += 1;
            }
        }
    }
    assert!((1..300).contains(&failed), "{failed}");
    servers[1].resume();
    for (key, found) in keys.iter().zip(client.with_timeout(LONG).get_many(&keys).await) {
        assert_eq!(text(found), *key);
    }
}

async fn a_question_to_all_servers_ends_at_one_deadline(runtime: Runtime) {
    let servers: Vec<_> = (0..3).map(|_| CacheServer::memcached(&[])).collect();
    // Three of them would be later than any machine is.
    let deadline = Duration::from_millis(1800);
    let mut builder = Client::builder().timeout(deadline);
    for server in &servers {
        builder = builder.server(&server.address().to_string());
    }
    let client = runtime.connect(builder);
    assert!(client.versions().await.iter().all(|(_, version)| version.is_ok()));
    servers.iter().for_each(CacheServer::pause);
    let versions = ends_at("three servers hang, versions", deadline, client.versions()).await;
    for (server, version) in versions {
        assert_eq!(unknown(&version.unwrap_err()), Reason::Deadline, "{}", server.name);
    }
}

async fn a_server_that_goes_on_hanging_is_not_waited_for(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let client = once(runtime, &server.address(), DEADLINE);
    client.set("a", "one").await.unwrap();
    server.pause();
    for _ in 0..3 {
        assert_eq!(unknown(&client.get("a").await.unwrap_err()), Reason::Deadline);
    }
    let out = ends_at_once("hang, get after ejection", client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&out), NotSent::Ejected);
    server.resume();
    let (found, took) = crate::until_answered(|| client.get("a")).await;
    assert_eq!(text(Ok(found)), "one");
    windhover_conformance::report(&format!("in use again after {:.1} ms", crate::millis(took)));
}

async fn credentials_that_nobody_reads_end_at_the_connect_timeout(runtime: Runtime) {
    let server = CacheServer::memcached_with_authentication();
    server.pause();
    let builder = sent_once(&server.address(), LONG).options(|options| {
        options.connect_timeout = DEADLINE;
        options.credentials = Some(crate::authentication::credentials("secret"));
    });
    let client = runtime.connect(builder);
    let late = ends_at("hang, credentials", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&late), NotSent::Connect(ConnectFailure::TimedOut));
    server.resume();
    crate::until_answered(|| client.set("a", "one")).await;
    assert_eq!(text(client.get("a").await), "one");
}

on_each_runtime!(
    async:
    a_read_and_a_write_end_at_their_deadline,
    a_server_that_hangs_from_the_start_ends_calls_at_their_deadline,
    silence_ends_the_connection_before_a_late_deadline,
    a_short_deadline_fails_nobody_else_on_the_connection,
    one_of_three_servers_fails_its_own_keys_alone,
    a_question_to_all_servers_ends_at_one_deadline,
    a_server_that_goes_on_hanging_is_not_waited_for,
    credentials_that_nobody_reads_end_at_the_connect_timeout,
);
