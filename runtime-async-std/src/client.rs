//! Sockets and timers for `windhover-client`.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_io::{Async, Timer};
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use windhover_client::core::client::{ConnectFailure, ConnectionId, Server};
use windhover_client::{Builder, Client, Driver, Error, PollStream, Step, connect_failure};

use crate::ConnectionTask;

/// Most bytes of one read.
const READ: usize = 64 * 1024;

thread_local! {
    /// What reads go to before the client takes them: `futures-io` reads into initialised slices
    /// alone.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream that a client can use.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Makes a client and drives it in tasks that `spawn` starts, until its last handle is gone:
/// `|task| smol::spawn(task).detach()`, say.
///
/// # Errors
/// As [`Builder::build`].
pub fn connect_on<S>(spawn: S, builder: Builder) -> Result<Client, Error>
where
    S: Fn(ConnectionTask) + Clone + Send + 'static,
{
    connect_on_with(spawn, builder, Plain)
}

/// The same, with connections made by `connector`.
///
/// # Errors
/// As [`Builder::build`].
pub fn connect_on_with<S, C>(spawn: S, builder: Builder, connector: C) -> Result<Client, Error>
where
    S: Fn(ConnectionTask) + Clone + Send + 'static,
    C: Connector,
{
    let (client, driver) = builder.build()?;
    let connections = spawn.clone();
    spawn(Box::pin(drive_client(driver, connections, connector)));
    Ok(client)
}

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
            let stream = Async::<UnixStream>::connect(&*server.address).await;
            return Ok(Box::new(stream.map_err(|error| connect_failure(&error))?));
        }
        let mut failure = ConnectFailure::NoAddress;
        for address in addresses(server).await.map_err(|_| failure)? {
            match Async::<TcpStream>::connect(address).await {
                Ok(stream) => {
                    // Small requests are not to wait for each other: the client gathers them itself.
                    let _ = stream.get_ref().set_nodelay(true);
                    return Ok(Box::new(stream));
                }
                Err(error) => failure = connect_failure(&error),
            }
        }
        Err(failure)
    }
}

async fn addresses(server: &Server) -> io::Result<Vec<SocketAddr>> {
    // Numbers need not wait for a thread that looks names up.
    if let Ok(address) = server.address.parse() {
        return Ok(vec![address]);
    }
    let address = server.address.clone();
    // A name server may take its time.
    blocking::unblock(move || Ok(address.to_socket_addrs()?.collect())).await
}

/// Does what the client wants done, until its last handle is gone.
async fn drive_client<C: Connector>(driver: Driver, spawn: impl Fn(ConnectionTask), connector: C) {
    loop {
        let step = poll_fn(|cx| Poll::Ready(driver.next(cx.waker()))).await;
        match step {
            Step::Connect { connection, server } => {
                let driver = driver.for_connection();
                let connector = connector.clone();
                spawn(Box::pin(async move {
                    run(&driver, &connector, connection, &server).await;
                }));
            }
            Step::Wait(time) => {
                let mut timer = Timer::after(time);
                let mut is_first = true;
                // Woken by whichever comes first.
                poll_fn(|cx| {
                    let fired = Pin::new(&mut timer).poll(cx).is_ready();
                    if std::mem::take(&mut is_first) && !fired {
                        Poll::Pending
                    } else {
                        Poll::Ready(())
                    }
                })
                .await;
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
        // Taken, not borrowed: a stream may itself be driven from within this read.
        let mut scratch = SCRATCH.take();
        scratch.resize(READ, 0);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut scratch);
        if let Poll::Ready(Ok(n)) = read {
            into.extend_from_slice(scratch.get(..n).unwrap_or_default());
        }
        SCRATCH.set(scratch);
        read
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
