//! An adapter of threads and blocking sockets, from the standard library alone.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{self, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak, atomic::AtomicBool, atomic::Ordering::Acquire, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Builder};
use std::time::{Duration, Instant as StdInstant, SystemTime};

use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::{Instant, Now, UnixTime};

/// Between two looks at whether there is room for a connection, or descriptors again.
const PAUSE: Duration = Duration::from_millis(10);

fn now(epoch: StdInstant) -> Now {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let unix = UnixTime::from_millis(u64::try_from(since_1970).unwrap_or(u64::MAX));
    Now { instant: Instant::from_epoch(epoch.elapsed()), unix }
}

/// What a connection's thread waits for, beside the time.
enum Event {
    Read(io::Result<Vec<u8>>),
    Woken,
    ShutDown,
}

struct Bell(mpsc::Sender<Event>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(Event::Woken);
    }
}

/// What a thread of its own does, for nothing wakes one out of a read: it reads when it is `asked`.
fn read(mut stream: &TcpStream, asked: &mpsc::Receiver<()>, events: &mpsc::Sender<Event>) {
    let mut block = [0; 16 * 1024];
    for () in asked {
        let read = stream.read(&mut block).map(|n| block[..n].to_vec());
        let _ = events.send(Event::Read(read));
    }
}

/// Writes what waits; 0 when the socket takes nothing now.
fn write(mut stream: &TcpStream, endpoint: &impl Endpoint) -> io::Result<usize> {
    let mut slices = [&b""[..]; 16];
    let filled = endpoint.unsent(&mut slices);
    match stream.write_vectored(&slices.map(IoSlice::new)[..filled]) {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        wrote => wrote,
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    events: mpsc::Receiver<Event>,
    waker: Waker,
    ask: mpsc::Sender<()>,
}

impl Connection {
    fn drive(&self, mut endpoint: impl Endpoint, epoch: StdInstant) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        // How long a peer that takes nothing keeps the thread from all else.
        self.stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        let (mut is_full, mut may_ask) = (false, true);
        loop {
            let now = now(epoch);
            let mut timeout = Duration::ZERO;
            match endpoint.poll_output(now, &mut Context::from_waker(&self.waker)) {
                Next::Idle(until) if !is_full => {
                    endpoint.release();
                    timeout = until.saturating_since(now.instant);
                }
                Next::Write | Next::Idle(_) => {
                    let wrote = write(&self.stream, &endpoint)?;
                    endpoint.wrote(wrote);
                    is_full = wrote == 0;
                }
                Next::CloseWrite => self.stream.shutdown(net::Shutdown::Write)?,
                Next::Close => return Ok(()),
            }
            if may_ask && endpoint.wants_read() {
                self.ask.send(()).map_err(|_| ErrorKind::OutOfMemory)?;
                may_ask = false;
            }
            match self.events.recv_timeout(timeout) {
                Ok(Event::Read(bytes)) => match bytes? {
                    bytes if bytes.is_empty() => endpoint.end_of_stream(),
                    bytes => {
                        endpoint.read_buffer().extend_from_slice(&bytes);
                        may_ask = true;
                    }
                },
                Ok(Event::ShutDown) => endpoint.shut_down(),
                Ok(Event::Woken) | Err(_) => {}
            }
        }
    }
}

impl Drop for Connection {
    /// Also when the endpoint panics. The reading thread ends with it.
    fn drop(&mut self) {
        let _ = self.stream.shutdown(net::Shutdown::Both);
    }
}

/// Serves at most `most` connections at a time, until `is_stopping` is set and one more has come.
/// Those open then have until `timeout` is over; says how many had to be cut.
pub(crate) fn serve<E: Endpoint>(
    listener: &TcpListener,
    accept: impl Fn(SocketAddr, Now) -> E + Clone + Send + 'static,
    most: usize,
    is_stopping: &AtomicBool,
    timeout: Duration,
) -> usize {
    let (epoch, mut open) = (StdInstant::now(), Vec::<(Weak<TcpStream>, _)>::new());
    while !is_stopping.load(Acquire) {
        open.retain(|(stream, _)| stream.strong_count() > 0);
        let Some(Ok((stream, peer))) = (open.len() < most).then(|| listener.accept()) else {
            thread::sleep(PAUSE);
            continue;
        };
        let ((sender, events), (ask, asked)) = (mpsc::channel(), mpsc::channel());
        let (accept, waker) = (accept.clone(), Arc::new(Bell(sender.clone())).into());
        let connection = Connection { stream: Arc::new(stream), events, waker, ask };
        open.push((Arc::downgrade(&connection.stream), sender.clone()));
        let stream = Arc::clone(&connection.stream);
        // A thread that cannot be had drops its end of the channel, and so ends the connection.
        let _ = Builder::new().spawn(move || read(&stream, &asked, &sender));
        let _ = Builder::new().spawn(move || connection.drive(accept(peer, now(epoch)), epoch));
    }
    for (_, events) in &open {
        let _ = events.send(Event::ShutDown);
    }
    let until = StdInstant::now() + timeout;
    while !open.is_empty() && StdInstant::now() < until {
        thread::sleep(PAUSE);
        open.retain(|(stream, _)| stream.strong_count() > 0);
    }
    for stream in open.iter().filter_map(|(stream, _)| stream.upgrade()) {
        let _ = stream.shutdown(net::Shutdown::Both);
    }
    open.len()
}
