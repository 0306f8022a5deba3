//! Serving on async-std.

use std::io;
use std::pin::Pin;

use async_std::task;
use windhover_async_std::{Peer, ServeReport, Shutdown, connect, serve, start_threads};
use windhover_client::{Builder, Client};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;

use super::{Drain, Driving, Listener, note_asked, shut_down_on_signal};
use crate::listen::{Bound, ListenError, Place, bind};

type Serving = Pin<Box<dyn Future<Output = io::Result<ServeReport>> + Send>>;

/// See [`connect_alone`](super::connect_alone). The threads are the process's.
pub(super) fn connect_alone(client: Builder) -> io::Result<(Client, Driving)> {
    let client = connect(client).map_err(io::Error::other)?;
    Ok((client, Box::new(())))
}

pub(crate) struct Server {
    shutdown: Shutdown,
    serving: Vec<Serving>,
}

impl Server {
    pub(super) fn start(threads: usize, drain: Drain) -> Result<Self, ListenError> {
        start_threads(threads);
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown, drain)?;
        Ok(Self { shutdown, serving: Vec::new() })
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
        let options = listener.options();
        let serve = serve(listeners, accept, options, self.shutdown.clone());
        self.serving.push(Box::pin(serve));
        Ok(place)
    }

    #[expect(clippy::unused_self, reason = "the threads are the process's")]
    pub(super) fn connect(&self, client: Builder) -> io::Result<Client> {
        connect(client).map_err(io::Error::other)
    }

    pub(super) fn run(self, finish: impl FnOnce() + Send + 'static) -> Result<usize, ListenError> {
        let Self { shutdown, serving } = self;
        task::block_on(async {
            // One that fails takes the others with it.
            let serve = |serving: Serving| {
                let shutdown = shutdown.clone();
                task::spawn(async move { serving.await.inspect_err(|_| shutdown.trigger()) })
            };
            let serving: Vec<_> = serving.into_iter().map(serve).collect();
            shutdown.wait().await;
            note_asked();
            let mut cut = 0;
            for serve in serving {
                cut += serve.await.map_err(ListenError::system("wait for connections"))?.cut;
            }
            task::spawn_blocking(finish).await;
            Ok(cut)
        })
    }
}
