//! Sockets for an address that was asked for.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc;
#[cfg(unix)]
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use listenfd::ListenFd;
use windhover_runtime::{StdListener, listen_shared};

use super::{ListenAddress, ListenError};

/// How long a host name may take to be looked up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is listened on.
#[derive(Debug)]
pub(crate) struct Bound {
    /// As many for each address as there are event loops.
    pub(crate) listeners: Vec<StdListener>,
    pub(crate) place: Place,
}

/// Where a listener listens. The file of a Unix socket is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// One at least.
    addresses: Vec<BoundAddress>,
    is_tls: bool,
    #[cfg(unix)]
    _files: Vec<windhover_runtime::SocketFile>,
}

impl Place {
    /// The same, where TLS is spoken.
    pub(crate) fn with_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(crate) fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }
}

/// Where a socket listens, with the port that was free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BoundAddress {
    Tcp(SocketAddr),
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are none"))]
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Listens on `address`, for so many event loops.
pub(crate) fn bind(address: &ListenAddress, loops: usize) -> Result<Bound, ListenError> {
    let fault = |source| ListenError::Address { address: address.clone(), source };
    match address {
        ListenAddress::Ip(ip) => bind_all(&[*ip], loops).map_err(fault),
        ListenAddress::Name { host, port } => {
            bind_all(&look_up(host, *port).map_err(fault)?, loops).map_err(fault)
        }
        ListenAddress::Unix { path, mode } => bind_unix(path, *mode, loops).map_err(fault),
        ListenAddress::HandedOver { number } => handed_over(*number, loops).map_err(fault),
        // There is none such today.
        _ => Err(fault(io::ErrorKind::Unsupported.into())),
    }
}

/// Listens on all of them that this machine has.
fn bind_all(addresses: &[SocketAddr], loops: usize) -> io::Result<Bound> {
    let mut listeners = Vec::new();
    let mut bound: Vec<BoundAddress> = Vec::new();
    let mut port = None;
    let mut missing = None;
    for address in addresses {
        let mut address = *address;
        // A port that was free for the first one is taken for the others.
        address.set_port(port.unwrap_or(address.port()));
        match listen_shared(address, loops) {
            Ok(sockets) => {
                for socket in &sockets {
                    let found = socket.local_addr()?;
                    port = Some(found.port());
                    if !bound.contains(&BoundAddress::Tcp(found)) {
                        bound.push(BoundAddress::Tcp(found));
                    }
                }
                listeners.extend(sockets.into_iter().map(StdListener::from));
            }
            Err(error) if addresses.len() > 1 && is_not_here(&error) => {
                tracing::warn!(%address, %error, "this machine does not have that address of the host");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(Bound {
            listeners,
            place: Place {
                addresses: bound,
                is_tls: false,
                #[cfg(unix)]
                _files: Vec::new(),
            },
        }),
    }
}

/// Whether an address is refused for this machine has none such: a machine without IPv6 may still know
/// `localhost` as `::1`.
fn is_not_here(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::AddrNotAvailable
}

/// The addresses of a host, each once.
fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    // The operating system's own timeout may be minutes.
    thread::Builder::new().name("look-up".into()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
    })?;
    let found = receiver.recv_timeout(LOOKUP_TIMEOUT).map_err(|_| {
        let fault = format!("the name was not found within {} s", LOOKUP_TIMEOUT.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, fault)
    })??;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"));
    }
    Ok(addresses)
}

#[cfg(unix)]
fn bind_unix(path: &std::path::Path, mode: u32, loops: usize) -> io::Result<Bound> {
    let (listener, file) = windhover_runtime::listen_unix(path, mode)?;
    let listeners = for_each_loop(StdListener::from(listener), loops)?;
    let addresses = vec![BoundAddress::Unix(file.path().to_owned())];
    Ok(Bound { listeners, place: Place { addresses, is_tls: false, _files: vec![file] } })
}

#[cfg(not(unix))]
fn bind_unix(_: &std::path::Path, _: u32, _: usize) -> io::Result<Bound> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets on this system"))
}

/// One socket, as many times as there are loops: they take connections from one backlog.
#[cfg(unix)]
fn for_each_loop(first: StdListener, loops: usize) -> io::Result<Vec<StdListener>> {
    let mut listeners = Vec::with_capacity(loops);
    for _ in 1..loops {
        listeners.push(first.try_clone()?);
    }
    listeners.push(first);
    Ok(listeners)
}

/// The sockets that were handed over; each can be taken once.
#[cfg(unix)]
static HANDED_OVER: LazyLock<Mutex<ListenFd>> = LazyLock::new(|| Mutex::new(ListenFd::from_env()));

/// Notes which sockets were handed over. It takes them out of the environment, which is to be done while
/// there is one thread.
#[cfg(unix)]
pub(crate) fn note_handed_over() {
    LazyLock::force(&HANDED_OVER);
}

/// Nothing can be handed over here.
#[cfg(not(unix))]
pub(crate) fn note_handed_over() {}

/// A socket that was handed over (`LISTEN_FDS` and `LISTEN_PID`, as systemd and others do). It outlives
/// the process, and with it the connections that nobody has accepted yet.
#[cfg(unix)]
fn handed_over(number: usize, loops: usize) -> io::Result<Bound> {
    let mut all = HANDED_OVER.lock().unwrap_or_else(PoisonError::into_inner);
    let there = all.len();
    let nothing = || {
        let fault = format!(
            "no such socket was handed over, or it is used already: there were {there} (LISTEN_FDS), \
             counted from 0"
        );
        io::Error::new(io::ErrorKind::NotFound, fault)
    };
    if number >= there {
        return Err(nothing());
    }
    let (first, address) = if let Ok(found) = all.take_tcp_listener(number) {
        let listener = found.ok_or_else(nothing)?;
        listener.set_nonblocking(true)?;
        let address = BoundAddress::Tcp(listener.local_addr()?);
        (StdListener::from(listener), address)
    } else {
        let listener = all.take_unix_listener(number)?.ok_or_else(nothing)?;
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().map(PathBuf::from);
        (StdListener::from(listener), BoundAddress::Unix(path.unwrap_or_default()))
    };
    let place = Place { addresses: vec![address], is_tls: false, _files: Vec::new() };
    Ok(Bound { listeners: for_each_loop(first, loops)?, place })
}

#[cfg(not(unix))]
fn handed_over(_: usize, _: usize) -> io::Result<Bound> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "no sockets are handed over on this system"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use windhover_runtime::Report;

    use super::*;

    fn bound(given: &str, loops: usize) -> Result<Bound, ListenError> {
        bind(&ListenAddress::parse(given, 0).unwrap(), loops)
    }

    #[test]
    fn a_free_port_is_the_same_for_all_addresses_and_loops() {
        let addresses = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"].map(|a| a.parse().unwrap());
        let Ok(bound) = bind_all(&addresses, 2) else { panic!("they are free") };
        let ports: Vec<_> = bound
            .place
            .addresses()
            .iter()
            .map(|address| match address {
                BoundAddress::Tcp(address) => {
                    TcpStream::connect(address).unwrap();
                    address.port()
                }
                BoundAddress::Unix(_) => 0,
            })
            .collect();
        assert_eq!(ports.len(), 3);
        assert_eq!(ports, [ports[0]; 3]);
        assert_eq!(bound.listeners.len(), if cfg!(target_os = "linux") { 6 } else { 3 });
    }

    #[test]
    fn an_address_of_another_machine_is_left_out_beside_one_of_this() {
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        let here = "127.0.0.1:0".parse().unwrap();
        let bound = bind_all(&[elsewhere, here], 1).unwrap();
        assert_eq!(bound.place.addresses().len(), 1);
        assert!(bind_all(&[elsewhere, elsewhere], 1).is_err());
    }

    #[test]
    fn a_host_name_is_looked_up() {
        let bound = bound("localhost:0", 1).unwrap();
        assert!(
            matches!(bound.place.addresses(), [BoundAddress::Tcp(first), ..] if first.ip().is_loopback())
        );
    }

    #[test]
    fn a_socket_that_was_not_handed_over_is_said() {
        let error = Report::new(&bound("fd:0", 1).unwrap_err()).to_string();
        assert!(
            error.starts_with("cannot listen on fd:0: no such socket was handed over"),
            "{error}"
        );
    }

    #[test]
    fn a_name_of_no_host_is_said() {
        let error = Report::new(&bound("nobody.invalid:1", 1).unwrap_err()).to_string();
        assert!(error.starts_with("cannot listen on nobody.invalid:1: "), "{error}");
    }
}
