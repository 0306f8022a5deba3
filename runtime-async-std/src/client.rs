//! Sockets and timers for `windhover-client`.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_io::{Async, Timer};
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use windhover_client::core::client::{ConnectFailure, ConnectionId, Server};
use windhover_client::{Builder, Client, Driver, Error, Step, connect_failure};

use crate::ConnectionTask;

/// Most reads and writes before other tasks have their turn.
const TURNS: usize = 32;
/// Most bytes of one read.
const READ: usize = 64 * 1024;

thread_local! {
    /// What reads go to before the client takes them: `futures-io` reads into initialised slices
    /// alone.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Makes a client and drives it in tasks that `spawn` starts, until its last handle is gone:
/// `|task| smol::spawn(task).detach()`, say.
///
/// # Errors
/// As [`Builder::build`].
pub fn connect_on<S>(spawn: S, builder: Builder) -> Result<Client, Error>
where
    S: Fn(ConnectionTask) + Clone + Send + 'static,
{
    let (client, driver) = builder.build()?;
    let connections = spawn.clone();
    spawn(Box::pin(drive_client(driver, connections)));
    Ok(client)
}

/// Does what the client wants done, until its last handle is gone.
async fn drive_client(driver: Driver, spawn: impl Fn(ConnectionTask)) {
    loop {
        let step = poll_fn(|cx| Poll::Ready(driver.next(cx.waker()))).await;
        match step {
            Step::Connect { connection, server } => {
                let driver = driver.for_connection();
                spawn(Box::pin(async move { run(&driver, connection, &server).await }));
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
async fn run(driver: &Driver, connection: ConnectionId, server: &Server) {
    if let Some(mut stream) = driver.make(connection, open(server)).await {
        poll_fn(|cx| poll_stream(driver, connection, &mut stream, cx)).await;
    }
}

/// TCP, and Unix sockets for addresses with a `/` in them.
async fn open(server: &Server) -> Result<Box<dyn Stream>, ConnectFailure> {
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

async fn addresses(server: &Server) -> io::Result<Vec<SocketAddr>> {
    // Numbers need not wait for a thread that looks names up.
    if let Ok(address) = server.address.parse() {
        return Ok(vec![address]);
    }
    let address = server.address.clone();
    // A name server may take its time.
    blocking::unblock(move || Ok(address.to_socket_addrs()?.collect())).await
}

fn poll_stream(
    driver: &Driver,
    connection: ConnectionId,
    stream: &mut Box<dyn Stream>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    for _ in 0..TURNS {
        let turn = driver.turn(connection, cx.waker());
        if turn.is_closed {
            return Poll::Ready(());
        }
        let mut moved = false;
        if turn.wants_write {
            let wrote = driver.write(connection, |slices| match slices {
                [slice] => Pin::new(&mut *stream).poll_write(cx, slice),
                slices => Pin::new(&mut *stream).poll_write_vectored(cx, slices),
            });
            moved |= wrote.is_ready();
        }
        moved |= driver.read(connection, |buffer| poll_read(stream, buffer, cx)).is_ready();
        if !moved {
            return Poll::Pending;
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn poll_read(
    stream: &mut Box<dyn Stream>,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // Taken, not borrowed: a stream may itself be driven from within this read.
    let mut scratch = SCRATCH.take();
    scratch.resize(READ, 0);
    let read = Pin::new(stream).poll_read(cx, &mut scratch);
    if let Poll::Ready(Ok(n)) = read {
        buffer.extend_from_slice(scratch.get(..n).unwrap_or_default());
    }
    SCRATCH.set(scratch);
    Poll::Ready(Ok(ready!(read)?))
}
