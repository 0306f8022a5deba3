//! How far something is: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Tells on standard error how far something is.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    shows: Shows,
    done: u64,
    total: u64,
}

#[derive(Debug)]
enum Shows {
    Nothing,
    Bar(ProgressBar),
    Lines { told: Instant },
}

impl Progress {
    /// Tells nothing.
    pub const fn silent() -> Self {
        Self { what: "", shows: Shows::Nothing, done: 0, total: 0 }
    }

    /// Tells of `what`, as in "copied".
    pub fn new(what: &'static str) -> Self {
        let shows = if io::stderr().is_terminal() {
            let style = "{msg} {bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(style);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            Shows::Bar(ProgressBar::new(0).with_style(style).with_message(what))
        } else {
            Shows::Lines { told: Instant::now() }
        };
        Self { what, shows, done: 0, total: 0 }
    }

    /// So many more bytes are to be done.
    pub fn expect(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
        if let Shows::Bar(bar) = &self.shows {
            bar.set_length(self.total);
        }
    }

    /// So many more are done.
    pub fn did(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        match &mut self.shows {
            Shows::Bar(bar) => bar.set_position(self.done),
            Shows::Lines { told } if told.elapsed() >= EVERY => {
                *told = Instant::now();
                let (done, total) = (HumanBytes(self.done), HumanBytes(self.total));
                eprintln!("{} {done} of {total}", self.what);
            }
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shows::Bar(bar) = &self.shows {
            bar.finish_and_clear();
        }
    }
}
