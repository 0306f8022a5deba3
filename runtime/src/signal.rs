//! The signals by which a service manager or a terminal asks a process to end.

use std::io;

use crate::Shutdown;

/// Triggers `shutdown` when the process is asked to end: SIGTERM or SIGINT, Ctrl-C elsewhere.
///
/// The signals are caught from the return of this function on; they no longer end the process by
/// themselves. A thread that sleeps until one comes carries it to `shutdown`.
///
/// ```
/// use std::io;
/// use windhover_runtime::{Shutdown, shut_down_on_signal};
///
/// /// A shutdown that the service manager triggers; hand clones of it to what serves.
/// fn stopped_by_signals() -> io::Result<Shutdown> {
///     let shutdown = Shutdown::new();
///     shut_down_on_signal(&shutdown)?;
///     Ok(shutdown)
/// }
/// ```
///
/// # Errors
///
/// When the operating system refuses to have the signals caught, or the thread.
#[cfg(unix)]
pub fn shut_down_on_signal(shutdown: &Shutdown) -> io::Result<()> {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::pipe;

    let (mut caught, write) = UnixStream::pair()?;
    pipe::register(SIGTERM, write.try_clone()?)?;
    pipe::register(SIGINT, write)?;
    carry(shutdown, move || {
        // Only a signal ends it: the other side is never closed.
        let _ = caught.read_exact(&mut [0]);
    })
}

/// Triggers `shutdown` when the process is asked to end: SIGTERM or SIGINT, Ctrl-C elsewhere.
///
/// The signals are caught from the return of this function on; they no longer end the process by
/// themselves. A thread looks for them ten times a second.
///
/// # Errors
///
/// When the operating system refuses to have the signals caught, or the thread.
#[cfg(not(unix))]
pub fn shut_down_on_signal(shutdown: &Shutdown) -> io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;

    let caught = Arc::new(AtomicBool::new(false));
    flag::register(SIGTERM, Arc::clone(&caught))?;
    flag::register(SIGINT, Arc::clone(&caught))?;
    carry(shutdown, move || {
        while !caught.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

/// Triggers `shutdown` once `until_caught` has returned, on a thread of its own.
fn carry(shutdown: &Shutdown, until_caught: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let shutdown = shutdown.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        until_caught();
        shutdown.trigger();
    })?;
    Ok(())
}
