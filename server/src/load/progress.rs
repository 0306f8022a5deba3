//! How far a run is: a line that is written over on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines where standard error is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Tells on standard error how far a run is.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    pub(super) fn new(length: Duration) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{wide_msg} {bar:20} {eta:>4} left");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            ProgressBar::new(millis).with_style(style)
        });
        Self { bar, told: Instant::now() }
    }

    pub(super) fn tell(&mut self, passed: Duration, words: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
            bar.set_message(words());
        } else if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            eprintln!("{} s: {}", passed.as_secs(), words());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
