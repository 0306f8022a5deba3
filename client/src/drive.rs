//! The loop that does what a driver asks for, with the sockets and timers of a runtime.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use windhover_core::client::{ConnectFailure, Server};
use windhover_runtime::{PollStream, Runtime, Timers};

use crate::{Builder, Client, ConnectError, Driver, DriverStep, Error};

/// Makes a client's connections.
///
/// One that counts the connections of another:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use windhover_client::{ConnectError, Connector, Server};
///
/// #[derive(Clone)]
/// struct Counting<C> {
///     inner: C,
///     made: Arc<AtomicU64>,
/// }
///
/// impl<C: Connector> Connector for Counting<C> {
///     type Stream = C::Stream;
///
///     async fn connect(&self, server: &Server) -> Result<Self::Stream, ConnectError> {
///         let stream = self.inner.connect(server).await?;
///         self.made.fetch_add(1, Ordering::Relaxed);
///         Ok(stream)
///     }
/// }
/// ```
pub trait Connector: Clone + Send + Sync + 'static {
    /// What it connects with.
    type Stream: PollStream + Send + 'static;

    /// Connects to a server. How long that may take is the client's business: what is returned is
    /// dropped when it has waited for long enough.
    fn connect(
        &self,
        server: &Server,
    ) -> impl Future<Output = Result<Self::Stream, ConnectError>> + Send;
}

/// Does what the client wants done, until its last handle is gone: makes connections with
/// `connector`, each in a task of `runtime`'s. To be a task of its own.
///
/// [`Builder::connect_on`] starts this; it is here for those who start it themselves. A driver that is
/// dropped before its end ends every call with an error.
///
/// ```
/// use windhover_client::{Client, Connector, Error, drive_client};
/// use windhover_runtime::Runtime;
///
/// fn connect(
///     runtime: impl Runtime + Clone + Send + 'static,
///     connector: impl Connector,
/// ) -> Result<Client, Error> {
///     let (client, driver) = Client::builder().server("10.0.0.1:11211").build()?;
///     runtime.clone().spawn(drive_client(driver, runtime, connector));
///     Ok(client)
/// }
/// ```
pub async fn drive_client<C: Connector>(driver: Driver, runtime: impl Runtime, connector: C) {
    let timers = runtime.timers();
    let mut sleep = pin!(None);
    loop {
        let step = poll_fn(|cx| Poll::Ready(driver.next(cx.waker()))).await;
        match step {
            DriverStep::Connect { connection, server } => {
                let (driver, connector) = (driver.for_connection(), connector.clone());
                runtime.spawn(async move {
                    let connecting = connector.connect(&server);
                    if let Some(stream) = driver.make(connection, connecting).await {
                        driver.run(connection, stream).await;
                    }
                });
            }
            DriverStep::Wait(time) => {
                if let Some(at) = Instant::now().checked_add(time) {
                    match sleep.as_mut().as_pin_mut() {
                        Some(sleep) => timers.reset(sleep, at),
                        None => sleep.set(Some(timers.sleep_until(at))),
                    }
                }
                // The driver's waker is this task's: woken by whichever comes first.
                let mut is_first = true;
                poll_fn(|cx| {
                    let is_over = match sleep.as_mut().as_pin_mut() {
                        Some(sleep) => sleep.poll(cx).is_ready(),
                        None => false,
                    };
                    if std::mem::take(&mut is_first) && !is_over {
                        Poll::Pending
                    } else {
                        Poll::Ready(())
                    }
                })
                .await;
            }
            DriverStep::Closed => return,
        }
    }
}

impl Builder {
    /// Makes a client and drives it on `runtime`, in tasks of its own, until its last handle is gone.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn connect_on<R>(self, runtime: R, connector: impl Connector) -> Result<Client, Error>
    where
        R: Runtime + Clone + Send + 'static,
    {
        let (client, driver) = self.build()?;
        runtime.clone().spawn(drive_client(driver, runtime, connector));
        Ok(client)
    }
}

/// How a runtime connects and looks up names: what has it is a [`Connector`], over TCP, and over Unix
/// sockets for addresses with a `/` in them.
///
/// One that finds names in a table of its own before it asks the other's name service:
///
/// ```
/// use std::collections::HashMap;
/// use std::io;
/// use std::net::SocketAddr;
/// # #[cfg(unix)]
/// use std::path::Path;
/// use std::sync::Arc;
/// use windhover_client::Connect;
///
/// #[derive(Clone)]
/// struct WithTable<C> {
///     inner: C,
///     table: Arc<HashMap<String, Vec<SocketAddr>>>,
/// }
///
/// impl<C: Connect> Connect for WithTable<C> {
///     type Stream = C::Stream;
///
///     async fn tcp(&self, address: SocketAddr) -> io::Result<Self::Stream> {
///         self.inner.tcp(address).await
///     }
/// #   #[cfg(unix)]
///     async fn unix(&self, path: &Path) -> io::Result<Self::Stream> {
///         self.inner.unix(path).await
///     }
///     async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
///         match self.table.get(name) {
///             Some(addresses) => Ok(addresses.clone()),
///             None => self.inner.resolve(name).await,
///         }
///     }
/// }
/// ```
pub trait Connect: Clone + Send + Sync + 'static {
    /// A socket.
    type Stream: PollStream + Send + 'static;

    /// Makes a TCP connection, and sets it up: [`TcpOptions::apply`](windhover_runtime::TcpOptions).
    fn tcp(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Connects to the Unix socket at a path.
    #[cfg(unix)]
    fn unix(&self, path: &Path) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Looks up the addresses of a name and port, such as `cache.example:11211`, without blocking
    /// what else the thread does: a name server may take its time.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

impl<C: Connect> Connector for C {
    type Stream = C::Stream;

    async fn connect(&self, server: &Server) -> Result<Self::Stream, ConnectError> {
        let addresses = match Address::of(&server.address) {
            #[cfg(unix)]
            Address::Unix(path) => {
                return Ok(self.unix(path).await?);
            }
            Address::Tcp(address) => vec![address],
            Address::Name(name) => {
                let found = self.resolve(name).await;
                found.map_err(|error| ConnectError::new(ConnectFailure::NoAddress, error))?
            }
        };
        let mut failure = ConnectFailure::NoAddress.into();
        for address in addresses {
            match self.tcp(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }
}

/// What a server's address says, before any name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address<'a> {
    /// The path of a Unix socket: an address with a `/` in it.
    #[cfg(unix)]
    Unix(&'a Path),
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A name and a port, to be looked up.
    Name(&'a str),
}

impl<'a> Address<'a> {
    /// The address of `server`.
    ///
    /// ```
    /// use windhover_client::Address;
    ///
    /// assert_eq!(Address::of("cache.example:11211"), Address::Name("cache.example:11211"));
    /// assert_eq!(Address::of("[::1]:11211"), Address::Tcp("[::1]:11211".parse().unwrap()));
    /// ```
    pub fn of(address: &'a str) -> Self {
        #[cfg(unix)]
        if address.contains('/') {
            return Self::Unix(Path::new(address));
        }
        address.parse().map_or(Self::Name(address), Self::Tcp)
    }
}
