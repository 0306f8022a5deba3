//! The processes that faults are done to: a tracker, two queue servers behind it, and two caches.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use windhover_conformance::{
    CacheServer, MountNamespace, Runtime, Server, Setup, TempDir, WallClock, eventually,
};

/// A server that comes back at the same address.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) clock: WallClock,
    setup: Setup,
    http: Mutex<SocketAddr>,
    pub(crate) queue: SocketAddr,
    server: Mutex<Option<Server>>,
}

impl Peer {
    fn start(
        name: &'static str,
        data: &Path,
        within: &[String],
        adapt: impl Fn(Setup) -> Setup,
    ) -> Self {
        let clock = WallClock::new();
        let within = within.iter().cloned().chain(clock.within());
        let setup = adapt(Setup::new(data).within(within)).flag("--segment-bytes", "1048576");
        let server = setup.start();
        let (http, queue) = (Mutex::new(server.http()), server.queue());
        let setup = setup.queue_at(queue);
        Self { name, clock, setup, http, queue, server: Mutex::new(Some(server)) }
    }

    /// Where its tracker listens, or did.
    pub(crate) fn http(&self) -> SocketAddr {
        *self.http.lock().expect("no thread panics with it")
    }

    pub(crate) fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().expect("no thread panics with it")
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.server().as_ref().map(Server::pid)
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        let server = self.server().take().expect("it runs");
        assert_no_panic(&server);
        server.kill();
    }

    /// Starts it again, if it is gone; whether it was.
    pub(crate) fn start_again(&self) -> bool {
        let mut server = self.server();
        if server.as_mut().is_some_and(|server| !server.has_ended()) {
            return false;
        }
        drop(server.take());
        // Another process may have its port for a moment, for a connection that it makes.
        let started = eventually("it is there again", Duration::from_secs(90), || {
            self.setup.try_start().ok()
        });
        *self.http.lock().expect("no thread panics with it") = started.http();
        *server = Some(started);
        true
    }
}

/// All of them.
pub(crate) struct Place {
    pub(crate) runtime: Runtime,
    pub(crate) tracker: Peer,
    pub(crate) queues: [Peer; 2],
    /// Ours, which hangs now and then.
    pub(crate) cache: CacheServer,
    /// The real one, which is killed.
    pub(crate) memcached: Mutex<Option<CacheServer>>,
    pub(crate) memcached_at: SocketAddr,
    /// What the tracker and the first queue have their data on.
    pub(crate) disk: MountNamespace,
    ended: AtomicUsize,
    _directory: TempDir,
}

impl Place {
    pub(crate) fn start(runtime: Runtime) -> Self {
        let directory = TempDir::new("soak");
        let small = directory.path().join("small");
        std::fs::create_dir(&small).expect("a directory to mount on");
        let disk = MountNamespace::with_tmpfs(&small, "64m");
        let within = disk.enter();
        let plain = |setup: Setup| setup.runtime(runtime);
        let queues = [
            Peer::start("queue 1", &small.join("queue"), &within, plain),
            Peer::start("queue 2", &directory.path().join("queue"), &[], plain),
        ];
        let list = format!("kestrel://{},{}", queues[0].queue, queues[1].queue);
        let tracker = Peer::start("tracker", &small.join("tracker"), &within, |setup| {
            setup.runtime(runtime).flag("--queue", &list)
        });
        let memcached = CacheServer::memcached(&[]);
        Self {
            runtime,
            tracker,
            queues,
            cache: CacheServer::windhover(runtime, &[]),
            memcached_at: memcached.address(),
            memcached: Mutex::new(Some(memcached)),
            disk,
            ended: AtomicUsize::new(0),
            _directory: directory,
        }
    }

    /// Those that have a journal.
    pub(crate) fn servers(&self) -> [&Peer; 3] {
        [&self.tracker, &self.queues[0], &self.queues[1]]
    }

    /// Counts a process that a fault ended.
    pub(crate) fn count_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    /// What is sampled: its name and its process.
    pub(crate) fn processes(&self) -> Vec<(&'static str, Option<u32>)> {
        let servers = self.servers().map(|peer| (peer.name, peer.pid()));
        servers.into_iter().chain([("cache", Some(self.cache.pid()))]).collect()
    }

    /// An orderly end of all.
    pub(crate) fn stop(self) {
        for peer in [&self.tracker, &self.queues[0], &self.queues[1]] {
            let server = peer.server().take().expect("it runs");
            assert_no_panic(&server);
            server.stop();
        }
        self.cache.stop(Duration::from_secs(30));
    }
}

#[track_caller]
fn assert_no_panic(server: &Server) {
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}
