//! memcached that asks who is there (`-Y`).

use bytes::Bytes;
use windhover_client::Outcome;
use windhover_conformance::{CacheServer, Runtime, on_each_runtime};
use windhover_core::client::{ConnectFailure, Credentials, NotSent};

use crate::{LONG, ends_at_once, not_sent, sent_once, text};

pub(crate) fn credentials(password: &'static str) -> Credentials {
    Credentials {
        user: Bytes::from_static(b"name"),
        password: Bytes::from_static(password.as_bytes()),
    }
}

async fn those_whom_it_knows_are_let_in(runtime: Runtime) {
    let server = CacheServer::memcached_with_authentication();
    let builder = sent_once(&server.address(), LONG)
        .options(|options| options.credentials = Some(credentials("secret")));
    let client = runtime.connect(builder);
    client.set("a", "one").await.unwrap();
    assert_eq!(text(client.get("a").await), "one");
}

async fn others_are_told_so_at_once(runtime: Runtime) {
    let server = CacheServer::memcached_with_authentication();
    let builder = sent_once(&server.address(), LONG);
    let stranger = runtime.connect(builder.clone());
    let refused = ends_at_once("no credentials, get", stranger.get("a")).await.unwrap_err();
    assert_eq!(refused.outcome(), Outcome::Refused, "{refused}");
    let builder = builder.options(|options| options.credentials = Some(credentials("guess")));
    let guesser = runtime.connect(builder);
    let shut_out = ends_at_once("wrong password, get", guesser.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&shut_out), NotSent::Connect(ConnectFailure::Unauthenticated));
}

on_each_runtime!(
    async:
    those_whom_it_knows_are_let_in,
    others_are_told_so_at_once,
);
