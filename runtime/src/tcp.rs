//! Options of sockets that the standard library does not set.

use std::io;
use std::net::Shutdown;
/// What can be asked for the socket of the operating system that it is: `AsFd` on Unix.
#[cfg(unix)]
pub use std::os::fd::AsFd as AsSocket;
/// What can be asked for the socket of the operating system that it is.
#[cfg(windows)]
pub use std::os::windows::io::AsSocket;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Between the questions to a peer that does not answer, and how many there are.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// How a TCP connection is set up, on either side.
///
/// ```
/// use std::time::Duration;
/// use windhover_runtime::{ServeOptions, TcpOptions, listen};
///
/// let tcp: TcpOptions = ServeOptions::default().tcp();
/// assert_eq!(tcp.keepalive, Some(Duration::from_secs(60)));
/// let listener = listen("127.0.0.1:0".parse().expect("an address"))?;
/// tcp.apply(&std::net::TcpStream::connect(listener.local_addr()?)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// After this long without a byte, the peer is asked whether it is still there: every ten
    /// seconds, three times. `None` never asks.
    pub keepalive: Option<Duration>,
}

impl TcpOptions {
    /// Sets a connection up.
    ///
    /// What is sent leaves at once, always: connections gather small answers and requests
    /// themselves, so that waiting to fill a packet only delays them. A failure means that the peer
    /// is gone, which the first read will tell.
    pub fn apply(&self, socket: &impl AsSocket) {
        let socket = SockRef::from(socket);
        let _ = socket.set_tcp_nodelay(true);
        if let Some(after) = self.keepalive {
            let keepalive = TcpKeepalive::new()
                .with_time(after)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(KEEPALIVE_RETRIES);
            let _ = socket.set_tcp_keepalive(&keepalive);
        }
    }
}

/// Ends what the peer of a socket reads, and leaves the other direction open. It never waits.
///
/// ```
/// use std::io::{Read as _, Write as _};
/// use std::net::{TcpListener, TcpStream};
/// use windhover_runtime::close_write;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (mut server, _) = listener.accept()?;
/// client.write_all(b"get k\r\n")?;
/// close_write(&client)?;
/// let mut request = String::new();
/// server.read_to_string(&mut request)?;
/// assert_eq!(request, "get k\r\n");
/// // The other direction is open.
/// server.write_all(b"END\r\n")?;
/// client.read_exact(&mut [0; 5])?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Those of the operating system; the connection is gone then.
pub fn close_write(socket: &impl AsSocket) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Write)
}
