//! A memcache server for a test, in one line on each adapter, and an ordinary client of it.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use windhover_cache::Cache;
use windhover_tokio::{ServeOptions, ServeReport, Shutdown};

/// Starts a server on a free port.
fn serve(
    on: impl FnOnce(TcpListener, Cache, Shutdown) -> ServeReport + Send + 'static,
) -> (SocketAddr, Shutdown, JoinHandle<ServeReport>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (cache, shutdown) = (Cache::default(), Shutdown::new());
    let asked = shutdown.clone();
    (address, shutdown, std::thread::spawn(move || on(listener, cache, asked)))
}

fn check((address, shutdown, server): (SocketAddr, Shutdown, JoinHandle<ServeReport>)) {
    let exchange = |send: &[u8]| {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(send).unwrap();
        let mut answers = String::new();
        peer.read_to_string(&mut answers).unwrap();
        answers
    };
    let stored = exchange(b"set k 0 0 5\r\nhello\r\nstats\r\nquit\r\n");
    assert!(stored.starts_with("STORED\r\nSTAT pid "), "{stored:?}");
    assert_eq!(
        exchange(b"get k\r\nmg k s\r\nquit\r\n"),
        "VALUE k 0 5\r\nhello\r\nEND\r\nHD s5\r\n"
    );

    shutdown.trigger();
    assert_eq!(server.join().unwrap().cut, 0);
}

#[test]
fn on_tokio() {
    check(serve(|listener, cache, shutdown| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let accept = move |_, now| cache.accept(now);
            windhover_tokio::serve([listener], accept, ServeOptions::default(), shutdown).await
        })
    }));
}

#[test]
fn on_async_std() {
    check(serve(|listener, cache, shutdown| {
        let accept = move |_, now| cache.accept(now);
        let server =
            windhover_async_std::serve([listener], accept, ServeOptions::default(), shutdown);
        async_std::task::block_on(server).unwrap()
    }));
}

#[test]
fn on_mio() {
    check(serve(|listener, cache, shutdown| {
        let accept = move |_, now| cache.accept(now);
        windhover_mio::serve([listener], accept, ServeOptions::default(), &shutdown).unwrap()
    }));
}
