//! A file that lines are appended to by a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most bytes that wait to be written.
const WAITING: usize = 1024 * 1024;
/// What is standard output.
const STDOUT: &str = "-";
/// How long the end waits for what is still to be written.
const END: Duration = Duration::from_secs(1);

/// Appends lines to a file, and waits for nothing.
#[derive(Debug)]
pub(super) struct LogFile {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_asleep: bool,
    is_to_reopen: bool,
    has_ended: bool,
}

impl Shared {
    /// The lock is held for copies in memory alone.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogFile {
    /// Opens a file, and starts its thread.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut writer = Writer { path: path.to_owned(), out: open(path)?, is_failing: false };
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let builder = thread::Builder::new().name("access log".to_owned());
        let thread = builder.spawn(move || writer.run(&of_thread))?;
        Ok(Self { shared, thread })
    }

    /// Appends a line, or counts it as lost when there is no room for it.
    pub(super) fn append(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.waiting.len() + line.len() > WAITING {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.shared.work.notify_one();
        }
    }

    pub(super) fn reopen(&self) {
        self.shared.lock().is_to_reopen = true;
        self.shared.work.notify_one();
    }

    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl LogFile {
    /// Ends the thread, when it has written what waits, unless the disk hangs.
    pub(super) fn end(&self) {
        self.shared.lock().has_ended = true;
        self.shared.work.notify_one();
        let until = Instant::now() + END;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.end();
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if path.as_os_str() == STDOUT {
        return Ok(Box::new(io::stdout()));
    }
    let file: File = OpenOptions::new().append(true).create(true).open(path)?;
    Ok(Box::new(file))
}

/// What the thread has.
struct Writer {
    path: PathBuf,
    out: Box<dyn Write + Send>,
    is_failing: bool,
}

impl Writer {
    fn run(&mut self, shared: &Shared) {
        let mut lines = Vec::new();
        loop {
            let mut state = shared.lock();
            while state.waiting.is_empty() && !state.is_to_reopen && !state.has_ended {
                state.is_asleep = true;
                state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut lines, &mut state.waiting);
            let (reopen, has_ended) = (std::mem::take(&mut state.is_to_reopen), state.has_ended);
            drop(state);
            self.write(&lines, shared);
            lines.clear();
            if reopen {
                self.reopen();
            }
            if has_ended {
                return;
            }
        }
    }

    fn write(&mut self, lines: &[u8], shared: &Shared) {
        match self.out.write_all(lines).and_then(|()| self.out.flush()) {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                let lost = memchr::memchr_iter(b'\n', lines).count();
                shared.lost.fetch_add(lost as u64, Ordering::Relaxed);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(path = %self.path.display(), %error, "the access log cannot be written");
                }
            }
        }
    }

    /// What was waiting has gone to the file as it was.
    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(out) => self.out = out,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the access log cannot be opened again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use super::*;

    fn path(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("windhover-access-log-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory.join(name)
    }

    #[test]
    fn lines_are_there_at_the_end_and_behind_a_reopening_in_a_new_file() {
        let (path, moved) = (path("log"), path("moved"));
        fs::write(&path, "before\n").unwrap();
        let log = LogFile::open(&path).unwrap();
        log.append(b"first\n");
        fs::rename(&path, &moved).unwrap();
        log.reopen();
        while !path.exists() {
            thread::yield_now();
        }
        log.append(b"second\n");
        drop(log);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "before\nfirst\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
    }

    /// Takes nothing until it is told to.
    struct Held(mpsc::Receiver<()>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn where_nothing_can_be_written_lines_are_lost_and_counted_and_nobody_waits() {
        let (go_on, held) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let mut writer =
            Writer { path: path("held"), out: Box::new(Held(held)), is_failing: false };
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || writer.run(&of_thread));
        let log = LogFile { shared, thread };
        log.append(b"first\n");
        let line = [b'x'; 1024];
        for _ in 0..3 * WAITING / line.len() {
            log.append(&line);
        }
        // What was taken before the writer hung, and what it took with it.
        assert!(log.lost() >= (WAITING / line.len()) as u64, "{}", log.lost());
        drop(go_on);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        assert!(LogFile::open(Path::new("/nowhere/access.log")).is_err());
    }
}
