//! A server for one test, and peers for it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_std::future::timeout;
use async_std::io::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use async_std::task::{JoinHandle, sleep, spawn};
use windhover_async_std::{Counters, ServeOptions, ServeReport, Shutdown, serve};
use windhover_core::endpoint::Endpoint;

/// Longer than anything here takes; a test that waits for it has failed.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shutdown: Shutdown,
    task: JoinHandle<std::io::Result<ServeReport>>,
}

impl Server {
    pub(crate) async fn start<E: Endpoint + Send + 'static>(
        accept: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        Self::with(ServeOptions::default(), accept).await
    }

    pub(crate) async fn with<E: Endpoint + Send + 'static>(
        options: ServeOptions,
        accept: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = Arc::clone(&options.counters);
        let shutdown = Shutdown::new();
        let accept = move |_, _| accept();
        let task = spawn(serve(listener, accept, options, shutdown.clone()));
        Self { address, counters, shutdown, task }
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer(TcpStream::connect(self.address).await.unwrap())
    }

    /// Triggers the shutdown and waits for the end.
    pub(crate) async fn shut_down(self) -> ServeReport {
        self.shutdown.trigger();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> ServeReport {
        timeout(SOON, self.task).await.unwrap().unwrap()
    }

    pub(crate) async fn until_active(&self, expected: u64) {
        eventually("as many connections", || self.counters.active() == expected).await;
    }
}

pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(SOON, self.0.write_all(bytes)).await.unwrap().unwrap();
    }

    pub(crate) async fn receive(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        timeout(SOON, self.0.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    pub(crate) async fn receive_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        timeout(SOON, self.0.read_to_end(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(150), self.0.read(&mut [0])).await.is_err()
    }

    /// Closes with a reset instead of an end of stream.
    pub(crate) fn reset(self) {
        let stream = std::net::TcpStream::try_from(self.0).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(SOON, wait).await.is_ok(), "never: {what}");
}

/// What the task gave, if it has come to its end.
pub(crate) async fn poll_once<T>(task: &mut JoinHandle<T>) -> Option<T> {
    match std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *task).poll(cx))).await {
        Poll::Ready(given) => Some(given),
        Poll::Pending => None,
    }
}
