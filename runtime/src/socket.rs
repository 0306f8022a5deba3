//! A stream that is a TCP connection or a Unix socket.

use crate::PollStream;
use crate::stream::poll_whichever;

/// One of two streams, the same to what drives it: for runtimes in which a TCP connection and a Unix
/// socket are two types. Where there are no Unix sockets, the second one is left out.
///
/// ```
/// use windhover_runtime::{Socket, StdSocket};
///
/// fn kind(socket: &StdSocket) -> &'static str {
///     match socket {
///         Socket::Tcp(_) => "TCP",
///         Socket::Unix(_) => "Unix",
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Socket<T, U = T> {
    /// A TCP connection.
    Tcp(T),
    /// A Unix socket.
    Unix(U),
}

impl<T: PollStream, U: PollStream> PollStream for Socket<T, U> {
    poll_whichever!(Tcp, Unix);
}
