//! What only async-std has: its tasks, its listener, its threads.

use std::io;

use async_global_executor::GlobalExecutorConfig;
use async_std::task;
#[cfg(feature = "client")]
use windhover_client::{Builder, Client, Connector, Error};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{Peer, ServeOptions, ServeReport, Shutdown, StdListener, Task};

use crate::serve_on;
#[cfg(feature = "client")]
use crate::{connect_on, connect_on_with};

fn spawn(task: Task) {
    drop(task::spawn(task));
}

/// [`serve_on`] with async-std's tasks.
///
/// # Errors
///
/// Those of [`serve_on`].
pub async fn serve<E, F>(
    listeners: impl IntoIterator<Item = impl Into<StdListener>>,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    serve_on(spawn, listeners, accept, options, shutdown).await
}

/// [`connect_on`] with async-std's tasks.
///
/// ```
/// use std::time::Duration;
/// use windhover_async_std::{Client, connect};
///
/// #[async_std::main]
/// async fn main() -> Result<(), windhover_async_std::Error> {
///     let client = connect(Client::builder().server("127.0.0.1:1"))?;
///     // Nobody listens there: an error, not a miss.
///     assert!(client.with_timeout(Duration::from_millis(500)).get("greeting").await.is_err());
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// As [`Builder::build`](windhover_client::Builder::build).
#[cfg(feature = "client")]
pub fn connect(builder: Builder) -> Result<Client, Error> {
    connect_on(spawn, builder)
}

/// [`connect_on_with`] with async-std's tasks.
///
/// ```
/// use windhover_async_std::{
///     AsyncIo, Client, ConnectError, Connector, Error, Server, Socket, connect_with,
/// };
///
/// /// Says whom it connects to; [`AsyncIo`] does it.
/// #[derive(Clone)]
/// struct Told;
///
/// impl Connector for Told {
///     type Stream = Socket;
///
///     async fn connect(&self, server: &Server) -> Result<Socket, ConnectError> {
///         eprintln!("connecting to {}", server.name);
///         AsyncIo.connect(server).await
///     }
/// }
///
/// let client = connect_with(Client::builder().server("10.0.0.1:11211"), Told)?;
/// # drop(client);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
///
/// As [`Builder::build`](windhover_client::Builder::build).
#[cfg(feature = "client")]
pub fn connect_with(builder: Builder, connector: impl Connector) -> Result<Client, Error> {
    connect_on_with(spawn, builder, connector)
}

/// Starts async-std's threads, so many of them; to be called before anything is spawned, for
/// afterwards there are as many as there are. Without it, async-std starts as many as
/// `ASYNC_STD_THREAD_COUNT` says, or one per processor. The thread that blocks on a future comes on
/// top.
///
/// ```
/// use windhover_async_std::start_threads;
///
/// fn main() {
///     // Before the first task.
///     start_threads(2);
///     async_std::task::block_on(async {
///         assert_eq!(async_std::task::spawn(async { 42 }).await, 42);
///     });
/// }
/// ```
///
/// # Panics
///
/// As the first spawn of async-std does, when the operating system refuses to start a thread.
pub fn start_threads(count: usize) {
    let name = || "async-std/runtime".to_owned();
    let config = GlobalExecutorConfig::default()
        .with_min_threads(count)
        .with_max_threads(count)
        .with_thread_name_fn(name);
    async_global_executor::init_with_config(config);
}
