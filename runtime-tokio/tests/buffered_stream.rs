//! A stream that keeps bytes back until it is flushed.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream, DuplexStream, duplex};
use windhover_client::protocol::client::{ConnectFailure, Server};
use windhover_tokio::{Client, ConnectError, Connector, Stream, connect_with};

/// Gives out one end of a pipe, once.
#[derive(Clone)]
struct Pipe(Arc<Mutex<Option<DuplexStream>>>);

impl Connector for Pipe {
    type Stream = Stream<BufStream<DuplexStream>>;

    async fn connect(&self, _: &Server) -> Result<Self::Stream, ConnectError> {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Stream::new(BufStream::new(end.ok_or(ConnectFailure::Refused)?)))
    }
}

#[tokio::test]
async fn what_it_keeps_back_leaves_as_the_socket_takes_it() {
    // The pipe takes 16 bytes at a time, so that no flush is done at once.
    let (near, mut far) = duplex(16);
    let pipe = Pipe(Arc::new(Mutex::new(Some(near))));
    let client = connect_with(Client::builder().server("cache:11211"), pipe).unwrap();
    let server = tokio::spawn(async move {
        let mut request = vec![0; "set k 0 0 3000\r\n".len() + 3002];
        far.read_exact(&mut request).await.unwrap();
        far.write_all(b"STORED\r\n").await.unwrap();
        (request, far)
    });
    client.set("k", vec![b'x'; 3000]).await.unwrap();
    let (request, _far) = server.await.unwrap();
    assert!(request.ends_with(b"xx\r\n"));
}
