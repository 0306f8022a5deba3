//! Sockets and timers for `windhover-client`.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use windhover_client::core::client::{ConnectFailure, ConnectionId, Server};
use windhover_client::{Builder, Client, Driver, Error, PollStream, Step, connect_failure};

/// Makes a client and drives it on the current runtime, in tasks of its own, until its last handle
/// is gone.
///
/// ```
/// use std::time::Duration;
/// use windhover_tokio::{Client, connect};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), windhover_tokio::ClientError> {
/// let client = connect(Client::builder().server("127.0.0.1:1"))?;
/// // Nobody listens there: an error, not a miss.
/// assert!(client.within(Duration::from_millis(500)).get("greeting").await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Builder::build`].
///
/// # Panics
/// Outside of a tokio runtime, as `tokio::spawn` does.
pub fn connect(builder: Builder) -> Result<Client, Error> {
    connect_with(builder, Plain)
}

/// The same, with connections made by `connector`.
///
/// # Errors
/// As [`Builder::build`].
///
/// # Panics
/// Outside of a tokio runtime.
pub fn connect_with<C: Connector>(builder: Builder, connector: C) -> Result<Client, Error> {
    let (client, driver) = builder.build()?;
    tokio::spawn(drive(driver, connector));
    Ok(client)
}

/// A stream that a client can use.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Makes connections.
pub trait Connector: Clone + Send + Sync + 'static {
    /// Connects to a server. How long that may take is the client's business.
    fn connect(
        &self,
        server: &Server,
    ) -> impl Future<Output = Result<Box<dyn Stream>, ConnectFailure>> + Send;
}

/// TCP, and Unix sockets for addresses with a `/` in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Connector for Plain {
    async fn connect(&self, server: &Server) -> Result<Box<dyn Stream>, ConnectFailure> {
        #[cfg(unix)]
        if server.address.contains('/') {
            let stream = UnixStream::connect(Path::new(&*server.address)).await;
            return Ok(Box::new(stream.map_err(|error| connect_failure(&error))?));
        }
        Ok(Box::new(connect_tcp(&server.address).await?))
    }
}

/// A TCP connection whose requests leave at once.
async fn connect_tcp(address: &str) -> Result<TcpStream, ConnectFailure> {
    let addresses = lookup_host(address).await.map_err(|_| ConnectFailure::NoAddress)?;
    let mut failure = ConnectFailure::NoAddress;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small requests are not to wait for each other: the client gathers them itself.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failure = connect_failure(&error),
        }
    }
    Err(failure)
}

/// Does what the client wants done, until its last handle is gone.
///
/// [`connect`] spawns this; it is here for those who spawn it themselves, on a runtime of their
/// choice. A driver that is dropped before its end ends every call with an error.
pub async fn drive<C: Connector>(driver: Driver, connector: C) {
    loop {
        let step = poll_fn(|cx| Poll::Ready(driver.next(cx.waker()))).await;
        match step {
            Step::Connect { connection, server } => {
                let driver = driver.for_connection();
                let connector = connector.clone();
                tokio::spawn(async move {
                    run(&driver, &connector, connection, &server).await;
                });
            }
            Step::Wait(time) => {
                // Woken by whichever comes first.
                let mut first = true;
                let woken = poll_fn(|_| {
                    if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
                });
                let _ = timeout(time, woken).await;
            }
            Step::Closed => return,
        }
    }
}

/// One connection, from its making to its end.
async fn run<C: Connector>(
    driver: &Driver,
    connector: &C,
    connection: ConnectionId,
    server: &Server,
) {
    if let Some(stream) = driver.make(connection, connector.connect(server)).await {
        driver.run(connection, Socket(stream)).await;
    }
}

struct Socket(Box<dyn Stream>);

impl PollStream for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        pin!(self.0.read_buf(into)).poll(cx)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        match slices {
            [slice] => stream.poll_write(cx, slice),
            slices => stream.poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
}
