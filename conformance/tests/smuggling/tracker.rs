//! The built binary.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use windhover_conformance::{Runtime, Server, Setup, TempDir};

use crate::ours::Reading;

const BOUND: Duration = Duration::from_secs(10);

pub(crate) struct Tracker {
    server: Server,
    _directory: TempDir,
}

impl Tracker {
    pub(crate) fn start(runtime: Runtime) -> Self {
        let directory = TempDir::new("smuggling");
        let setup = Setup::new(directory.path().join("data")).runtime(runtime);
        Self { server: setup.flag("--fsync", "never").start(), _directory: directory }
    }

    pub(crate) fn stop(self) {
        self.server.stop();
    }

    /// Sends bytes and their end; whether the answers are those to what its reader sees, and the
    /// connection is closed behind them.
    pub(crate) fn answers(&self, bytes: &[u8], expected: &Reading) -> Result<(), String> {
        let mut stream = TcpStream::connect(self.server.http()).expect("a connection");
        stream.set_read_timeout(Some(BOUND)).expect("a bound");
        stream.write_all(bytes).expect("what is sent is taken");
        stream.shutdown(Shutdown::Write).expect("the end is taken");
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).map_err(|error| format!("it is not closed: {error}"))?;
        let is_head = |n: usize| expected.requests.get(n).is_some_and(|seen| seen.method == "HEAD");
        let statuses = statuses(&answers, is_head)
            .ok_or_else(|| format!("no whole answers: {}", answers.escape_ascii()))?;
        let refusal = expected.error.map(|error| error.status().0);
        let count = expected.requests.len() + usize::from(refusal.is_some());
        let last = refusal.is_none_or(|status| statuses.last() == Some(&status));
        if statuses.len() == count && last {
            return Ok(());
        }
        Err(format!(
            "its reader sees {} requests and then {:?}, answered was {statuses:?}",
            expected.requests.len(),
            expected.error
        ))
    }
}

/// The statuses of whole answers, without `100 Continue`.
fn statuses(mut rest: &[u8], is_head: impl Fn(usize) -> bool) -> Option<Vec<u16>> {
    let mut statuses = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|seen| seen == b"\r\n\r\n")? + 4;
        let (head, behind) = rest.split_at(end);
        let head = std::str::from_utf8(head).ok()?;
        let status: u16 = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(Ok(0), str::parse).ok()?;
        let length = if is_head(statuses.len()) { 0 } else { length };
        rest = behind.get(length..)?;
        if status != 100 {
            statuses.push(status);
        }
    }
    Some(statuses)
}
