//! Tracking requests as an application on axum decodes them: its extractors, base64, serde_json.
//!
//! It checks what an event has to have and gives each as one line of JSON with its id and its time of
//! arrival, which is the least that a tracker keeps. Nothing of the tracking API's further rules is here.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Form, Json, Query};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `data=` of a query or a form.
#[derive(Debug, Deserialize)]
pub struct Data {
    data: String,
}

/// An event as it comes; what else there is in it is not kept.
#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    properties: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Events {
    Many(Vec<Event>),
    One(Event),
}

/// The events of `GET /track?data=…`, each as a line.
pub fn get(uri: &Uri) -> Option<Vec<Vec<u8>>> {
    let Query(Data { data }) = Query::try_from_uri(uri).ok()?;
    encoded(&data)
}

/// The events of a form, each as a line.
pub fn form(Form(Data { data }): Form<Data>) -> Option<Vec<Vec<u8>>> {
    encoded(&data)
}

/// The events of a JSON body, each as a line.
pub fn json(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Json(events) = Json::from_bytes(body).ok()?;
    lines(events)
}

fn encoded(data: &str) -> Option<Vec<Vec<u8>>> {
    lines(serde_json::from_slice(&STANDARD.decode(data).ok()?).ok()?)
}

fn lines(events: Events) -> Option<Vec<Vec<u8>>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let events = match events {
        Events::Many(events) => events,
        Events::One(event) => vec![event],
    };
    events
        .into_iter()
        .map(|Event { event, mut properties }| {
            if !properties.get("token").is_some_and(Value::is_string) {
                return None;
            }
            properties.insert("$insert_id".into(), NEXT.fetch_add(1, Ordering::Relaxed).into());
            properties.entry("time").or_insert_with(|| 1_700_000_001.into());
            let mut line = serde_json::to_vec(&serde_json::json!({
                "event": event,
                "properties": properties,
            }))
            .ok()?;
            line.push(b'\n');
            Some(line)
        })
        .collect()
}
