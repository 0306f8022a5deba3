//! Sockets other than TCP's.
#![cfg(unix)]

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use windhover_core::client::{CallError, ConnectFailure, NotSent, OsError};
use windhover_mio::{Client, ErrorKind, block_on, connect};

use crate::script::{Peer, SOON, keep_items};

/// A path for a socket, which is removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("windhover-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_path_is_a_unix_socket() {
    let path = SocketPath::new("cache");
    let listener = UnixListener::bind(&path.0).unwrap();
    thread::spawn(move || {
        let items = Arc::new(Mutex::new(HashMap::new()));
        for stream in listener.incoming() {
            let items = Arc::clone(&items);
            thread::spawn(move || keep_items(Peer::unix(stream.unwrap()), &items));
        }
    });
    let client = connect(Client::builder().server(path.as_str()).timeout(SOON)).unwrap();
    block_on(async {
        let large = vec![b'x'; 1_000_000];
        client.set("k", large.clone()).await.unwrap();
        assert!(client.get("k").await.unwrap().unwrap().data == large);
    });
    assert_eq!(client.statistics()[0].counters.connects, 1);
}

#[test]
fn a_path_without_a_socket_is_refused() {
    let path = SocketPath::new("none");
    let client = connect(Client::builder().server(path.as_str()).timeout(SOON)).unwrap();
    let error = block_on(client.get("k")).unwrap_err();
    let ErrorKind::Call(CallError::NotSent { why, .. }) = *error.kind() else {
        panic!("{error}");
    };
    assert_eq!(why, NotSent::Connect(ConnectFailure::Os(OsError(2))));
}
