//! What the status page shows, as JSON: every sample of `/metrics` under its name there, and what is no metric.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use windhover_core::{Instant, Now};

use crate::app::App;
use crate::tokens::masked;

/// For so long whoever looks is shown the same: less than a second, after which each is shown the next.
const KEPT: Duration = Duration::from_millis(500);

/// What all who look on are shown, made once for all of them.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Option<(Instant, Arc<str>)>>);

impl Figures {
    fn shared(&self, app: &App, now: Now) -> Arc<str> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, figures)) = &*kept
            && now.instant.saturating_since(*made) < KEPT
        {
            return Arc::clone(figures);
        }
        let figures: Arc<str> = shared(app, now).to_string().into();
        *kept = Some((now.instant, Arc::clone(&figures)));
        figures
    }

    /// As JSON, with the records that one who looks on has not seen yet.
    pub(super) fn with_records(
        &self,
        app: &App,
        now: Now,
        records: &VecDeque<Bytes>,
        missed: u64,
    ) -> String {
        let shared = self.shared(app, now);
        let records: Value = records.iter().rev().map(|record| shown(record)).collect();
        let shared = shared.strip_suffix('}').unwrap_or_default();
        format!(r#"{shared},"records":{records},"records_not_shown":{missed}}}"#)
    }
}

/// What does not depend on who looks.
fn shared(app: &App, now: Now) -> Value {
    let queues = app.store.queue_stats().into_iter().map(|(name, stats)| {
        let oldest = stats.oldest.map(|it| now.unix.as_millis().saturating_sub(it.as_millis()));
        json!({
            "name": name, "items": stats.items, "bytes": stats.bytes, "age_millis": stats.age_millis,
            "oldest_millis": oldest, "open": stats.open_transactions, "waiters": stats.waiters,
        })
    });
    let servers = app
        .forward_servers
        .list()
        .into_iter()
        .map(|it| json!({ "address": it.name, "state": it.state, "in_flight": it.in_flight }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": now.unix.as_millis(),
        "metrics": samples(&app.metrics.render(app, now)),
        "queues": queues.collect::<Vec<_>>(),
        "servers": servers.collect::<Vec<_>>(),
    })
}

/// The samples of a page of metrics, by name with labels.
fn samples(page: &str) -> Map<String, Value> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), serde_json::from_str(value).ok()?))
    };
    lines.filter_map(sample).collect()
}

/// A record as it is shown: what it is, of which project, at what time.
fn shown(record: &[u8]) -> Value {
    let record: Value = serde_json::from_slice(record).unwrap_or_default();
    let properties = record.get("properties").unwrap_or(&record);
    let operation = || {
        let operations = record.as_object().into_iter().flat_map(Map::keys);
        let mut operations =
            operations.filter(|name| record.get(*name).is_some_and(Value::is_object));
        operations.next().map_or(Value::Null, |name| name.as_str().into())
    };
    let name = record.get("event").cloned().unwrap_or_else(operation);
    json!({
        "name": name,
        "token": token(&record).and_then(Value::as_str).map(masked),
        "received": properties.get("mp_processing_time_ms"),
        "distinct_id": properties.get("distinct_id").or_else(|| record.get("$distinct_id")),
    })
}

/// A record's token.
pub(super) fn token(record: &Value) -> Option<&Value> {
    let properties = record.get("properties");
    properties.and_then(|it| it.get("token")).or_else(|| record.get("$token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_their_names_with_labels() {
        let page = "# HELP a b\na 7\nb_bucket{le=\"0.5\"} 2\nc{x=\"y z\"} 1.5\n# EOF\n";
        let expected = json!({ "a": 7, "b_bucket{le=\"0.5\"}": 2, "c{x=\"y z\"}": 1.5 });
        assert_eq!(Value::Object(samples(page)), expected);
    }

    #[test]
    fn a_record_is_shown_without_its_token() {
        let event = br#"{"event":"e","properties":{"token":"0123456789","distinct_id":"u","mp_processing_time_ms":7}}"#;
        let expected = json!({ "name": "e", "token": "012…", "received": 7, "distinct_id": "u" });
        assert_eq!(shown(event), expected);
        let update =
            br#"{"$token":"abc","$distinct_id":5,"$set":{"a":1},"mp_processing_time_ms":8}"#;
        let expected = json!({ "name": "$set", "token": "a…", "received": 8, "distinct_id": 5 });
        assert_eq!(shown(update), expected);
    }
}
