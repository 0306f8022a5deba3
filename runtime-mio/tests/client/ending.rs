//! How a client's thread ends.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use windhover_mio::{Client, ClientThread, Resolver, block_on};

use crate::script::{SOON, Script, eventually};

/// A thread, and something that lives as long as its loop.
fn watched() -> (ClientThread, Weak<()>) {
    let life = Arc::new(());
    let watch = Arc::downgrade(&life);
    let resolver: Resolver = Arc::new(move |name: &str| {
        assert_eq!(Arc::strong_count(&life), 1);
        name.parse::<SocketAddr>().map(|address| vec![address]).map_err(std::io::Error::other)
    });
    (ClientThread::start_with(resolver).unwrap(), watch)
}

#[test]
fn a_thread_ends_with_its_last_handle() {
    let server = Script::cache();
    let (thread, watch) = watched();
    let client = thread.connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    let other = thread.clone();
    drop(thread);
    block_on(client.set("k", "v")).unwrap();
    drop(client);
    assert!(watch.upgrade().is_some());
    // A thread without clients waits for the next one.
    let client = other.connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    drop(other);
    let queue = client.queue("jobs");
    drop(client);
    assert!(watch.upgrade().is_some());
    drop(queue);
    eventually("the end of the thread", || watch.upgrade().is_none());
}

#[test]
fn a_thread_that_is_never_used_ends() {
    let (thread, watch) = watched();
    drop(thread);
    eventually("the end of the thread", || watch.upgrade().is_none());
}
