//! Serving on tokio.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use windhover_client::{Builder as ClientBuilder, Client};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_tokio::{BeforeWaitHook, Listening, Peer, ServeReport, Shutdown, connect, serve};

use super::{Drain, Driving, Listener, note_asked, shut_down_on_signal};
use crate::listen::{Bound, ListenError, Place, bind};

/// How long threads have to end; only one that is blocked takes longer.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// See [`connect_alone`](super::connect_alone).
pub(super) fn connect_alone(client: ClientBuilder) -> io::Result<(Client, Driving)> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let client = connect(client).map_err(io::Error::other)?;
    drop(entered);
    Ok((client, Box::new(runtime)))
}

pub(crate) struct Server {
    runtime: Runtime,
    shutdown: Shutdown,
    serving: Vec<Pin<Box<dyn Future<Output = ServeReport> + Send>>>,
}

impl Server {
    pub(super) fn start(
        threads: usize,
        drain: Drain,
        before_wait: Option<BeforeWaitHook>,
    ) -> Result<Self, ListenError> {
        // With one thread, nothing is ever handed from thread to thread.
        let mut builder = match threads {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        if let Some(before_wait) = before_wait {
            builder.on_thread_park(move || before_wait());
        }
        let runtime = builder
            .worker_threads(threads)
            .enable_all()
            .build()
            .map_err(ListenError::system("start threads"))?;
        let shutdown = Shutdown::new();
        let entered = runtime.enter();
        shut_down_on_signal(&shutdown, drain)?;
        drop(entered);
        Ok(Self { runtime, shutdown, serving: Vec::new() })
    }

    pub(super) fn listen<E, F>(
        &mut self,
        listener: &Listener,
        accept: F,
    ) -> Result<Place, ListenError>
    where
        E: Endpoint + Send + 'static,
        F: Fn(Peer, Now) -> E + Send + Sync + 'static,
    {
        let Bound { listeners, place } = bind(&listener.address, 1)?;
        let _entered = self.runtime.enter();
        let sockets: io::Result<Vec<_>> = listeners.into_iter().map(Listening::from_std).collect();
        let sockets = sockets.map_err(ListenError::system("wait for connections"))?;
        let options = listener.options();
        self.serving.push(Box::pin(serve(sockets, accept, options, self.shutdown.clone())));
        Ok(place)
    }

    pub(super) fn connect(&self, client: ClientBuilder) -> io::Result<Client> {
        let _entered = self.runtime.enter();
        connect(client).map_err(io::Error::other)
    }

    pub(super) fn run(self, finish: impl FnOnce() + Send + 'static) -> Result<usize, ListenError> {
        let Self { runtime, shutdown, serving } = self;
        let cut: io::Result<_> = runtime.block_on(async {
            let serving: Vec<_> = serving.into_iter().map(tokio::spawn).collect();
            shutdown.wait().await;
            note_asked();
            let mut cut = 0;
            for serve in serving {
                cut += serve.await?.cut;
            }
            tokio::task::spawn_blocking(finish).await?;
            Ok(cut)
        });
        // Connections that were cut must not outlive what they work on.
        runtime.shutdown_timeout(END_TIMEOUT);
        cut.map_err(ListenError::system("keep a listener running"))
    }
}
