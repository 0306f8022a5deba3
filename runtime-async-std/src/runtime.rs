//! What only async-std has: its tasks, its listener, its threads.

use std::io;
use std::net::SocketAddr;

use async_global_executor::GlobalExecutorConfig;
use async_signal::{Signal, Signals};
use async_std::net::TcpListener;
use async_std::stream::StreamExt;
use async_std::task;
#[cfg(feature = "client")]
use windhover_client::{Builder, Client, Error};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;

#[cfg(feature = "client")]
use crate::{Connector, connect_on, connect_on_with};
use crate::{ServeOptions, ServeReport, Shutdown, serve_on};

/// [`serve_on`] with async-std's tasks and its listener.
///
/// # Errors
///
/// When the listener is still used elsewhere, and those of [`serve_on`].
pub async fn serve<E, F>(
    listener: TcpListener,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(SocketAddr, Now) -> E + Send + Sync + 'static,
{
    let listener = std::net::TcpListener::try_from(listener)?;
    serve_on(|connection| drop(task::spawn(connection)), listener, accept, options, shutdown).await
}

/// [`connect_on`] with async-std's tasks.
///
/// ```
/// use std::time::Duration;
/// use windhover_async_std::{Client, connect};
///
/// #[async_std::main]
/// async fn main() -> Result<(), windhover_async_std::ClientError> {
///     let client = connect(Client::builder().server("127.0.0.1:1"))?;
///     // Nobody listens there: an error, not a miss.
///     assert!(client.within(Duration::from_millis(500)).get("greeting").await.is_err());
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// As [`Builder::build`](windhover_client::Builder::build).
#[cfg(feature = "client")]
pub fn connect(builder: Builder) -> Result<Client, Error> {
    connect_on(|connection| drop(task::spawn(connection)), builder)
}

/// [`connect_on_with`] with async-std's tasks.
///
/// # Errors
///
/// As [`Builder::build`](windhover_client::Builder::build).
#[cfg(feature = "client")]
pub fn connect_with<C: Connector>(builder: Builder, connector: C) -> Result<Client, Error> {
    connect_on_with(|connection| drop(task::spawn(connection)), builder, connector)
}

/// Triggers `shutdown` when the process is asked to end: SIGTERM or SIGINT, Ctrl-C elsewhere.
///
/// The signals are caught from the return of this function on; they no longer end the process by
/// themselves.
///
/// # Errors
///
/// When the operating system refuses to have the signals caught.
pub fn shut_down_on_signal(shutdown: &Shutdown) -> io::Result<()> {
    #[cfg(unix)]
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    #[cfg(not(unix))]
    let mut signals = Signals::new([Signal::Int])?;
    let shutdown = shutdown.clone();
    task::spawn(async move {
        if signals.next().await.is_some() {
            shutdown.trigger();
        }
    });
    Ok(())
}

/// Starts async-std's threads, so many of them; to be called before anything is spawned, for
/// afterwards there are as many as there are. Without it, async-std starts as many as
/// `ASYNC_STD_THREAD_COUNT` says, or one per processor. The thread that blocks on a future comes on
/// top.
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
