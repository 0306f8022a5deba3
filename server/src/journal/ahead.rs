//! What is done for a journal before it is needed, on a thread of its own, so that no batch waits for it: spare
//! segments full of zeros, and segments that are written out while they grow.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use windhover_core::queue::Fsync;

use super::spares::Spare;
use super::{AHEAD, Directory, Journal, SegmentFile, file_name};

/// A segment that is not synced by the batch is written out each time that so much more is in it.
const WRITE_OUT: u64 = 2 * 1024 * 1024;
/// Most bytes of a spare file that is made.
const MAX_MADE: u64 = 64 * 1024 * 1024;
/// So much of a spare file is written and synced at a time: less than it takes to be in anybody's way.
const PIECE: u64 = 128 * 1024;
/// After each of them, for so many times as long as it took, the disk is left to others, for no longer than that.
const RESTS: u32 = 3;
const LONGEST_REST: Duration = Duration::from_millis(50);

impl<D: Directory> Journal<D> {
    /// Starts a thread that makes spare segments before they are needed, and writes out what nobody syncs: no batch
    /// then carries the zeros of a segment that grows, and the end of a segment leaves little to sync. The first spare
    /// is made at once where batches `are_synced`.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn work_ahead(&mut self, are_synced: bool) -> io::Result<()> {
        self.ahead = Some(Ahead::start(self.directory.clone())?);
        // Those of an earlier start are as good.
        if are_synced && self.spares.is_empty() {
            self.ask_for_spare();
        }
        Ok(())
    }

    /// After a batch: has a spare file made where there is none, once for each segment, or what was not synced written
    /// out.
    pub(super) fn see_ahead(&mut self, fsync: Fsync) {
        if fsync == Fsync::Always {
            self.take_made_spare();
            if self.spares.is_empty() && self.spare_asked_in != self.last_number() {
                self.ask_for_spare();
            }
        } else if let (Some(ahead), Some(active)) = (&self.ahead, &mut self.active)
            && active.len - active.written_out >= WRITE_OUT
        {
            active.written_out = active.len;
            ahead.write_out(active.number);
        }
    }

    fn ask_for_spare(&mut self) {
        // The last batch of a segment may go over its end.
        let len = self.segment_bytes.saturating_add(self.segment_bytes.min(AHEAD)).min(MAX_MADE);
        self.spare_asked_in = self.last_number();
        if self.disk_bytes().saturating_add(len) <= self.max_bytes
            && let Some(ahead) = &mut self.ahead
        {
            ahead.make_spare(len);
        }
    }

    pub(super) fn take_made_spare(&mut self) {
        let Some(made) = self.ahead.as_mut().and_then(Ahead::made) else { return };
        let kept = made.and_then(|spare| {
            // Others may have become spare meanwhile, as many as are kept.
            if !self.spares.has_room_for(spare.len) {
                return self.directory.remove(&spare.name());
            }
            self.spares.push(spare);
            Ok(())
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "no spare segment of the journal could be made; syncs take longer");
        }
    }
}

/// What is asked of the thread.
#[derive(Debug)]
enum Task {
    /// To make a spare file of that length.
    Spare(u64),
    /// To have a segment's bytes written to the disk.
    WriteOut(u64),
}

/// The thread, which ends with this.
#[derive(Debug)]
pub(super) struct Ahead {
    tasks: Option<Sender<Task>>,
    made: Receiver<io::Result<Spare>>,
    /// The length of the spare file that is being made.
    making: Option<u64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts it.
    pub(super) fn start<D: Directory>(directory: D) -> io::Result<Self> {
        let (tasks, asked) = mpsc::channel();
        let (tell, made) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let work = move || {
            for task in asked {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                match task {
                    Task::Spare(len) => {
                        // Nobody hears of it at the end.
                        let _ = tell.send(make_spare(&directory, len, &ends));
                    }
                    // It is for the journal's own sync, by its own handle, to find out that this failed.
                    Task::WriteOut(number) => drop(directory.write_out(&file_name(number))),
                }
            }
        };
        let thread = thread::Builder::new().name("journal ahead".to_owned()).spawn(work)?;
        Ok(Self { tasks: Some(tasks), made, making: None, is_over, thread: Some(thread) })
    }

    /// Asks for a spare file, unless one is being made.
    pub(super) fn make_spare(&mut self, len: u64) {
        if self.making.is_none() && self.ask(Task::Spare(len)) {
            self.making = Some(len);
        }
    }

    /// The spare file that was made since, or why it could not be.
    pub(super) fn made(&mut self) -> Option<io::Result<Spare>> {
        let made = self.made.try_recv().ok()?;
        self.making = None;
        Some(made)
    }

    /// Bytes of the file that is being made, once it is.
    pub(super) fn len(&self) -> u64 {
        self.making.unwrap_or_default()
    }

    /// Has that segment's bytes written to the disk, so that there is less to do when it is synced.
    pub(super) fn write_out(&self, number: u64) {
        self.ask(Task::WriteOut(number));
    }

    fn ask(&self, task: Task) -> bool {
        self.tasks.as_ref().is_some_and(|tasks| tasks.send(task).is_ok())
    }
}

impl Drop for Ahead {
    /// Waits for the thread: whoever opens the journal next has its files for himself.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes zeros to a new spare file. What there is of it goes where it cannot be completed.
fn make_spare<D: Directory>(directory: &D, len: u64, is_over: &AtomicBool) -> io::Result<Spare> {
    let spare = Spare::made(len);
    let mut file = directory.create(&spare.name())?;
    let made = write_zeros(&mut file, len, is_over).and_then(|()| directory.sync());
    if made.is_err() {
        let _ = directory.remove(&spare.name());
    }
    made.map(|()| spare)
}

fn write_zeros<F: SegmentFile>(file: &mut F, len: u64, is_over: &AtomicBool) -> io::Result<()> {
    let mut end = 0;
    while end < len {
        if is_over.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let begun = Instant::now();
        let next = len.min(end + PIECE);
        file.fill(end..next)?;
        file.sync()?;
        end = next;
        thread::sleep((begun.elapsed() * RESTS).min(LONGEST_REST));
    }
    Ok(())
}
