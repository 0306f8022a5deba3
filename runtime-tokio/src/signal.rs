//! The signals by which a service manager or a terminal asks a process to end.

use std::io;

use crate::Shutdown;

/// Triggers `shutdown` when the process is asked to end: SIGTERM or SIGINT, Ctrl-C elsewhere.
///
/// The signals are caught from the return of this function on; they no longer end the process by
/// themselves.
///
/// # Errors
///
/// When the operating system refuses to have the signals caught.
///
/// # Panics
///
/// Outside a tokio runtime with I/O enabled.
#[cfg(unix)]
pub fn shut_down_on_signal(shutdown: &Shutdown) -> io::Result<()> {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        poll_fn(|cx| {
            let asked = terminate.poll_recv(cx).is_ready() | interrupt.poll_recv(cx).is_ready();
            if asked { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        shutdown.trigger();
    });
    Ok(())
}

/// Triggers `shutdown` when the process is asked to end: SIGTERM or SIGINT, Ctrl-C elsewhere.
///
/// # Errors
///
/// Never here: it is caught when it first comes.
///
/// # Panics
///
/// Outside a tokio runtime with I/O enabled.
#[cfg(not(unix))]
pub fn shut_down_on_signal(shutdown: &Shutdown) -> io::Result<()> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            shutdown.trigger();
        }
    });
    Ok(())
}
