//! Accepting connections, within a bound, until the shutdown.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use windhover_core::Now;
use windhover_core::endpoint::Endpoint;

use crate::connection::{Connection, ConnectionEnd};
use crate::drive::drive_connection;
use crate::limit::{ConnectionLimit, Permit};
use crate::options::CUT_TIMEOUT;
use crate::{Listener, Peer, Runtime, ServeOptions, ServeReport, Shutdown, Timers};

/// Serves the connections that `listener` accepts, each with the endpoint that `accept` makes for
/// the peer and the time, as a task of `runtime`'s, until `shutdown` is triggered.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and cuts those that are left.
///
/// An endpoint that panics takes its own connection with it and no other, if the runtime keeps a
/// panic within its task.
///
/// ```
/// use windhover_core::memcache::handler::{
///     Data, Handled, Handler, Reply, Request, Response, Session,
/// };
/// use windhover_runtime::{Listener, Runtime, ServeOptions, ServeReport, Shutdown, serve};
///
/// /// Says to everybody that nothing is there.
/// struct Nothing;
///
/// impl Handler for Nothing {
///     fn handle(&mut self, _: Request<'_>, _: Data<'_>, reply: &mut Reply<'_>) -> Handled {
///         reply.send(&Response::End)
///     }
/// }
///
/// /// What an adapter is, once it has a runtime and a listener.
/// async fn serve_nothing(
///     runtime: impl Runtime,
///     listener: impl Listener,
///     stop: Shutdown,
/// ) -> ServeReport {
///     let accept = |_peer, now| Session::with_defaults(Nothing, now);
///     serve(runtime, listener, accept, ServeOptions::default(), stop).await
/// }
/// ```
pub async fn serve<R, L, E, F>(
    runtime: R,
    mut listener: L,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> ServeReport
where
    R: Runtime,
    L: Listener,
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    let timers = runtime.timers();
    let limit = ConnectionLimit::new(options.connections);
    let shared = Arc::new(Shared {
        accept,
        options,
        shutdown,
        cut: Shutdown::new(),
        cut_count: AtomicUsize::new(0),
    });

    while let Some((stream, peer, permit)) =
        next(&timers, &mut listener, &limit, &shared.options, &shared.shutdown).await
    {
        let open = permit.count(Arc::clone(&shared.options.counters));
        let (shared, timers) = (Arc::clone(&shared), timers.clone());
        runtime.spawn(async move {
            let _open = open;
            let clock = shared.options.clock;
            let now = clock.now();
            let endpoint = (shared.accept)(peer, now);
            let options = &shared.options;
            // Not by way of a variable: it would be a part of the task as large as the connection.
            let Ok(connection) = Connection::accepted(stream, peer, endpoint, options, now.instant)
            else {
                return;
            };
            let (shutdown, cut) = (&shared.shutdown, &shared.cut);
            let end = drive_connection(timers, connection, clock, shutdown, cut).await;
            if end == ConnectionEnd::Cut {
                shared.cut_count.fetch_add(1, Ordering::Relaxed);
            }
        });
        // A full backlog is accepted from without a wait: others on this thread have their turn.
        yield_once().await;
    }

    drop(listener);
    if within(&timers, shared.options.shutdown_timeout, limit.until_idle()).await.is_none() {
        shared.cut.trigger();
        within(&timers, CUT_TIMEOUT, limit.until_idle()).await;
    }
    ServeReport::new(shared.cut_count.load(Ordering::Relaxed))
}

/// What the connections of a listener have in common.
struct Shared<F> {
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
    cut: Shutdown,
    cut_count: AtomicUsize,
}

/// The next connection, with its permit; `None` when it is time to end.
async fn next<T: Timers, L: Listener>(
    timers: &T,
    listener: &mut L,
    limit: &ConnectionLimit,
    options: &ServeOptions,
    shutdown: &Shutdown,
) -> Option<(L::Stream, Peer, Permit)> {
    let tcp = options.tcp();
    let permit = unless(shutdown.wait(), limit.acquire()).await?;
    loop {
        match unless(shutdown.wait(), listener.accept(&tcp)).await? {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) => match options.accept_failed(&error) {
                Some(pause) => {
                    unless(shutdown.wait(), sleep(timers, pause)).await?;
                }
                None => yield_once().await,
            },
        }
    }
}

/// What comes of `future`, unless `end` comes first.
async fn unless<T>(end: impl Future, future: impl Future<Output = T>) -> Option<T> {
    let mut end = pin!(end);
    let mut future = pin!(future);
    poll_fn(|cx| {
        if end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// What comes of `future`, unless so much time passes first.
async fn within<T>(
    timers: &impl Timers,
    time: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    unless(sleep(timers, time), future).await
}

async fn sleep(timers: &impl Timers, time: Duration) {
    match Instant::now().checked_add(time) {
        Some(at) => drop(timers.sleep_until(at).await),
        // Longer than the clock can tell.
        None => std::future::pending().await,
    }
}

/// Goes to the end of the executor's line once.
async fn yield_once() {
    let mut was_polled = false;
    poll_fn(|cx| {
        if was_polled {
            return Poll::Ready(());
        }
        was_polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
