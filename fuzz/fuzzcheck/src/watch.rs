//! Notices an input that does not end.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// By the clock on the wall: on a busy machine much of it is others' time. The engine's own limit is
/// one second, which such a machine takes for an endless loop.
const LONGEST: Duration = Duration::from_secs(30);

/// Since when an input is tried, and the input.
type Tried = Option<(Instant, Vec<u8>)>;

/// The input that is being tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    tried: Arc<Mutex<Tried>>,
}

impl Watch {
    /// Watches from a thread of its own; an input that takes too long is written to `file`, and the
    /// process ends.
    pub(crate) fn start(file: PathBuf) -> Self {
        let watch = Self::default();
        let watched = watch.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(Duration::from_secs(1));
                watched.look(&file);
            }
        });
        watch
    }

    fn look(&self, file: &PathBuf) {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, input)) = &*tried
            && since.elapsed() > LONGEST
        {
            let kept = fs::write(file, input).is_ok();
            eprintln!("an input takes longer than {LONGEST:?}; kept as {}: {kept}", file.display());
            std::process::exit(1);
        }
    }

    pub(crate) fn begin(&self, input: &[u8]) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        *tried = Some((Instant::now(), input.to_vec()));
    }

    pub(crate) fn end(&self) {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
