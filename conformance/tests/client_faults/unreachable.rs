//! Servers that cannot be connected to, and those behind a Unix socket.

use std::error::Error as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use windhover_conformance::{CacheServer, FullBacklog, Runtime, TempDir, on_each_runtime, sleep};
use windhover_core::client::{ConnectFailure, NotSent, OsError};
use windhover_core::memcache::Reason;

use crate::{LONG, ends_at, ends_at_once, is_refused, not_sent, once, sent_once, text, unknown};

const DEADLINE: Duration = Duration::from_millis(300);

async fn a_port_that_drops_syn_ends_calls_at_their_deadline(runtime: Runtime) {
    let port = FullBacklog::new();
    let client = once(runtime, &port.address(), DEADLINE);
    let late = ends_at("dropped SYN, get", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&late), NotSent::Deadline);
}

async fn a_port_that_drops_syn_ends_patient_calls_at_the_connect_timeout(runtime: Runtime) {
    let port = FullBacklog::new();
    let builder =
        sent_once(&port.address(), LONG).options(|options| options.connect_timeout = DEADLINE);
    let client = runtime.connect(builder);
    let late =
        ends_at("dropped SYN, get, connect timeout", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&late), NotSent::Connect(ConnectFailure::TimedOut));
}

async fn a_port_where_nobody_listens_is_told_at_once(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let client = once(runtime, &server.address(), LONG);
    drop(server);
    let refused = ends_at_once("nobody listens, get", client.get("a")).await.unwrap_err();
    assert!(is_refused(not_sent(&refused)), "{refused}");
}

async fn a_name_without_an_address_is_told_at_once(runtime: Runtime) {
    let client = once(runtime, &"no-port", LONG);
    let lost = ends_at_once("a name of nothing, get", client.get("a")).await.unwrap_err();
    assert_eq!(not_sent(&lost), NotSent::Connect(ConnectFailure::NoAddress), "{lost}");
    // In the words of whoever looked it up.
    assert!(lost.source().is_some(), "{lost:#}");
}

async fn a_name_leads_to_the_first_address_that_takes_the_connection(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    // It has ::1, too, on most systems, where nobody listens.
    let name = format!("localhost:{}", server.address().port());
    let client = once(runtime, &name, LONG);
    client.set("a", "one").await.unwrap();
    assert_eq!(text(client.get("a").await), "one");
    drop(server);
    // Time to see that the connection has ended.
    sleep(Duration::from_millis(100)).await;
    let gone = ends_at_once("nobody listens at the name, get", client.get("a")).await.unwrap_err();
    assert!(is_refused(not_sent(&gone)), "{gone}");
}

async fn unix_sockets(runtime: Runtime) {
    let directory = TempDir::new("unix-socket");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let path = directory.path().join("memcached.sock");
    let server = CacheServer::memcached_at(&path);
    let client = once(runtime, &path.display(), DEADLINE);
    client.with_timeout(LONG).set("a", "one").await.unwrap();
    assert_eq!(text(client.with_timeout(LONG).get("a").await), "one");
    server.pause();
    let late = ends_at("hang of a Unix socket, get", DEADLINE, client.get("a")).await.unwrap_err();
    assert_eq!(unknown(&late), Reason::Deadline);
    server.resume();
    assert_eq!(text(client.with_timeout(LONG).get("a").await), "one");
    drop(server);
    // Time to see that the connection has ended.
    sleep(Duration::from_millis(100)).await;
    let gone = ends_at_once("killed Unix socket, get", client.get("a")).await.unwrap_err();
    // Its path is still there, and nobody behind it.
    assert!(is_refused(not_sent(&gone)), "{gone}");
    std::fs::remove_file(&path).unwrap();
    let gone = ends_at_once("removed Unix socket, get", client.get("a")).await.unwrap_err();
    let no_such_file = NotSent::Connect(ConnectFailure::Os(OsError(2)));
    assert_eq!(not_sent(&gone), no_such_file, "{gone:#}");
}

on_each_runtime!(
    async:
    a_port_that_drops_syn_ends_calls_at_their_deadline,
    a_port_that_drops_syn_ends_patient_calls_at_the_connect_timeout,
    a_port_where_nobody_listens_is_told_at_once,
    a_name_without_an_address_is_told_at_once,
    a_name_leads_to_the_first_address_that_takes_the_connection,
    unix_sockets,
);
