//! Serving on event loops of mio.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread;

use windhover_client::{Builder, Client};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_mio::{BeforeWaitHook, Peer, ServeReport, Shutdown, connect, serve};

use super::{Drain, Driving, Listener, note_asked, shut_down_on_signal};
use crate::listen::{Bound, ListenError, Place, bind};

type Serving = Box<dyn FnOnce(&Shutdown) -> io::Result<ServeReport> + Send>;

/// See [`connect_alone`](super::connect_alone). Its loop has a thread of its own.
pub(super) fn connect_alone(client: Builder) -> io::Result<(Client, Driving)> {
    let client = connect(client).map_err(io::Error::other)?;
    Ok((client, Box::new(())))
}

pub(crate) struct Server {
    threads: usize,
    shutdown: Shutdown,
    before_wait: Option<BeforeWaitHook>,
    serving: Vec<Serving>,
}

impl Server {
    pub(super) fn start(
        threads: usize,
        drain: Drain,
        before_wait: Option<BeforeWaitHook>,
    ) -> Result<Self, ListenError> {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown, drain)?;
        Ok(Self { threads, shutdown, before_wait, serving: Vec::new() })
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
        let Bound { listeners, place } = bind(&listener.address, self.threads)?;
        let mut options = listener.options();
        options.before_wait.clone_from(&self.before_wait);
        self.serving.push(Box::new(move |shutdown| serve(listeners, accept, options, shutdown)));
        Ok(place)
    }

    #[expect(clippy::unused_self, reason = "clients have a loop and a thread of their own")]
    pub(super) fn connect(&self, client: Builder) -> io::Result<Client> {
        connect(client).map_err(io::Error::other)
    }

    pub(super) fn run(self, finish: impl FnOnce() + Send + 'static) -> Result<usize, ListenError> {
        let Self { shutdown, serving, .. } = self;
        shutdown.wake_on_trigger(Waker::from(Arc::new(Asked)));
        let serve = |serving: Serving| {
            let shutdown = shutdown.clone();
            let run = move || serving(&shutdown).inspect_err(|_| shutdown.trigger());
            thread::Builder::new().name("listener".to_owned()).spawn(run)
        };
        let serving: Vec<_> = serving.into_iter().map(serve).collect();
        if serving.iter().any(Result::is_err) {
            shutdown.trigger();
        }
        let mut cut = 0;
        for thread in serving {
            let thread = thread.map_err(ListenError::system("start threads"))?;
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            cut += ended.map_err(ListenError::system("run an event loop"))?.cut;
        }
        finish();
        Ok(cut)
    }
}

/// Logs that the shutdown was triggered.
struct Asked;

impl Wake for Asked {
    fn wake(self: Arc<Self>) {
        note_asked();
    }
}
