//! Spans and events of `tracing`, with the feature of that name.

use std::future::Future;

use tracing::{Instrument, Span, debug_span, field, info, warn};
use windhover_core::memcache::request::Prepared;

use crate::builder::Event;
use crate::hub::Reply;
use crate::{Error, Outcome};

/// A span around one request, from when it is sent first to its answer, all attempts together.
pub(crate) fn call(prepared: &Prepared) -> Span {
    let span = debug_span!(
        "windhover_client::call",
        command = ?prepared.command(),
        key = field::Empty,
        bytes = prepared.len(),
        error = field::Empty,
        outcome = field::Empty,
    );
    if !span.is_disabled()
        && let Some(key) = prepared.only_key()
    {
        span.record("key", field::display(key.escape_ascii()));
    }
    span
}

/// A request in its span, which is told why it has no result.
pub(crate) async fn traced(sent: impl Future<Output = Reply>, span: Span) -> Reply {
    let reply = sent.instrument(span.clone()).await;
    if let Err(error) = &reply.outcome {
        failed(&span, error);
    }
    reply
}

fn failed(span: &Span, error: &Error) {
    span.record("error", field::display(format_args!("{error:#}")));
    let outcome = match error.outcome() {
        Outcome::NotSent => "not sent",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
        Outcome::Done => "done",
    };
    span.record("outcome", outcome);
}

/// What an operator wants to know of.
pub(crate) fn event(event: &Event) {
    match event {
        Event::Ejected(server) => warn!(server = &*server.name, "{event}"),
        Event::Restored(server) => info!(server = &*server.name, "{event}"),
    }
}
