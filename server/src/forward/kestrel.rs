//! Queue servers of kestrel's kind as a target.

use std::time::Duration;

use windhover_client::protocol::client::{
    CallError, ClusterOptions, ServerState, ServerStatistics,
};
use windhover_client::protocol::memcache::response::Kind;
use windhover_client::{Builder, Client, Error, ErrorKind, Event, Queue};

use super::LANES;
use super::address::QueueServers;
use super::doubt::Answer;
use super::servers::ForwardServer;
use super::target::{PutError, Putting, Record, Target};
use super::window::WINDOW;

/// How long one server is waited for before another one is tried.
const ATTEMPT: Duration = Duration::from_millis(150);
/// How long an event's delivery may take, all servers together.
const DELIVERY: Duration = Duration::from_secs(1);

/// A client for these servers, to be built and driven by a runtime.
pub(crate) fn client(servers: &QueueServers) -> Builder {
    let mut builder = Client::queue_builder()
        .timeout(DELIVERY)
        .options(|options: &mut ClusterOptions| {
            options.attempt_timeout = ATTEMPT;
            options.connect_timeout = ATTEMPT;
            options.timeouts.stall = DELIVERY;
            options.limits.pipeline = WINDOW * LANES;
            // The journal has its own bound; what is too large for a server is refused by it.
            options.limits.value = 64 * 1024 * 1024;
            // Every event is to arrive: the window bounds what is sent again.
            options.attempts = 4;
            options.retries.percent = 100;
            options.retries.per_second = u32::try_from(WINDOW * LANES).unwrap_or(u32::MAX);
        })
        .on_event(|event| match event {
            Event::Restored(_) => tracing::info!("queue {event}"),
            _ => tracing::warn!("queue {event}"),
        });
    for address in servers.addresses() {
        builder = builder.server(address);
    }
    builder
}

/// The queue of that name, of whichever server takes the record.
pub(crate) fn target(client: &Client, name: &[u8]) -> Box<dyn Target> {
    Box::new(client.queue(name.to_vec()).at_least_once())
}

impl Target for Queue {
    fn put(&self, record: Record) -> Putting {
        let queue = self.clone();
        Box::pin(async move {
            let stored = queue.enqueue(record.bytes).await;
            stored.map_err(|error| PutError::new(answer(&error), error))
        })
    }
}

/// What an error says of the event.
fn answer(error: &Error) -> Answer {
    match error.kind() {
        ErrorKind::Request(_) => Answer::Wrong,
        ErrorKind::Call(CallError::Refused { refusal, .. })
            if refusal.kind == Kind::ClientError =>
        {
            Answer::Wrong
        }
        ErrorKind::QueueFull | ErrorKind::Call(CallError::Refused { .. }) => Answer::NotStored,
        _ => Answer::None,
    }
}

/// The servers, as an operator sees them.
pub(crate) fn servers(client: &Client) -> Vec<ForwardServer> {
    let state = |state| match state {
        ServerState::Healthy => ("in use", true),
        ServerState::Ejected => ("out of use", false),
        _ => ("out of use, probed", false),
    };
    let server = |it: ServerStatistics| {
        let (state, is_usable) = state(it.state);
        let name = it.name.into_string();
        ForwardServer { name, state, is_usable, in_flight: it.in_flight }
    };
    client.statistics().into_iter().map(server).collect()
}
