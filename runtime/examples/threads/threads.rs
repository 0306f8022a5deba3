//! An adapter for a runtime that is none: threads of the standard library, and sockets that block. It
//! serves, and it drives a client.
//!
//! Each task has a thread. What blocks (a read, an accept, a connect, a name) is done by another one, so
//! that the task's own can wait for it, for a waker and for a deadline at the same time.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use std::{future::poll_fn, thread};

use bytes::BytesMut;
use windhover_client::{Builder, Client, Connect, Error};
use windhover_core::{Now, endpoint::Endpoint};
use windhover_runtime::{
    AsSocket, Clock, ConnectionEnd, Listener, Listeners, Peer, PollStream, Runtime, ServeOptions,
    ServeReport, Shutdown, StdListener, StdSocket, TcpOptions, Timers, close_write,
};

/// The runtime: tasks and timers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads;

impl Runtime for Threads {
    type Timers = Self;

    fn timers(&self) -> Self {
        *self
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // A thread that cannot be had drops the task, which closes its connection.
        let _ = thread::Builder::new().spawn(|| block_on(task));
    }
}

thread_local! {
    /// When the thread's task wants to be polled, whatever else comes.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Waits for a task, on the thread that calls it.
pub(crate) fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        bell.wait(DEADLINE.get());
        DEADLINE.set(DEADLINE.get().filter(|at| *at > Instant::now()));
    }
}

/// What a task's waker rings.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    /// Waits until it rings, or `until` has come.
    fn wait(&self, until: Option<Instant>) {
        let time = until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        let rung = self.1.wait_timeout_while(lock(&self.0), time, |rung| !*rung);
        *rung.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *lock(&self.0) = true;
        self.1.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ready at an instant.
pub(crate) struct Sleep(Instant);

/// Has the thread's task polled at `at` or before.
fn poll_at(at: Instant) {
    DEADLINE.set(Some(DEADLINE.get().map_or(at, |earlier| earlier.min(at))));
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 <= Instant::now() {
            return Poll::Ready(());
        }
        poll_at(self.0);
        Poll::Pending
    }
}

impl Timers for Threads {
    type Sleep = Sleep;

    fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep(at)
    }

    fn reset(&self, sleep: Pin<&mut Sleep>, at: Instant) {
        sleep.get_mut().0 = at;
    }
}

/// A thread that does what blocks, once for each time that it is asked.
struct Blocking<T> {
    ask: Sender<()>,
    is_asked: bool,
    done: Arc<Mutex<Done<T>>>,
}

/// What came of it, and who waits for that.
struct Done<T>(Option<io::Result<T>>, Option<Waker>);

impl<T: Send + 'static> Blocking<T> {
    fn new(mut does: impl FnMut() -> io::Result<T> + Send + 'static) -> io::Result<Self> {
        let (ask, asked) = channel();
        let done = Arc::new(Mutex::new(Done(None, None)));
        let tells = Arc::clone(&done);
        thread::Builder::new().spawn(move || {
            for () in asked {
                let result = does();
                let mut done = lock(&tells);
                done.0 = Some(result);
                let waker = done.1.take();
                drop(done);
                waker.into_iter().for_each(Waker::wake);
            }
        })?;
        Ok(Self { ask, is_asked: false, done })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut done = lock(&self.done);
        if let Some(result) = done.0.take() {
            self.is_asked = false;
            return Poll::Ready(result);
        }
        done.1 = Some(cx.waker().clone());
        if !self.is_asked {
            self.is_asked = true;
            self.ask.send(()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Poll::Pending
    }
}

/// What blocks, as a future.
async fn unblock<T: Send + 'static>(
    does: impl FnMut() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let mut blocking = Blocking::new(does)?;
    poll_fn(|cx| blocking.poll(cx)).await
}

/// A socket that blocks, as a stream that is polled.
pub(crate) struct Stream<S: AsSocket> {
    socket: Arc<S>,
    reads: Blocking<Vec<u8>>,
}

/// So long a thread is blocked by a write; then it sees what else there is, and tries again.
const WRITE_TIMEOUT: Duration = Duration::from_millis(10);

impl<S: AsSocket + Send + Sync + 'static> Stream<S>
where
    for<'a> &'a S: Read,
{
    fn new(socket: S) -> io::Result<Self> {
        socket2::SockRef::from(&socket).set_write_timeout(Some(WRITE_TIMEOUT))?;
        let socket = Arc::new(socket);
        let (reads, mut block) = (Arc::clone(&socket), vec![0; 8192]);
        let read = move || (&*reads).read(&mut block).map(|n| block[..n].to_vec());
        Ok(Self { socket, reads: Blocking::new(read)? })
    }
}

impl<S: AsSocket> Drop for Stream<S> {
    fn drop(&mut self) {
        // Gets the other thread out of its read.
        let _ = socket2::SockRef::from(&*self.socket).shutdown(net::Shutdown::Both);
    }
}

impl<S: AsSocket> PollStream for Stream<S>
where
    for<'a> &'a S: Write,
{
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.reads.poll(cx).map_ok(|bytes| {
            buffer().extend_from_slice(&bytes);
            bytes.len()
        })
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (&*self.socket).write_vectored(out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_at(Instant::now() + WRITE_TIMEOUT);
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(close_write(&*self.socket))
    }
}

/// A TCP connection or a Unix socket.
pub(crate) type Socket = windhover_runtime::Socket<Stream<TcpStream>, Stream<UnixStream>>;

fn polled(socket: StdSocket) -> io::Result<Socket> {
    Ok(match socket {
        StdSocket::Tcp(stream) => Socket::Tcp(Stream::new(stream)?),
        StdSocket::Unix(stream) => Socket::Unix(Stream::new(stream)?),
    })
}

/// A listener that blocks.
struct Listening {
    listener: Arc<StdListener>,
    accepts: Blocking<(StdSocket, Peer)>,
}

impl Listening {
    fn new(listener: StdListener) -> io::Result<Self> {
        socket2::SockRef::from(&listener).set_nonblocking(false)?;
        let listener = Arc::new(listener);
        let accepting = Arc::clone(&listener);
        let accept = move || accepting.accept(&TcpOptions::default());
        Ok(Self { listener, accepts: Blocking::new(accept)? })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Gets the other thread out of its accept: where a listener cannot be shut down, by a
        // connection to itself.
        let is_over = socket2::SockRef::from(&*self.listener).shutdown(net::Shutdown::Both);
        if let (Err(_), StdListener::Tcp(listener)) = (is_over, &*self.listener) {
            let _ = listener.local_addr().and_then(TcpStream::connect);
        }
    }
}

impl Listener for Listening {
    type Stream = Socket;

    async fn accept(&mut self, tcp: &TcpOptions) -> io::Result<(Socket, Peer)> {
        let (socket, peer) = poll_fn(|cx| self.accepts.poll(cx)).await?;
        if let StdSocket::Tcp(stream) = &socket {
            tcp.apply(stream);
        }
        Ok((polled(socket)?, peer))
    }
}

/// Serves what `listeners` accept, on the thread that calls it and one for each connection, until
/// `shutdown` is triggered; as [`windhover_runtime::serve`].
pub(crate) fn serve<E, F>(
    listeners: impl IntoIterator<Item = StdListener>,
    accept: F,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    let listeners: io::Result<Vec<_>> = listeners.into_iter().map(Listening::new).collect();
    let listeners = Listeners::new(listeners?);
    let serve = windhover_runtime::serve(Threads, listeners, accept, options, shutdown.clone());
    Ok(block_on(serve))
}

/// Drives `endpoint` over one `stream`, on the thread that calls it; as [`windhover_runtime::drive`].
#[cfg_attr(not(test), expect(dead_code, reason = "the program only serves"))]
pub(crate) fn drive(
    stream: StdSocket,
    endpoint: impl Endpoint,
    drain: &Shutdown,
    cut: &Shutdown,
) -> io::Result<ConnectionEnd> {
    let stream = polled(stream)?;
    Ok(block_on(windhover_runtime::drive(Threads, stream, endpoint, Clock::new(), drain, cut)))
}

impl Connect for Threads {
    type Stream = Socket;

    async fn tcp(&self, address: SocketAddr) -> io::Result<Socket> {
        let stream = unblock(move || TcpStream::connect(address)).await?;
        TcpOptions::default().apply(&stream);
        polled(StdSocket::Tcp(stream))
    }

    async fn unix(&self, path: &Path) -> io::Result<Socket> {
        let path = path.to_owned();
        polled(StdSocket::Unix(unblock(move || UnixStream::connect(&path)).await?))
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let name = name.to_owned();
        unblock(move || Ok(name.to_socket_addrs()?.collect())).await
    }
}

/// Makes a client, and drives it on threads of its own until its last handle is gone.
pub(crate) fn connect(builder: Builder) -> Result<Client, Error> {
    builder.connect_on(Threads, Threads)
}
