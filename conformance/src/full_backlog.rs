//! A port that answers no SYN.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// A port whose queue of connections is full: connecting to it hangs, as to a host that drops what
/// comes.
#[derive(Debug)]
pub struct FullBacklog {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullBacklog {
    /// Listens on a free port, and fills its queue until no connection is made any more.
    #[track_caller]
    pub fn new() -> Self {
        let any = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
        let socket =
            socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket can be made");
        bind(&socket, &any).expect("a free port can be bound");
        listen(&socket, 0).expect("a socket can listen");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("a listener has an address");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(stream);
            assert!(waiting.len() < 1000, "expected a full queue after a few connections");
        }
        Self { address, _listener: listener, _waiting: waiting }
    }

    /// Where nobody gets in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Default for FullBacklog {
    fn default() -> Self {
        Self::new()
    }
}
