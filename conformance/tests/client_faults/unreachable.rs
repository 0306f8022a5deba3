//! Servers that cannot be connected to, and those behind a Unix socket.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use windhover_conformance::{CacheServer, FullBacklog, TempDir};
use windhover_core::client::{ConnectFailure, NotSent};
use windhover_core::memcache::Reason;
use windhover_tokio::connect;

use crate::{LONG, ends_at, ends_at_once, is_refused, not_sent, once, sent_once, text, unknown};

const DEADLINE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_port_that_drops_syn_ends_calls_at_their_deadline() {
    let port = FullBacklog::new();
    let client = once(&port.address(), DEADLINE);
    let late = ends_at("dropped SYN, get", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&late), NotSent::Deadline);
}

#[tokio::test]
async fn a_port_that_drops_syn_ends_patient_calls_at_the_connect_timeout() {
    let port = FullBacklog::new();
    let builder =
        sent_once(&port.address(), LONG).options(|options| options.connect_timeout = DEADLINE);
    let client = connect(builder).unwrap();
    let late =
        ends_at("dropped SYN, get, connect timeout", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&late), NotSent::Connect(ConnectFailure::TimedOut));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_at_once() {
    let server = CacheServer::memcached(&[]);
    let client = once(&server.address(), LONG);
    drop(server);
    let refused = ends_at_once("nobody listens, get", client.get("a")).await.unwrap_err();
    assert!(is_refused(not_sent(&refused)), "{refused}");
}

#[tokio::test]
async fn unix_sockets() {
    let directory = TempDir::new("unix-socket");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let path = directory.path().join("memcached.sock");
    let server = CacheServer::memcached_at(&path);
    let client = once(&path.display(), DEADLINE);
    client.within(LONG).set("a", "one").await.unwrap();
    assert_eq!(text(client.within(LONG).get("a").await), "one");
    server.pause();
    let late = ends_at("hang of a Unix socket, get", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(unknown(&late), Reason::Deadline);
    server.resume();
    assert_eq!(text(client.within(LONG).get("a").await), "one");
    drop(server);
    // Time to see that the connection has ended.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let gone = ends_at_once("killed Unix socket, get", client.get("a")).await.unwrap_err();
    // Its path is still there, and nobody behind it.
    assert!(is_refused(not_sent(&gone)), "{gone}");
    std::fs::remove_file(&path).unwrap();
    let gone = ends_at_once("removed Unix socket, get", client.get("a")).await.unwrap_err();
    assert!(is_refused(not_sent(&gone)), "{gone}");
}
