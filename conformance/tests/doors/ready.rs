//! A server that is started with any arguments, and told by the lines that it prints.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use windhover_conformance::{binary, eventually};

const START: Duration = Duration::from_secs(30);

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

/// It is killed on drop.
pub(crate) struct Ready {
    child: Child,
    banner: Vec<String>,
    log: mpsc::Receiver<String>,
}

impl Ready {
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = receive(child.stdout.take().expect("stdout is piped"));
        let log = receive(child.stderr.take().expect("stderr is piped"));
        let deadline = Instant::now() + START;
        let mut banner: Vec<String> = Vec::new();
        let last = if arguments.first() == Some(&"cache") { "try it" } else { "read back" };
        while !banner.last().is_some_and(|line| line.starts_with(last)) {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => banner.push(line),
                Err(_) => {
                    let _ = child.kill();
                    panic!("not ready: {banner:?}, {:?}", log.iter().collect::<Vec<_>>());
                }
            }
        }
        Self { child, banner, log }
    }

    /// The word behind `label`, at each line that begins with it.
    pub(crate) fn places(&self, label: &str) -> Vec<String> {
        let words = self.banner.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.filter(|words| words[0] == label).map(|words| words[1].to_owned()).collect()
    }

    /// Where the listener behind the word `label` is, by the name of this host.
    pub(crate) fn host_and_port(&self, label: &str) -> String {
        let place = self.places(label).remove(0);
        let place = place.trim_end_matches("/track");
        format!("localhost:{}", place.rsplit(':').next().unwrap_or_default())
    }

    /// SIGHUP; waits until the log has a line with `text` in it.
    #[track_caller]
    pub(crate) fn hang_up(&self, text: &str) {
        self.signal(Signal::HUP);
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).expect("the log says what came of SIGHUP");
            if line.contains(text) {
                return;
            }
        }
    }

    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let child = &mut self.child;
        let status = eventually("the end of the server", START, || {
            child.try_wait().expect("a child can be waited for")
        });
        assert_eq!(status.code(), Some(0), "it ended with {status}");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has an id"), signal).expect("it runs");
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receive(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}
