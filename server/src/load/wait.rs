//! Waits that end when they are to, without a processor being used up for it.

use std::io;
use std::time::Duration;

use mio::Poll;

/// Has the waits of this thread end when they are to: by itself Linux lets them take 50 µs longer, so that it wakes
/// several threads at a time.
#[cfg(target_os = "linux")]
pub(super) fn be_punctual() {
    // Where that is not allowed, the waits take longer.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Nothing of it is known elsewhere.
#[cfg(not(target_os = "linux"))]
pub(super) fn be_punctual() {}

/// Waits until `poll` has an event, for so long at most. Its own wait is rounded up to a whole millisecond.
#[cfg(unix)]
pub(super) fn until_ready(poll: &Poll, at_most: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec};
    use rustix::io::Errno;

    let at_most = Timespec::try_from(at_most).map_err(io::Error::other)?;
    let mut ready = [PollFd::new(poll.registry(), PollFlags::IN)];
    match rustix::event::poll(&mut ready, Some(&at_most)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Elsewhere the wait is spent in asking.
#[cfg(not(unix))]
pub(super) fn until_ready(_poll: &Poll, _at_most: Duration) -> io::Result<()> {
    Ok(())
}
