//! Listeners with a backlog that is long enough for a crowd.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{Peer, TcpOptions};

/// Connections that wait to be accepted, for each listener; the standard library takes 128.
pub(crate) const BACKLOG: i32 = 1024;

/// A listening socket of the standard library's, for runtimes that have none of their own.
///
/// ```
/// use std::io;
/// use windhover_runtime::{StdListener, TcpOptions, listen};
///
/// let listener = StdListener::from(listen("127.0.0.1:0".parse().expect("an address"))?);
/// // For an event loop, which asks again when the listener is readable.
/// let nobody = listener.accept(&TcpOptions::default());
/// assert_eq!(nobody.err().map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub enum StdListener {
    /// At an address.
    Tcp(TcpListener),
    /// At a path.
    #[cfg(unix)]
    Unix(UnixListener),
}

/// What a [`StdListener`] accepts.
#[cfg(unix)]
pub type StdSocket = crate::Socket<TcpStream, UnixStream>;
/// What a [`StdListener`] accepts.
#[cfg(not(unix))]
pub type StdSocket = crate::Socket<TcpStream>;

impl StdListener {
    /// Accepts a connection, and sets it up as `tcp` says if it is a TCP connection.
    ///
    /// # Errors
    ///
    /// What the operating system says; where the listener does not block, that there is none.
    pub fn accept(&self, tcp: &TcpOptions) -> io::Result<(StdSocket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                tcp.apply(&stream);
                Ok((StdSocket::Tcp(stream), peer.into()))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((StdSocket::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl StdListener {
    /// Another handle to the same socket: event loops that have one each race for its connections.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            #[cfg(unix)]
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

impl From<TcpListener> for StdListener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

#[cfg(unix)]
impl From<UnixListener> for StdListener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

#[cfg(unix)]
impl AsFd for StdListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

#[cfg(windows)]
impl AsSocket for StdListener {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        let Self::Tcp(listener) = self;
        listener.as_socket()
    }
}

/// Listens on `address`; port 0 is a free one. The listener does not block.
///
/// ```
/// use std::net::TcpStream;
/// use windhover_runtime::listen;
///
/// let listener = listen("127.0.0.1:0".parse().expect("an address"))?;
/// let address = listener.local_addr()?;
/// assert!(TcpStream::connect(address).is_ok());
/// assert!(listen(address).is_err(), "it is taken");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What the operating system says when it refuses the address or the socket.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address, false)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Listens on `address` for so many event loops (one at least), each with a listener of its own;
/// port 0 is a free one, the same for all.
///
/// On Linux, the operating system deals connections out among them (`SO_REUSEPORT`). The first one
/// is bound without that option, so that an address on which another process listens is refused,
/// also when that process is one like this. Elsewhere the option deals nothing out, or is missing:
/// there the listeners are one, and the loops race for its connections.
///
/// ```
/// use windhover_runtime::listen_shared;
///
/// let listeners = listen_shared("127.0.0.1:0".parse().expect("an address"), 2)?;
/// assert_eq!(listeners.len(), 2);
/// assert_eq!(listeners[0].local_addr()?, listeners[1].local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What the operating system says when it refuses the address or a socket.
pub fn listen_shared(address: SocketAddr, loops: usize) -> io::Result<Vec<TcpListener>> {
    let first = bind(address, false)?;
    #[cfg(target_os = "linux")]
    first.set_reuse_port(true)?;
    first.listen(BACKLOG)?;
    let first = TcpListener::from(first);
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..loops {
        let next = another(address, &listeners)?;
        listeners.push(next);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, shares_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Windows the option means something else: to take a port from another process.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(shares_port)?;
    #[cfg(not(target_os = "linux"))]
    let _ = shares_port;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn another(address: SocketAddr, _: &[TcpListener]) -> io::Result<TcpListener> {
    let socket = bind(address, true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(not(target_os = "linux"))]
fn another(_: SocketAddr, listeners: &[TcpListener]) -> io::Result<TcpListener> {
    listeners
        .first()
        .map_or_else(|| Err(io::ErrorKind::InvalidInput.into()), TcpListener::try_clone)
}
