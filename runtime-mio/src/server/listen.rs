//! Listeners for several loops at one address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, for each listener.
const BACKLOG: i32 = 1024;

/// Listens on `address` for so many loops (one at least), each with a listener of its own; port 0
/// is a free one, the same for all.
///
/// On Linux, the operating system deals connections out among them (`SO_REUSEPORT`). The first one
/// is bound without that option, so that an address on which another process listens is refused,
/// also when that process is one like this. Elsewhere the option deals nothing out, or is missing:
/// there the listeners are one, and the loops race for its connections.
///
/// # Errors
///
/// What the operating system says when it refuses the address or a socket.
pub fn listen(address: SocketAddr, loops: usize) -> io::Result<Vec<TcpListener>> {
    let first = socket(address)?;
    first.bind(&address.into())?;
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

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Windows the option means something else: to take a port from another process.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn another(address: SocketAddr, _: &[TcpListener]) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(not(target_os = "linux"))]
fn another(_: SocketAddr, listeners: &[TcpListener]) -> io::Result<TcpListener> {
    listeners
        .first()
        .map_or_else(|| Err(io::ErrorKind::InvalidInput.into()), TcpListener::try_clone)
}
