//! How a client is made.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use windhover_core::client::{Cluster, ClusterError, ClusterOptions, Credentials, Server};

use crate::address::read_servers;
use crate::compression::{Compression, CompressionFlags, Packing};
use crate::hub::{Driver, Handle, Hub};
use crate::{Client, Error, ErrorKind, IntoBytes, MetaCommands};

/// Something an operator wants to know of.
///
/// ```
/// use windhover_client::{Client, Event, Server};
///
/// let builder = Client::builder().server("10.0.0.1:11211").on_event(|event| match event {
///     Event::Ejected(server) => eprintln!("{} does not answer", server.address),
///     event => eprintln!("{event}"),
/// });
/// # drop(builder);
/// let back = Event::Restored(Server::new("10.0.0.1:11211"));
/// assert_eq!(back.to_string(), "server 10.0.0.1:11211 is in use again");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server was taken out of use after failures.
    Ejected(Server),
    /// The server was out of use, has answered, and is in use again.
    Restored(Server),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ejected(server) => {
                write!(f, "server {} is out of use after failures", server.name)
            }
            Self::Restored(server) => write!(f, "server {} is in use again", server.name),
        }
    }
}

/// What is told of events; it must not block, and may be called from any thread.
pub type EventHook = Arc<dyn Fn(&Event) + Send + Sync>;

/// Makes a [`Client`] and its [`Driver`].
///
/// ```
/// use std::time::Duration;
/// use windhover_client::Client;
///
/// let (client, driver) = Client::builder()
///     .server("10.0.0.1:11211")
///     .server("10.0.0.2:11211")
///     .timeout(Duration::from_millis(250))
///     .build()?;
/// # drop((client, driver));
/// # Ok::<(), windhover_client::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Builder {
    servers: Vec<Server>,
    options: ClusterOptions,
    timeout: Duration,
    packing: Packing,
    prefix: Bytes,
    meta: MetaCommands,
    on_event: Option<EventHook>,
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
}

impl Builder {
    pub(crate) fn new(options: ClusterOptions) -> Self {
        Self {
            servers: Vec::new(),
            options,
            timeout: Duration::from_secs(1),
            packing: Packing::default(),
            prefix: Bytes::new(),
            meta: MetaCommands::default(),
            on_event: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Adds a server: `HOST:PORT` (`[IPV6]:PORT`), without a port on the protocol's own; or the path of a
    /// Unix socket, as `unix:PATH` or with a `/` in it ([`server_address`](crate::server_address)).
    pub fn server(mut self, address: &str) -> Self {
        self.servers.push(Server::new(address));
        self
    }

    /// Adds servers with names and weights of their own.
    pub fn servers(mut self, servers: impl IntoIterator<Item = Server>) -> Self {
        self.servers.extend(servers);
        self
    }

    /// Who the client is, to servers that ask for it (memcached's ASCII authentication): sent first on
    /// every connection, and nothing else before it is accepted. Without [TLS](Self::tls) it is sent in the
    /// clear.
    pub fn credentials(mut self, user: impl IntoBytes, password: impl IntoBytes) -> Self {
        let (user, password) = (user.into_bytes(), password.into_bytes());
        self.options.credentials = Some(Credentials { user, password });
        self
    }

    /// What every key begins with on the server, so that applications can share it: the caches' methods
    /// put it before the keys that they are given, and errors name the whole. It counts towards the bound on
    /// keys, and decides about the server with them. Names of queues, binary keys of meta commands (with the
    /// flag `b`), and requests of [`Client::call`] and [`Client::forward`] stay as they are.
    pub fn key_prefix(mut self, prefix: impl IntoBytes) -> Self {
        self.prefix = prefix.into_bytes();
        self
    }

    /// How long a call may take, all attempts together: one second, unless said otherwise
    /// ([`Client::with_timeout`] says it for some calls).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Changes what else there is to choose.
    ///
    /// ```
    /// use windhover_client::Client;
    /// use windhover_core::client::ServerSelection;
    ///
    /// let builder = Client::builder().options(|options| {
    ///     options.selection = ServerSelection::Rendezvous;
    ///     options.connections = 2;
    /// });
    /// # drop(builder);
    /// ```
    pub fn options(mut self, change: impl FnOnce(&mut ClusterOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// How large values are compressed, and whether flags mean that a value that is read is. Neither,
    /// unless said otherwise: flags are the application's. ([`Client::with_raw_values`] does neither for some
    /// calls.)
    pub fn compression(mut self, compression: Compression) -> Self {
        self.packing.compression = compression;
        self
    }

    /// Which flags mean compression, where that is asked for.
    pub fn compression_flags(mut self, flags: CompressionFlags) -> Self {
        self.packing.flags = flags;
        self
    }

    /// How many bytes a value may have before it is compressed and once it is decompressed: 256 MiB,
    /// unless said otherwise. A small value can stand for a huge one; and what could not be read again
    /// is not stored.
    pub fn largest_decompressed(mut self, bytes: usize) -> Self {
        self.packing.largest = bytes;
        self
    }

    /// Whether many keys at a time are written with meta commands: to servers that know them, unless said
    /// otherwise.
    pub fn meta(mut self, meta: MetaCommands) -> Self {
        self.meta = meta;
        self
    }

    /// Is told when servers go out of use and come back.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(hook));
        self
    }

    /// Has every connection speak TLS, whatever the adapter makes it of. Nothing is sent before it
    /// is agreed upon, for which there is
    /// [`connect_timeout`](ClusterOptions::connect_timeout), the making of the connection included.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Makes the client, and the driver that an adapter has to run.
    ///
    /// # Errors
    /// [`ErrorKind::NoServer`] without any, [`ErrorKind::Address`] for an address that cannot be understood,
    /// [`ErrorKind::Cluster`] for servers or credentials that cannot be used, [`ErrorKind::Random`] where
    /// the operating system gives no seed.
    pub fn build(self) -> Result<(Client, Driver), Error> {
        let seed = getrandom::u64().map_err(Error::random)?;
        let epoch = Instant::now();
        let now = windhover_core::Instant::from_epoch(epoch.elapsed());
        if self.servers.is_empty() {
            return Err(ErrorKind::NoServer.into());
        }
        let servers = read_servers(&self.servers, self.options.dialect)?;
        let cluster = Cluster::new(&servers, self.options, seed, now)
            .map_err(|error: ClusterError| ErrorKind::Cluster(error))?;
        let hub = Hub::new(
            cluster,
            self.meta,
            epoch,
            self.on_event,
            #[cfg(feature = "tls")]
            self.tls,
        );
        let client =
            Client::new(Handle::new(Arc::clone(&hub)), self.timeout, self.packing, self.prefix);
        Ok((client, Driver::new(hub)))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("servers", &self.servers).finish_non_exhaustive()
    }
}
