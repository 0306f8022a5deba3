//! A server for one test, and peers for it.

use std::io::{self, Read, Write};
use std::net::{Shutdown as Half, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use windhover_core::endpoint::Endpoint;
use windhover_runtime::{
    Counters, ServeOptions, ServeReport, Shutdown, StdListener, listen_shared,
};

use crate::adapter;

/// Longer than anything here takes; a test that waits for it has failed.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shutdown: Shutdown,
    end: Receiver<io::Result<ServeReport>>,
}

impl Server {
    pub(crate) fn start<E: Endpoint + Send + 'static>(
        accept: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        Self::with(ServeOptions::default(), 1, accept)
    }

    pub(crate) fn with<E: Endpoint + Send + 'static>(
        options: ServeOptions,
        listeners: usize,
        accept: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        let listeners = listen_shared("127.0.0.1:0".parse().unwrap(), listeners).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let listeners = listeners.into_iter().map(StdListener::Tcp).collect();
        Self::on(listeners, address, options, accept)
    }

    /// Serves what the `listeners` at `address` accept.
    pub(crate) fn on<E: Endpoint + Send + 'static>(
        listeners: Vec<StdListener>,
        address: SocketAddr,
        options: ServeOptions,
        accept: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        let counters = Arc::clone(&options.counters);
        let shutdown = Shutdown::new();
        let asked = shutdown.clone();
        let (sender, end) = channel();
        thread::spawn(move || {
            let _ = sender.send(adapter::serve(listeners, move |_, _| accept(), options, &asked));
        });
        Self { address, counters, shutdown, end }
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Triggers the shutdown and waits for the end.
    pub(crate) fn shut_down(&self) -> ServeReport {
        self.shutdown.trigger();
        self.ended()
    }

    pub(crate) fn ended(&self) -> ServeReport {
        self.end.recv_timeout(SOON).unwrap().unwrap()
    }

    pub(crate) fn until_active(&self, expected: u64) {
        eventually("as many connections", || self.counters.active() == expected);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Ends its side.
    pub(crate) fn end(&mut self) {
        self.0.shutdown(Half::Write).unwrap();
    }

    pub(crate) fn receive(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn receive_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(SOON)).unwrap();
        peeked.is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
        })
    }

    /// Closes with a reset instead of an end of stream.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
