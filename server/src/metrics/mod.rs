//! What the server counts, and its page for Prometheus.

mod by_queue;
mod histogram;
mod pulled;
mod registering;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use windhover_core::Now;
use windhover_core::http::Status;
use windhover_core::tracking::TrackingEndpoint;

pub use self::histogram::Histogram;
use self::pulled::Pulled;
use self::registering::{Label, Registering};
use crate::app::App;
use crate::backup::{BackupMetrics, BackupStatus};
use crate::tokens::TokenCounts;

/// The media type of the page, which is in the `OpenMetrics` text format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The reason of requests that were not refused.
pub const ACCEPTED: &str = "accepted";
/// The reason of those whose records could not be made safe.
pub const NOT_DURABLE: &str = "not_durable";

/// The paths that take records, each of which is on the page from the start.
const ENDPOINTS: [TrackingEndpoint; 4] = [
    TrackingEndpoint::Track,
    TrackingEndpoint::Import,
    TrackingEndpoint::Engage,
    TrackingEndpoint::Groups,
];

/// Counts what was recorded, by endpoint.
#[derive(Clone, Debug, Default)]
pub struct Accepted([Counter; ENDPOINTS.len()]);

impl Accepted {
    /// Counts so many.
    pub fn count(&self, endpoint: TrackingEndpoint, records: u64) {
        if let Some((_, counter)) = ENDPOINTS.iter().zip(&self.0).find(|(it, _)| **it == endpoint) {
            counter.inc_by(records);
        }
    }
}

/// Endpoint and reason, both from a small fixed set, and the status of the answer.
type OfRequest = ([Label; 2], [(&'static str, u16); 1]);

/// Counts requests by endpoint, reason and status.
#[derive(Clone, Debug)]
pub struct Requests {
    /// What there is most of, by endpoint: found without a lock.
    accepted: [Counter; ENDPOINTS.len()],
    all: Family<OfRequest, Counter>,
}

impl Requests {
    fn new(all: Family<OfRequest, Counter>) -> Self {
        let accepted = |it: TrackingEndpoint| {
            all.get_or_create_owned(&Self::labels(it.name(), ACCEPTED, Status::OK))
        };
        Self { accepted: ENDPOINTS.map(accepted), all }
    }

    fn labels(endpoint: &'static str, reason: &'static str, status: Status) -> OfRequest {
        ([("endpoint", endpoint), ("reason", reason)], [("status", status.0)])
    }

    /// Counts one.
    pub fn count(&self, endpoint: &'static str, reason: &'static str, status: Status) {
        let accepted = ENDPOINTS.iter().zip(&self.accepted);
        let accepted = accepted.filter(|_| reason == ACCEPTED && status == Status::OK);
        match accepted.into_iter().find(|(it, _)| it.name() == endpoint) {
            Some((_, counter)) => counter.inc(),
            None => self.all.get_or_create(&Self::labels(endpoint, reason, status)).inc(),
        };
    }
}

/// Counts by endpoint and reason, both from a small fixed set, so that there is an end to them.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Family<[Label; 2], Counter>);

impl Refusals {
    /// Counts one.
    pub fn count(&self, endpoint: &'static str, reason: &'static str) {
        self.0.get_or_create(&[("endpoint", endpoint), ("reason", reason)]).inc();
    }
}

/// Counts by reason, from a small fixed set.
#[derive(Clone, Debug, Default)]
pub struct Reasons(Family<[(&'static str, String); 1], Counter>);

impl Reasons {
    /// Counts one.
    pub fn count(&self, reason: &str) {
        self.0.get_or_create(&[("reason", reason.to_owned())]).inc();
    }
}

/// What is counted elsewhere.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sources {
    /// How long the journal's syncs take.
    pub sync_seconds: Histogram,
    /// What became of the records of each token.
    pub token_counts: Arc<TokenCounts>,
}

impl Sources {
    /// Those.
    pub fn new(sync_seconds: Histogram, token_counts: Arc<TokenCounts>) -> Self {
        Self { sync_seconds, token_counts }
    }
}

/// The counters of one server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metrics {
    registry: Registry,
    /// Events that were answered "accepted".
    pub events_accepted: Accepted,
    /// Requests to the tracker's port.
    pub requests: Requests,
    /// Events that were not recorded, whatever became of the rest of their batch.
    pub events_refused: Refusals,
    /// Requests for a redirect that the policy does not allow.
    pub redirects_refused: Counter,
    /// Characters of events that became U+FFFD.
    pub characters_replaced: Counter,
    /// Values of events that became `null`.
    pub numbers_nulled: Counter,
    /// Events that a queue server elsewhere has stored.
    pub forwarded: Counter,
    /// Deliveries to queue servers that failed; the events stay and are sent again.
    pub forward_failures: Counter,
    forward_servers: Family<[(&'static str, String); 1], Gauge>,
    /// Records put into the dead-letter queue.
    pub dead_letters: Reasons,
    /// How long requests waited for their records to be safe.
    pub track_seconds: Histogram,
    /// The bodies of requests that bring records, as they came.
    pub body_bytes: Histogram,
    pulled: Pulled,
    backup: BackupMetrics,
}

impl Metrics {
    /// Counters at zero, of a server that allows so many queues and serves on that runtime, beside what is counted
    /// elsewhere.
    pub fn new(max_queues: u32, runtime: String, sources: Sources) -> Self {
        let mut all = Registering(Registry::with_prefix("windhover"));
        let build = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("commit", env!("WINDHOVER_COMMIT").to_owned()),
            ("features", env!("WINDHOVER_FEATURES").to_owned()),
            ("runtime", runtime),
        ];
        all.0.register("build", "What runs here", Info::new(build));
        let queues_limit: Gauge = all.one(
            "queues_limit",
            "Most queues beside those that events and updates go to: --max-queues",
        );
        queues_limit.set(i64::from(max_queues));
        let (track_seconds, body_bytes) = (Histogram::of_times(), Histogram::of_sizes());
        let help =
            "Seconds from the end of a tracking request whose records were put until its answer";
        all.0.register("track_seconds", help, track_seconds.clone());
        let help = "Bytes of the bodies of tracking requests, as they came";
        all.0.register("request_body_bytes", help, body_bytes.clone());
        let help = "Seconds that a sync of the journal took";
        all.0.register("journal_sync_seconds", help, sources.sync_seconds);
        all.0.register_collector(Box::new(sources.token_counts));
        let pulled = Pulled::new(&mut all);
        Self {
            events_accepted: Accepted(all.each(
                "events_accepted",
                "Events and updates answered as accepted, by the path that they came by",
                "endpoint",
                ENDPOINTS.map(TrackingEndpoint::name),
            )),
            requests: Requests::new(all.one(
                "requests",
                "Requests to the tracker's port, by what they were for, why nothing was recorded (`accepted` if it was), \
                 and the status of the answer",
            )),
            events_refused: Refusals(all.one(
                "events_refused",
                "Events and updates that were not recorded, whatever became of the rest of their batch",
            )),
            redirects_refused: all.one("redirects_refused", "Redirects to hosts that are not allowed"),
            characters_replaced: all.one(
                "characters_replaced",
                "Characters of events that became U+FFFD: half a surrogate pair, or not UTF-8",
            ),
            numbers_nulled: all.one(
                "numbers_nulled",
                "Values of events that became null: NaN and infinity as bare words, numbers above 1.8e308",
            ),
            forwarded: all.one("events_forwarded", "Events that a queue server of --queue has stored"),
            forward_failures: all.one(
                "forward_failures",
                "Deliveries to queue servers that failed; the events stay and are sent again",
            ),
            forward_servers: all.one(
                "forward_server_usable",
                "Whether a server of --queue is in use or could be: 0 when it failed of late",
            ),
            dead_letters: Reasons(all.one(
                "dead_letters",
                "Records put into the dead-letter queue, by why they were refused for good",
            )),
            track_seconds,
            body_bytes,
            pulled,
            backup: BackupMetrics::default(),
            registry: all.0,
        }
    }

    /// Has the page show how backups stand: what is returned, to be told of them.
    pub fn watch_backups(&mut self) -> BackupStatus {
        self.backup.register(&mut self.registry);
        BackupStatus::default()
    }

    /// The page for Prometheus, of the media type [`CONTENT_TYPE`].
    pub fn render(&self, app: &App, now: Now) -> String {
        self.pulled.pull(app, now);
        self.forward_servers.clear();
        for server in app.forward_servers.list() {
            let usable = self.forward_servers.get_or_create(&[("server", server.name)]);
            usable.set(i64::from(server.is_usable));
        }
        if let Some(backup) = &app.backup {
            self.backup.show(&backup.get(), &app.store.stats().1);
        }
        let mut page = String::new();
        // Writing to memory does not fail.
        let _ = encode(&mut page, &self.registry);
        page
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tokens::TokenResult;

    #[test]
    fn each_family_of_the_page_stands_there_once_with_its_help_and_type() {
        let counts = Arc::new(TokenCounts::default());
        counts.of_sender("shop", 2).count(TokenResult::Accepted, 2);
        let sources = Sources::new(Histogram::of_times(), counts);
        let metrics = Metrics::new(7, "mio".to_owned(), sources);
        metrics.requests.count("track", ACCEPTED, Status::OK);
        metrics.requests.count("track", "token_missing", Status::BAD_REQUEST);
        metrics.events_accepted.count(TrackingEndpoint::Engage, 3);
        metrics.events_refused.count("track", "token_missing");
        metrics.events_refused.count("track", "token_missing");
        metrics.track_seconds.observe_time(Duration::from_millis(3));
        let mut page = String::new();
        encode(&mut page, &metrics.registry).unwrap();

        let named = |what: &str| -> Vec<&str> {
            let lines = page.lines().filter_map(|line| line.strip_prefix(what));
            lines.filter_map(|line| line.split(' ').next()).collect()
        };
        let mut families = named("# TYPE ");
        assert_eq!(families, named("# HELP "));
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), named("# TYPE ").len());
        for line in [
            "windhover_events_accepted_total{endpoint=\"engage\"} 3",
            "windhover_events_accepted_total{endpoint=\"track\"} 0",
            "windhover_events_refused_total{endpoint=\"track\",reason=\"token_missing\"} 2",
            "windhover_requests_total{endpoint=\"track\",reason=\"accepted\",status=\"200\"} 1",
            "windhover_requests_total{endpoint=\"groups\",reason=\"accepted\",status=\"200\"} 0",
            "windhover_requests_total{endpoint=\"track\",reason=\"token_missing\",status=\"400\"} 1",
            "windhover_token_events_total{token=\"s…ac6a4ca2\",result=\"accepted\"} 2",
            "windhover_token_events_total{token=\"other\",result=\"accepted\"} 0",
            "windhover_queues_limit 7",
            "windhover_track_seconds_bucket{le=\"0.0025\"} 0",
            "windhover_track_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}");
        }
        let build = page.lines().find(|line| line.starts_with("windhover_build_info{"));
        assert!(
            build.is_some_and(|it| it.contains("runtime=\"mio\"") && it.ends_with("} 1")),
            "{build:?}"
        );
        assert!(page.ends_with("# EOF\n"));
    }
}
