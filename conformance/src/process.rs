//! Running other programs with a bound on their time.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// What a program that ended left behind.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Outcome {
    /// Panics with everything that was written unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "expected exit code {code}, got {}\nstdout:\n{}\nstderr:\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Runs `command` to its end, and kills it when it takes longer than `bound`.
///
/// A program that is not installed is a panic, never a test left out.
#[track_caller]
pub fn run(command: &mut Command, bound: Duration) -> Outcome {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot run `{name}`: {error}; `conformance/run` installs what the tests need")
        });
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let deadline = Instant::now() + bound;
    let mut late = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > deadline && !late {
            late = true;
            child.kill().expect("a child can be killed");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let outcome = Outcome {
        status,
        stdout: stdout.join().expect("the reader of stdout ends"),
        stderr: stderr.join().expect("the reader of stderr ends"),
    };
    assert!(!late, "`{name}` took longer than {bound:?}: {outcome:#?}");
    outcome
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Signals a child.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a child has an id"), signal).expect("a child can be signalled");
}

/// Stops a child (SIGSTOP), and waits until all its threads have stopped.
#[track_caller]
pub(crate) fn pause(child: &Child) {
    signal(child, Signal::STOP);
    eventually("every thread has stopped", Duration::from_secs(10), || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).ok()?;
        tasks.flatten().all(|task| is_stopped(&task.path())).then_some(())
    });
}

/// Whether the state of a thread is "stopped" (proc(5), `stat`).
fn is_stopped(task: &Path) -> bool {
    let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// The memory of a process that is in use now, in bytes, without the file it was started from.
#[track_caller]
pub fn memory(pid: u32) -> u64 {
    status_kib(pid, "RssAnon").expect("it runs, and has `RssAnon: N kB`") * 1024
}

/// A line of a process's `status` (proc(5)) in KiB, such as `VmData`; `None` where it is not there, as of a process
/// that has ended.
pub fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// The processor time that a process has taken so far.
#[track_caller]
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name may hold anything; the fields behind its parenthesis are numbers.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number of ticks"))
        .sum();
    // Linux counts hundredths of a second for user space, whatever the kernel's own tick is.
    Duration::from_millis(ticks * 10)
}

/// As many open files as the system allows this process.
///
/// # Panics
/// When that is fewer than `least`.
#[track_caller]
pub fn raise_open_files(least: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let enough = maximum.is_none_or(|maximum| maximum >= least);
    assert!(enough, "the hard limit on open files is {maximum:?}, the test needs {least}");
    let raised = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, raised).expect("a soft limit can be raised to the hard one");
}

/// Asks again and again until `check` gives a value; panics with `what` after `bound`.
#[track_caller]
pub fn eventually<T>(what: &str, bound: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {bound:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The build's target directory: the test executable is `<target>/<profile>/deps/<name>`.
pub fn target_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("the test knows its own path");
    let target = executable.ancestors().nth(3);
    target.map_or_else(
        || panic!("{} is not in a target directory", executable.display()),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_spends_time() {
        let own = std::process::id();
        let before = processor_time(own);
        let begun = Instant::now();
        while processor_time(own) == before {
            assert!(begun.elapsed() < Duration::from_secs(20), "no time was spent");
        }
    }
}
