//! What the service manager is told, in systemd's way (`sd_notify(3)`): that the server is ready, that it
//! lives, that it stops. Where none listens (`NOTIFY_SOCKET`), nothing is said.

#[cfg(target_os = "linux")]
use sd_notify::{NotifyState, notify};

/// Requests are served from now on.
pub(crate) fn ready() {
    #[cfg(target_os = "linux")]
    tell(NotifyState::Ready);
}

/// What is in flight is finished, and nothing else.
pub(crate) fn stopping() {
    #[cfg(target_os = "linux")]
    tell(NotifyState::Stopping);
}

/// The server does its work. To be said more often than `WatchdogSec=` of its unit demands: once a second, by a
/// thread that has just had the locks that all requests need.
pub(crate) fn alive() {
    #[cfg(target_os = "linux")]
    tell(NotifyState::Watchdog);
}

#[cfg(target_os = "linux")]
fn tell(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        tracing::debug!(%error, "the service manager could not be told how the server is");
    }
}
