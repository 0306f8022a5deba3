//! Cache servers as processes of their own: the real memcached, and `windhover cache`.

use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    certificates::Certificate,
    directory::TempDir,
    process::{eventually, pause, run, signal},
    runtime::Runtime,
    server::binary,
};

/// A server that hangs takes for ever.
const START: Duration = Duration::from_secs(30);

/// A cache server that is ready. It is killed on drop.
#[derive(Debug)]
pub struct CacheServer {
    child: Child,
    name: &'static str,
    address: SocketAddr,
    _files: TempDir,
}

/// The real memcached: the installed one, or the one that `WINDHOVER_MEMCACHED` names.
fn program() -> OsString {
    env::var_os("WINDHOVER_MEMCACHED").unwrap_or_else(|| "memcached".into())
}

impl CacheServer {
    /// Starts the real memcached on a free port, with `arguments` besides.
    #[track_caller]
    pub fn memcached(arguments: &[&str]) -> Self {
        let files = TempDir::new("memcached");
        // It gives up root's rights before it writes the file.
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(files.path(), open).expect("a directory can be opened to others");
        let port_file = files.path().join("port");
        let mut command = Command::new(program());
        command.env("MEMCACHED_PORT_FILENAME", &port_file);
        if rustix::process::getuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        // Port -1 is any free one.
        command.args(["-l", "127.0.0.1", "-p", "-1", "-U", "0", "-t", "1"]).args(arguments);
        let mut child = spawn(&mut command);
        drain_output(&mut child);
        let address = eventually("memcached names its port", START, || {
            let text = std::fs::read_to_string(&port_file).ok()?;
            let port = text.strip_prefix("TCP INET: ")?.strip_suffix('\n')?;
            Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
        });
        Self { child, name: "memcached", address, _files: files }
    }

    /// Starts the real memcached as [`memcached`](Self::memcached) does, without its background
    /// threads: they hold items for a moment, and what is held is not counted in place.
    #[track_caller]
    pub fn memcached_alone(arguments: &[&str]) -> Self {
        let alone = ["-o", "no_lru_maintainer,no_lru_crawler,slab_automove=0"];
        Self::memcached(&[arguments, &alone].concat())
    }

    /// Starts a memcached that lets in only `name` with the password `secret`.
    #[track_caller]
    pub fn memcached_with_authentication() -> Self {
        let files = TempDir::new("memcached-users");
        let users = files.path().join("users");
        std::fs::write(&users, "name:secret\n").expect("a file can be written");
        let server = Self::memcached(&["-Y", &users.display().to_string()]);
        eventually("memcached answers", START, || TcpStream::connect(server.address).ok());
        server
    }

    /// Starts a memcached that speaks TLS alone, on a free port, with `arguments` besides.
    #[track_caller]
    pub fn memcached_with_tls(certificate: &Certificate, arguments: &[&str]) -> Self {
        let (chain, key) = (certificate.chain.display(), certificate.key.display());
        let options = format!("ssl_chain_cert={chain},ssl_key={key}");
        Self::memcached(&[&["-Z", "-o", &options], arguments].concat())
    }

    /// Starts the real memcached at a path instead of a port; its [`address`](Self::address) says
    /// nothing.
    #[track_caller]
    pub fn memcached_at(path: &Path) -> Self {
        let files = TempDir::new("memcached-socket");
        let mut command = Command::new(program());
        if rustix::process::getuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.args(["-t", "1", "-s"]).arg(path);
        let mut child = spawn(&mut command);
        drain_output(&mut child);
        eventually("memcached listens at its path", START, || UnixStream::connect(path).ok());
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { child, name: "memcached", address, _files: files }
    }

    /// Starts the real memcached on the port that another one has left.
    #[track_caller]
    pub fn memcached_again(address: SocketAddr) -> Self {
        let server = Self::memcached(&["-p", &address.port().to_string()]);
        assert_eq!(server.address, address, "memcached takes the port that it is told to");
        server
    }

    /// Starts `windhover cache` on a free port and `runtime`, with `arguments` besides.
    #[track_caller]
    pub fn windhover(runtime: Runtime, arguments: &[&str]) -> Self {
        let files = TempDir::new("cache");
        let mut command = Command::new(binary());
        command
            .args(["cache", "--listen", "127.0.0.1:0", "--runtime", runtime.name()])
            .args(arguments);
        let mut child = spawn(&mut command);
        let lines = drain_output(&mut child);
        let deadline = Instant::now() + START;
        let mut banner: Vec<String> = Vec::new();
        let address = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                let _ = child.kill();
                panic!("`windhover cache` did not say where it listens: {banner:#?}");
            };
            let address = line.strip_prefix("  cache    ").and_then(|rest| rest.split(' ').next());
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                break address;
            }
            banner.push(line);
        };
        Self { child, name: "windhover", address, _files: files }
    }

    /// Which of the two it is.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and an end with exit code 0 within `bound`.
    #[track_caller]
    pub fn stop(mut self, bound: Duration) {
        signal(&self.child, Signal::TERM);
        let child = &mut self.child;
        let status = eventually("the end of the cache server", bound, || {
            child.try_wait().expect("a child can be waited for")
        });
        assert_eq!(status.code(), Some(0), "the cache server ended with {status}");
    }

    /// Stops it (SIGSTOP): its sockets stay, and nothing is read or written.
    pub fn pause(&self) {
        pause(&self.child);
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        signal(&self.child, Signal::CONT);
    }

    /// Empties it.
    #[track_caller]
    pub fn flush(&self) {
        let mut stream = TcpStream::connect(self.address).expect("the server takes a connection");
        stream.set_read_timeout(Some(START)).expect("a socket takes a time limit");
        stream.write_all(b"flush_all\r\n").expect("the server reads");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("the server answers");
        assert_eq!(line, "OK\r\n");
    }
}

impl Drop for CacheServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot run {command:?}: {error}; `conformance/run` installs what it takes")
        })
}

/// Reads what the program writes, so that it never waits; the lines of its standard output.
pub(crate) fn drain_output(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(drop));
    lines
}

/// The version of the real memcached, such as `[1, 6, 18]`.
#[track_caller]
pub fn memcached_version() -> Vec<u32> {
    let outcome = run(Command::new(program()).arg("-V"), START);
    let version = outcome.stdout.trim().strip_prefix("memcached ").map(version_numbers);
    version.unwrap_or_else(|| panic!("expected `memcached VERSION`, got {outcome:?}"))
}

/// The numbers of a version; what is no number ends them.
pub fn version_numbers(version: &str) -> Vec<u32> {
    version.trim().split('.').map_while(|number| number.parse().ok()).collect()
}

/// The tests of `memccapable` that expect a `delete` with a time to be refused, as memcached 1.6.18 does
/// and 1.6.45 does not.
pub const DELETE_WITH_A_TIME: [&str; 2] = ["ascii delete", "ascii delete noreply"];

/// Runs the ASCII tests of `memccapable`: the names of those that passed and of those that did not.
#[track_caller]
pub fn memccapable(address: SocketAddr) -> (Vec<String>, Vec<String>) {
    const BOUND: Duration = Duration::from_secs(120);
    /// How wide it writes a name. Behind that of a test that fails no line ends: that is told elsewhere.
    const WIDE: usize = 40;
    let mut command = Command::new("memccapable");
    command.args(["-a", "-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    let outcome = run(&mut command, BOUND);
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for line in outcome.stdout.lines().filter(|line| line.starts_with("ascii")) {
        let (names, passes) = match line.strip_suffix("[pass]") {
            Some(names) => (names, true),
            None => (line, false),
        };
        let mut names: Vec<String> = names
            .as_bytes()
            .chunks(WIDE)
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        if passes {
            passed.extend(names.pop());
        }
        failed.append(&mut names);
    }
    assert_eq!(failed.is_empty(), outcome.status.success(), "{outcome:#?}");
    (passed, failed)
}
