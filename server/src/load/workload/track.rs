//! Requests to a tracker.

use std::io::{self, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{Checked, Workload};
use crate::load::failure::Failure;
use crate::load::http_answer;

/// A request that was made before anything is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Prepared {
    pub(in super::super) bytes: Vec<u8>,
    /// How often it is sent, beside the others.
    pub(in super::super) weight: u32,
    /// Events in it.
    pub(in super::super) events: u32,
    pub(in super::super) is_head: bool,
}

/// What the events are.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Events<'a> {
    pub(in super::super) host: &'a str,
    pub(in super::super) path: &'a str,
    pub(in super::super) token: &'a str,
    /// Events in each request.
    pub(in super::super) batch: u32,
    pub(in super::super) gzip: bool,
    /// Seconds since 1970.
    pub(in super::super) time: u64,
}

/// So many requests, of other people each, are made before.
const PREPARED: u32 = 64;

/// Sends prepared requests at random, by their weights.
#[derive(Clone, Debug)]
pub(in super::super) struct TrackWorkload {
    requests: Arc<Vec<Prepared>>,
    /// Up to and with each request, the weights.
    weights: Arc<Vec<u64>>,
    random: Rng,
}

impl TrackWorkload {
    pub(in super::super) fn new(requests: Vec<Prepared>) -> Self {
        let weights = requests.iter().scan(0, |sum, request| {
            *sum += u64::from(request.weight);
            Some(*sum)
        });
        let weights = Arc::new(weights.collect());
        Self { requests: Arc::new(requests), weights, random: Rng::with_seed(0) }
    }

    /// Events in a request, on average.
    pub(in super::super) fn events_each(&self) -> f64 {
        let weighted = |it: &Prepared| f64::from(it.events) * f64::from(it.weight);
        let all: f64 = self.requests.iter().map(weighted).sum();
        let weights: f64 = self.requests.iter().map(|it| f64::from(it.weight)).sum();
        all / weights.max(1.0)
    }
}

/// Events as client libraries send them: in a form, in base64; gzipped as JSON.
pub(in super::super) fn events(events: &Events<'_>) -> io::Result<Vec<Prepared>> {
    (0..PREPARED)
        .map(|number| {
            let one = |at: u32| {
                json!({
                    "event": "Page viewed",
                    "properties": {
                        "token": events.token,
                        "distinct_id": format!("{}", 10_000 + number * events.batch + at),
                        "time": events.time,
                        "$browser": "Firefox",
                        "seats": 12,
                    },
                })
            };
            let json = if events.batch == 1 {
                one(0).to_string()
            } else {
                json!((0..events.batch).map(one).collect::<Vec<_>>()).to_string()
            };
            let (kind, body) = if events.gzip {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(json.as_bytes())?;
                ("application/json\r\nContent-Encoding: gzip", encoder.finish()?)
            } else {
                let data = STANDARD.encode(json);
                let form = data.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                ("application/x-www-form-urlencoded", format!("data={form}").into_bytes())
            };
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                events.path,
                events.host,
                body.len()
            );
            let bytes = [head.as_bytes(), &body].concat();
            Ok(Prepared { bytes, weight: 1, events: events.batch, is_head: false })
        })
        .collect()
}

impl Workload for TrackWorkload {
    /// Whether it was HEAD.
    type Asked = bool;
    type Turn = ();

    const COUNTS: &'static [&'static str] = &[];

    fn ask(&mut self, (): &mut (), out: &mut Vec<u8>) -> bool {
        let total = self.weights.last().copied().unwrap_or(0);
        let at = self.random.u64(0..total.max(1));
        let chosen = self.weights.partition_point(|weight| *weight <= at);
        let Some(request) = self.requests.get(chosen) else { return false };
        out.extend_from_slice(&request.bytes);
        request.is_head
    }

    fn check(&self, is_head: bool, came: &[u8], (): &mut (), _counts: &mut [u64]) -> Checked {
        let answer = match http_answer::scan(came, is_head) {
            Ok(None) => return Checked::Partial,
            Ok(Some(answer)) => answer,
            Err(_) => return Checked::NoAnswer(Failure::not_an_answer(came)),
        };
        let (length, closes) = (answer.length, answer.closes);
        let why = match answer.status {
            200..300 if is_refusal(&answer.body) => Failure::refused(&answer.body),
            200..300 => return Checked::Good { length, closes },
            status => Failure::Status(status),
        };
        Checked::Refused { length, closes, why }
    }

    fn seed(&mut self, seed: u64) {
        self.random = Rng::with_seed(seed);
    }
}

/// `0`, or JSON whose `status` is 0: the tracking API's "not accepted", which has status 200.
fn is_refusal(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if body.first() != Some(&b'{') {
        return body == b"0";
    }
    let status = serde_json::from_slice::<serde_json::Value>(body);
    status.is_ok_and(|body| body.get("status").and_then(serde_json::Value::as_u64) == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str, weight: u32) -> Prepared {
        Prepared { bytes: text.into(), weight, events: 1, is_head: false }
    }

    fn answered(status: &str, body: &str) -> Checked {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        let workload = TrackWorkload::new(vec![prepared("", 1)]);
        workload.check(false, answer.as_bytes(), &mut (), &mut [])
    }

    #[test]
    fn an_event_is_accepted_when_the_answer_says_so() {
        for body in ["1", "{\"status\":1,\"error\":null}", "{\"code\":200}", "", "anything"] {
            assert!(matches!(answered("200 OK", body), Checked::Good { .. }), "{body}");
        }
        for body in ["0", "0\n", "{\"status\": 0, \"error\": \"no\"}"] {
            assert!(matches!(answered("200 OK", body), Checked::Refused { .. }), "{body}");
        }
        let full = answered("503 Service Unavailable", "0");
        assert!(matches!(full, Checked::Refused { why: Failure::Status(503), .. }), "{full:?}");
    }

    #[test]
    fn requests_are_sent_by_their_weights() {
        let mut workload =
            TrackWorkload::new(vec![prepared("a", 1), prepared("never", 0), prepared("b", 3)]);
        let mut out = Vec::new();
        for _ in 0..10_000 {
            workload.ask(&mut (), &mut out);
        }
        let of_a = memchr::memchr_iter(b'a', &out).count();
        assert_eq!(out.len(), 10_000);
        assert!((2300..2700).contains(&of_a), "{of_a}");
    }

    #[test]
    fn events_are_a_form_or_gzipped_json() {
        let what = Events {
            host: "h",
            path: "/track",
            token: "t",
            batch: 2,
            gzip: false,
            time: 1_700_000_000,
        };
        let requests = events(&what).unwrap();
        assert_eq!(requests.len(), 64);
        let text = str::from_utf8(&requests[1].bytes).unwrap();
        assert!(text.starts_with("POST /track HTTP/1.1\r\nHost: h\r\n"), "{text}");
        let data = text.split_once("data=").unwrap().1;
        let data = data.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let events_of: serde_json::Value =
            serde_json::from_slice(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!(events_of[1]["properties"]["distinct_id"], "10003");
        let gzipped = events(&Events { gzip: true, ..what }).unwrap();
        let head = gzipped[0].bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(gzipped[0].bytes[head..head + 2], [0x1f, 0x8b]);
    }
}
