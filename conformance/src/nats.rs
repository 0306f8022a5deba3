//! Servers of NATS, of both versions that the tests hold `--queue nats://…` against, alone or as a cluster.

use std::{
    ffi::OsString,
    fmt::Write as _,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    directory::TempDir,
    free_address::free_address,
    network::Network,
    peers::peers,
    process::{eventually, pause, signal},
};

/// A cluster has to choose its leader first.
const START: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsVersion {
    /// That of Debian 12, 2.9.
    Debian,
    /// 2.15, as it is on PyPI; its files are synced before it acknowledges.
    Newest,
}

impl NatsVersion {
    fn program(self) -> OsString {
        match self {
            Self::Debian => "nats-server".into(),
            Self::Newest => peers().join("venv/bin/nats-server").into(),
        }
    }

    /// Whether its configuration has `sync_interval`.
    pub fn syncs_always(self) -> bool {
        self == Self::Newest
    }
}

/// One to three servers. They are killed on drop.
#[derive(Debug)]
pub struct NatsCluster {
    version: NatsVersion,
    nodes: Vec<Node>,
    network: Option<Network>,
    files: TempDir,
    /// Where their streams are.
    store: TempDir,
}

#[derive(Debug)]
struct Node {
    /// Where clients connect, and where the other servers do.
    client: SocketAddr,
    route: SocketAddr,
    child: Option<Child>,
}

impl NatsCluster {
    /// Starts so many servers on free ports, with `more` in the configuration of each.
    #[track_caller]
    pub fn start(version: NatsVersion, count: usize, more: &str) -> Self {
        let addresses = (0..count).map(|_| (free_address(), free_address())).collect();
        Self::at(version, addresses, None, more)
    }

    /// Starts three servers, each in a network namespace of its own, so that one can be cut off.
    #[track_caller]
    pub fn apart(version: NatsVersion) -> Self {
        let network = Network::of(3);
        let at = |node, port| SocketAddr::new(network.address(node), port);
        let addresses = (0..3).map(|node| (at(node, 4222), at(node, 6222))).collect();
        Self::at(version, addresses, Some(network), "")
    }

    fn at(
        version: NatsVersion,
        addresses: Vec<(SocketAddr, SocketAddr)>,
        network: Option<Network>,
        more: &str,
    ) -> Self {
        let files = TempDir::new("nats");
        let store = match std::env::var_os("WINDHOVER_NATS_STORE") {
            Some(directory) => TempDir::within(Path::new(&directory), "nats-store"),
            None => TempDir::new("nats-store"),
        };
        let nodes =
            addresses.into_iter().map(|(client, route)| Node { client, route, child: None });
        let mut cluster = Self { version, nodes: nodes.collect(), network, files, store };
        for node in 0..cluster.nodes.len() {
            let written = cluster.configuration(node) + more;
            std::fs::write(cluster.file(node), written).expect("a file can be written");
            cluster.begin(node);
        }
        for node in 0..cluster.nodes.len() {
            cluster.wait_for(node);
        }
        cluster
    }

    fn configuration(&self, node: usize) -> String {
        let Node { client, route, .. } = &self.nodes[node];
        let store = self.store.path().join(format!("store-{node}"));
        let sync = if self.version.syncs_always() { ", sync_interval: always" } else { "" };
        let mut text = format!(
            "server_name: n{node}\nlisten: \"{client}\"\n\
             jetstream {{ store_dir: \"{}\", max_file: 4GB{sync} }}\n",
            store.display()
        );
        if self.nodes.len() > 1 {
            let routes: Vec<String> =
                self.nodes.iter().map(|node| format!("\"nats://{}\"", node.route)).collect();
            let routes = routes.join(", ");
            let _ =
                writeln!(text, "cluster {{ name: c, listen: \"{route}\", routes: [{routes}] }}");
        }
        text
    }

    fn file(&self, node: usize) -> PathBuf {
        self.files.path().join(format!("n{node}.conf"))
    }

    fn begin(&mut self, node: usize) {
        let program = self.version.program();
        let mut command = match &self.network {
            None => Command::new(&program),
            Some(network) => {
                let enter = network.enter(node);
                let mut command = Command::new(&enter[0]);
                command.args(&enter[1..]).arg(&program);
                command
            }
        };
        let log = self.files.path().join(format!("n{node}.log"));
        command.arg("-c").arg(self.file(node)).arg("-l").arg(log);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run {}: {error}; `conformance/run` installs it", program.display())
        });
        self.nodes[node].child = Some(child);
    }

    #[track_caller]
    fn wait_for(&self, node: usize) {
        let address = self.nodes[node].client;
        eventually("a server of NATS takes a connection", START, || {
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
        });
    }

    /// Where clients connect to each of them.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.client).collect()
    }

    /// The URL of a subject for `--queue`.
    pub fn url(&self, subject: &str) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        let sync = if self.version.syncs_always() { "?sync=always" } else { "" };
        format!("nats://{}/{subject}{sync}", addresses.join(","))
    }

    /// Which one has that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        name.strip_prefix('n')?.parse().ok()
    }

    /// Sends SIGKILL to one, and waits for its end.
    #[track_caller]
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].child.take() {
            signal(&child, Signal::KILL);
            child.wait().expect("a child can be waited for");
        }
    }

    /// Starts one again that was killed.
    #[track_caller]
    pub fn restart(&mut self, node: usize) {
        self.begin(node);
        self.wait_for(node);
    }

    /// Stops one where it is (SIGSTOP).
    #[track_caller]
    pub fn pause(&self, node: usize) {
        pause(self.nodes[node].child.as_ref().expect("it runs"));
    }

    /// Lets one go on (SIGCONT).
    #[track_caller]
    pub fn resume(&self, node: usize) {
        signal(self.nodes[node].child.as_ref().expect("it runs"), Signal::CONT);
    }

    /// Cuts one off from the others and from us.
    #[track_caller]
    pub fn cut(&self, node: usize) {
        self.network.as_ref().expect("they are apart").cut(node);
    }

    /// Cuts one off from the others alone: it is there for us, and can do nothing.
    #[track_caller]
    pub fn cut_from_others(&self, node: usize) {
        self.network.as_ref().expect("they are apart").cut_from_others(node);
    }

    /// Undoes a cut.
    #[track_caller]
    pub fn mend(&self, node: usize) {
        self.network.as_ref().expect("they are apart").mend(node);
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}
