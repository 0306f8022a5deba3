//! nutcracker (twemproxy) as a process of its own, between a client and caches.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpStream},
    process::{Child, Command},
    time::Duration,
};

use crate::{
    directory::TempDir,
    free_address::free_address,
    memcached::{drain_output, spawn},
    process::eventually,
};

const START: Duration = Duration::from_secs(30);

/// A proxy that is ready. It is killed on drop.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    address: SocketAddr,
    _files: TempDir,
}

impl Proxy {
    /// Starts one on a free port that spreads the keys over `caches` by ketama.
    #[track_caller]
    pub fn nutcracker(caches: &[SocketAddr]) -> Self {
        let files = TempDir::new("nutcracker");
        // It takes no port 0: a free one may be gone again by the time it listens, which is seen.
        let (address, statistics) = (free_address(), free_address());
        let mut pool = format!(
            "pool:\n  listen: {address}\n  hash: fnv1a_64\n  distribution: ketama\n  timeout: 10000\n  \
             auto_eject_hosts: false\n  servers:\n"
        );
        // Keys are placed by these names, so that every run places them alike.
        for (at, cache) in caches.iter().enumerate() {
            let _ = writeln!(pool, "   - {cache}:1 cache-{at}");
        }
        let configuration = files.path().join("nutcracker.yml");
        std::fs::write(&configuration, pool).expect("a file can be written");
        let mut command = program("nutcracker");
        command.arg("-c").arg(configuration).args([
            "-a",
            "127.0.0.1",
            "-s",
            &statistics.port().to_string(),
        ]);
        Self::start(command, address, files)
    }

    /// Starts haproxy on a free port. It passes connections on to `server`, in the words that its
    /// configuration has for that (`ADDRESS send-proxy check`).
    #[track_caller]
    pub fn haproxy(server: &str) -> Self {
        let files = TempDir::new("haproxy");
        let address = free_address();
        let configuration = files.path().join("haproxy.cfg");
        let written = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             listen all\n  bind {address}\n  server one {server}\n"
        );
        std::fs::write(&configuration, written).expect("a file can be written");
        let mut command = program("haproxy");
        command.args(["-q", "-db", "-f"]).arg(configuration);
        Self::start(command, address, files)
    }

    /// Waits until it listens.
    #[track_caller]
    fn start(mut command: Command, address: SocketAddr, files: TempDir) -> Self {
        let mut child = spawn(&mut command);
        drain_output(&mut child);
        eventually("the proxy takes a connection", START, || {
            let status = child.try_wait().expect("a child can be waited for");
            assert!(status.is_none(), "{command:?} ended with {status:?}");
            TcpStream::connect(address).ok()
        });
        Self { child, address, _files: files }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that Debian may have put where only root's path leads.
fn program(name: &str) -> Command {
    let paths = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{paths}:/usr/sbin"));
    command
}
