//! The built binary as a process of its own.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    http::HttpClient,
    process::{Outcome, pause, run, signal, target_dir},
    queue::QueueClient,
    runtime::Runtime,
};

/// Recovery of a long journal on a slow disk takes a while; a server that hangs takes for ever.
const START: Duration = Duration::from_secs(60);

/// How to start a server: on free ports, with `data` as its data directory.
#[derive(Clone, Debug)]
pub struct Setup {
    data: PathBuf,
    within: Vec<OsString>,
    queue: SocketAddr,
    flags: Vec<OsString>,
    program: Option<PathBuf>,
}

impl Setup {
    /// A server with this data directory and defaults for the rest.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let queue = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { data: data.into(), within: Vec::new(), queue, flags: Vec::new(), program: None }
    }

    /// Adds a flag of `serve`, such as `("--fsync", "never")`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.into(), value.into()]);
        self
    }

    /// Adds a flag of `serve` that takes no value.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.flags.push(name.into());
        self
    }

    /// Listens for consumers there: where a server that is gone has listened before.
    #[must_use]
    pub fn queue_at(mut self, address: SocketAddr) -> Self {
        self.queue = address;
        self
    }

    /// Starts another program than [`binary`].
    #[must_use]
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Serves on this runtime instead of the default one.
    #[must_use]
    pub fn runtime(self, runtime: Runtime) -> Self {
        self.flag("--runtime", runtime.name())
    }

    /// Puts a program and its arguments in front, such as `nsenter`. It has to end by executing
    /// its last arguments, so that the process keeps its id.
    #[must_use]
    pub fn within<S: AsRef<OsStr>>(mut self, prefix: impl IntoIterator<Item = S>) -> Self {
        self.within = prefix.into_iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(outcome) => panic!("the server did not become ready: {outcome:#?}"),
        }
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// What it left behind when it does not become ready.
    pub fn try_start(&self) -> Result<Server, Outcome> {
        Server::start(self.serve())
    }

    /// Starts a server that has to refuse: what it left behind.
    #[track_caller]
    pub fn refused(&self) -> Outcome {
        match self.try_start() {
            Ok(_) => panic!("the server became ready, expected that it refuses to start"),
            Err(outcome) => outcome,
        }
    }

    /// Runs `windhover repair` on the data directory.
    #[track_caller]
    pub fn repair(&self) -> Outcome {
        let mut command = self.binary();
        command.args(["repair", "--data"]).arg(&self.data);
        run(&mut command, START)
    }

    /// Runs `windhover replay` on a server.
    #[track_caller]
    pub fn replay(&self, server: &Server) -> Outcome {
        let mut command = self.binary();
        command
            .args(["replay", "--queue-listen", &server.queue().to_string()])
            .args(["--http", &server.http().to_string()]);
        run(&mut command, START)
    }

    fn serve(&self) -> Command {
        let mut command = self.binary();
        command
            .args(["serve", "--http", "127.0.0.1:0"])
            .args(["--queue-listen", &self.queue.to_string()])
            .arg("--data")
            .arg(&self.data)
            .args(&self.flags);
        command
    }

    fn binary(&self) -> Command {
        let binary = self.program.clone().unwrap_or_else(binary);
        match self.within.split_first() {
            None => Command::new(binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
        }
    }
}

/// `WINDHOVER_BIN`, or the binary that was built beside the test.
#[track_caller]
pub fn binary() -> PathBuf {
    let path = program("WINDHOVER_BIN");
    assert!(
        path.is_file(),
        "there is no server at {}: run `conformance/run`, or build one with \
         `cargo build --release -p windhover-server` and name it in WINDHOVER_BIN",
        path.display()
    );
    path
}

/// A binary with all features: `WINDHOVER_FULL_BIN`, or the one that `cargo test --workspace --all-features` builds
/// for the tests of the server.
pub fn full_binary() -> PathBuf {
    // It is asked for its features once.
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let path = program("WINDHOVER_FULL_BIN");
        let is_full = || {
            let version = run(Command::new(&path).arg("--version"), START).stdout;
            ["load", "nats", "s3"].iter().all(|feature| version.contains(feature))
        };
        assert!(
            path.is_file() && is_full(),
            "there is no server with all features at {}: build one with `cargo build -p windhover-server \
             --all-features`, or name it in WINDHOVER_FULL_BIN",
            path.display()
        );
        path
    });
    found.clone()
}

/// What that variable names, or else the binary beside the test.
fn program(variable: &str) -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().expect("the test knows its own path");
        let profile = test.ancestors().nth(2).map(Path::to_owned);
        profile.unwrap_or_else(target_dir).join("windhover")
    };
    std::env::var_os(variable).map_or_else(beside, PathBuf::from)
}

/// A server that is ready. It is killed on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    http: SocketAddr,
    queue: SocketAddr,
    banner: Vec<String>,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    fn start(mut command: Command) -> Result<Self, Outcome> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let keeper = thread::spawn({
            let log = Arc::clone(&log);
            move || keep(stderr, &log)
        });

        let deadline = Instant::now() + START;
        let mut banner: Vec<String> = Vec::new();
        let ready = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => banner.push(line),
                Err(_) => break false,
            }
            if banner.last().is_some_and(|line| line.starts_with("read back ")) {
                break true;
            }
        };
        if !ready {
            let late = Instant::now() >= deadline;
            if late {
                let _ = child.kill();
            }
            let status = child.wait().expect("a child can be waited for");
            let _ = keeper.join();
            let outcome = Outcome { status, stdout: banner.join("\n"), stderr: text(&log) };
            assert!(!late, "the server was not ready within {START:?}: {outcome:#?}");
            return Err(outcome);
        }
        let (http, queue) = (
            address(&banner, &["  tracker  http://", "  tracker  https://"]),
            address(&banner, &["  queue    "]),
        );
        Ok(Self { child, http, queue, banner, log })
    }

    /// Where the tracker listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where the queue listens.
    pub fn queue(&self) -> SocketAddr {
        self.queue
    }

    /// The lines that said "ready".
    pub fn banner(&self) -> &[String] {
        &self.banner
    }

    /// The last lines of the log.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// A new connection to the tracker.
    #[track_caller]
    pub fn http_client(&self) -> HttpClient {
        HttpClient::connect(self.http).expect("the tracker takes a connection")
    }

    /// A new connection to the queue.
    #[track_caller]
    pub fn queue_client(&self) -> QueueClient {
        QueueClient::connect(self.queue).expect("the queue takes a connection")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGINT, as ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGHUP: files are to be read again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Stops the process where it is (SIGSTOP): its connections stay, and nothing is answered.
    pub fn pause(&self) {
        pause(&self.child);
    }

    /// Lets a process that was paused go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// Waits for the end, `bound` at most; returns how it ended and the log.
    #[track_caller]
    pub fn wait(mut self, bound: Duration) -> (ExitStatus, String) {
        let child = &mut self.child;
        let status = crate::process::eventually("the end of the server", bound, || {
            child.try_wait().expect("a child can be waited for")
        });
        (status, text(&self.log))
    }

    /// SIGTERM, and an orderly end with exit code 0.
    #[track_caller]
    pub fn stop(self) {
        self.terminate();
        let (status, log) = self.wait(Duration::from_secs(30));
        assert_eq!(status.code(), Some(0), "the server ended with {status}:\n{log}");
    }

    /// Whether its process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

fn address(banner: &[String], prefixes: &[&str]) -> SocketAddr {
    banner
        .iter()
        .find_map(|line| prefixes.iter().find_map(|prefix| line.strip_prefix(prefix)))
        .and_then(|rest| rest.split([' ', '/']).next())
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| {
            panic!("expected an address behind {prefixes:?} among the lines {banner:#?}")
        })
}

fn keep(from: impl BufRead, log: &Mutex<VecDeque<String>>) {
    const KEPT: usize = 400;
    for line in from.lines().map_while(Result::ok) {
        let mut log = log.lock().expect("no thread panics with the log");
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(line);
    }
}

fn text(log: &Mutex<VecDeque<String>>) -> String {
    let log = log.lock().expect("no thread panics with the log");
    log.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}
