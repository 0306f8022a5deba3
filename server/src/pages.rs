//! The pages for operators that every HTTP listener has: health, readiness, metrics.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use windhover_core::Now;
use windhover_core::http::{Response, Status};

use crate::app::App;
use crate::metrics::CONTENT_TYPE;

/// The media type of a page of text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// Whether a page is for other origins too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Anybody's script may read it.
    Yes,
    /// Not for the pages of others, which a browser within the operator's network shows.
    No,
}

/// The page of that path, if there is one.
pub(crate) fn page(app: &App, path: &str, now: Now) -> Option<(Response, Shared)> {
    Some(match path {
        "/healthz" => (Response::new(Status::OK, TEXT, &b"ok\n"[..]), Shared::Yes),
        "/readyz" => ready(app),
        "/metrics" => {
            let page = app.metrics.render(app, now);
            (Response::new(Status::OK, CONTENT_TYPE, page.into_bytes()), Shared::No)
        }
        _ => return None,
    })
}

fn ready(app: &App) -> (Response, Shared) {
    if app.draining.load(Ordering::Relaxed) {
        let draining = Response::new(Status::SERVICE_UNAVAILABLE, TEXT, &b"draining\n"[..]);
        return (draining, Shared::Yes);
    }
    if !app.status.get().allows_writes() {
        let why = format!("the status is {}\n", app.status.get());
        let other = Response::new(Status::SERVICE_UNAVAILABLE, TEXT, why.into_bytes());
        return (other, Shared::Yes);
    }
    let (engine, journal) = app.store.stats();
    if !journal.healthy {
        let why = &b"the journal does not take writes\n"[..];
        return (Response::new(Status::SERVICE_UNAVAILABLE, TEXT, why), Shared::No);
    }
    let limit = app.settings.max_queues;
    let mut ready = "ready\n".to_owned();
    // Events have their queue all the same.
    if engine.queues >= u64::from(limit) {
        let _ = writeln!(
            ready,
            "there are {} queues; --max-queues {limit} allows no further one, unless one of \
             them is empty",
            engine.queues
        );
    }
    (Response::new(Status::OK, TEXT, ready.into_bytes()), Shared::Yes)
}
