//! Tracking requests: the decoder alone, and one turn of a HTTP connection with the decoder behind it.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use windhover_core::http::{Headers, HttpLimits, Method, Output, Request, ServerConnection};
use windhover_core::tracking::{
    BatchRule, Context, Decoder, DedupWindow, EventDigest, EventIdentity, IdSource, RecordSink,
    RedirectPolicy, TrackingEndpoint, TrackingLimits,
};
use windhover_core::{Instant, Now, Timeouts, UnixTime};

/// An event as client libraries send it.
pub const EVENT: &str = concat!(
    r#"{"event":"Page viewed","properties":{"token":"e3bc4100330c35722740fb8c6f5abddc","#,
    r#""distinct_id":"13793","time":1700000000,"$browser":"Firefox","$os":"Linux","#,
    r#""url":"https://example.org/a/page","seats":12,"trial":false,"mp_lib":"web"}}"#
);

/// [`EVENT`] in base64, as it stands in a query.
pub const EVENT_BASE64: &str = concat!(
    "eyJldmVudCI6IlBhZ2Ugdmlld2VkIiwicHJvcGVydGllcyI6eyJ0b2tlbiI6ImUzYmM0MTAwMzMwYzM1NzIy",
    "NzQwZmI4YzZmNWFiZGRjIiwiZGlzdGluY3RfaWQiOiIxMzc5MyIsInRpbWUiOjE3MDAwMDAwMDAsIiRicm93",
    "c2VyIjoiRmlyZWZveCIsIiRvcyI6IkxpbnV4IiwidXJsIjoiaHR0cHM6Ly9leGFtcGxlLm9yZy9hL3BhZ2Ui",
    "LCJzZWF0cyI6MTIsInRyaWFsIjpmYWxzZSwibXBfbGliIjoid2ViIn19"
);

/// One event, or an array of `count` where that is more than one.
pub fn json(count: usize) -> String {
    if count == 1 { EVENT.to_owned() } else { format!("[{}]", vec![EVENT; count].join(",")) }
}

/// `GET /track` with one event in base64, on the wire.
pub fn get() -> Vec<u8> {
    format!("GET /track?data={EVENT_BASE64} HTTP/1.1\r\nHost: bench\r\n\r\n").into()
}

/// `POST /track` of `count` events in JSON, on the wire.
pub fn post(count: usize) -> Vec<u8> {
    let (length, body) = (json(count).len(), json(count));
    format!(
        "POST /track HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into()
}

/// [`EVENT`] with an `$insert_id`, by which it is recognised when it is sent again.
pub const EVENT_WITH_ID: &str = concat!(
    r#"{"event":"Page viewed","properties":{"token":"e3bc4100330c35722740fb8c6f5abddc","#,
    r#""distinct_id":"13793","time":1700000000,"$browser":"Firefox","$os":"Linux","#,
    r#""url":"https://example.org/a/page","seats":12,"trial":false,"mp_lib":"web","#,
    r#""$insert_id":"3sqbb1q7x0y6kzkz"}}"#
);

/// Keeps the events of one request, one behind the other.
#[derive(Clone, Debug, Default)]
struct Sink {
    events: Vec<u8>,
    /// Those that were told, by what they are recognised.
    digests: Vec<EventDigest>,
}

impl RecordSink for Sink {
    fn begin_record(&mut self) -> &mut Vec<u8> {
        &mut self.events
    }

    fn identify(&mut self, identity: &EventIdentity<'_>) {
        self.digests.push(identity.digest(b"0123456789abcdef"));
    }

    fn end_record(&mut self) {
        self.events.push(b'\n');
    }

    fn discard(&mut self, _records: usize) {
        self.events.clear();
    }
}

/// What a tracker keeps from request to request.
#[derive(Debug)]
struct Application {
    decoder: Decoder,
    ids: IdSource,
    sink: Sink,
    limits: TrackingLimits,
    redirects: RedirectPolicy,
}

/// When all of it takes place.
const NOW: UnixTime = UnixTime::from_secs(1_700_000_001);

impl Application {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            ids: IdSource::new(1, 1),
            sink: Sink::default(),
            limits: TrackingLimits::default(),
            redirects: RedirectPolicy::deny(),
        }
    }

    fn decode(&mut self, request: &Request<'_>) -> (windhover_core::http::Response, usize) {
        self.sink.events.clear();
        self.sink.digests.clear();
        let context = Context {
            now: NOW,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            limits: &self.limits,
            redirects: &self.redirects,
            rule: BatchRule::default(),
        };
        let (decoder, ids, sink) = (&mut self.decoder, &mut self.ids, &mut self.sink);
        let batch = decoder.decode(TrackingEndpoint::Track, request, &context, ids, sink);
        match batch.result {
            Ok(events) => (batch.reply.accepted(), events),
            Err(rejection) => (batch.reply.rejected(&rejection), 0),
        }
    }
}

/// The decoder alone, on a request that was parsed.
#[derive(Debug)]
pub struct Tracking(Application);

impl Default for Tracking {
    fn default() -> Self {
        Self(Application::new())
    }
}

impl Tracking {
    /// Decodes `query` of a `GET`: how many events were accepted.
    pub fn get(&mut self, query: &str) -> usize {
        self.0.decode(&Request::new(Method::Get, "/track", query)).1
    }

    /// Decodes JSON that was posted: how many events were accepted.
    pub fn post(&mut self, json: &str) -> usize {
        let mut request = Request::new(Method::Post, "/track", "");
        request.headers = Headers::new(&[("content-type", b"application/json")]);
        request.body = json.as_bytes();
        self.0.decode(&request).1
    }
}

/// Events that were seen of late, as many as may be: each that comes takes the place of the oldest.
#[derive(Debug)]
pub struct Seen {
    window: DedupWindow,
    next: u128,
}

impl Default for Seen {
    fn default() -> Self {
        let mut seen =
            Self { window: DedupWindow::new(1_000_000, Duration::from_secs(3600)), next: 0 };
        for _ in 0..1_000_000 {
            seen.insert();
        }
        seen
    }
}

impl Seen {
    /// Takes one more: whether it was new.
    pub fn insert(&mut self) -> bool {
        self.next += 1;
        // Odd, so that each is another one; as good as random in its low bits.
        let digest = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let digest = EventDigest::from_bytes((digest ^ digest >> 64).to_le_bytes());
        digest.is_some_and(|digest| self.window.insert(digest, Instant::default()).is_ok())
    }
}

/// A HTTP connection and the tracker behind it, without a queue.
#[derive(Debug)]
pub struct Tracker {
    connection: ServerConnection,
    application: Application,
    now: Now,
}

impl Default for Tracker {
    fn default() -> Self {
        let now = Now { instant: Instant::default(), unix: NOW };
        let (limits, timeouts) = (HttpLimits::default(), Timeouts::default());
        let connection = ServerConnection::new(&limits, &timeouts, now.instant);
        Self { connection, application: Application::new(), now }
    }
}

impl Tracker {
    /// Takes what came in, answers every request, and lets everything be written: how many events were
    /// accepted, and the bytes that were written.
    pub fn turn(&mut self, wire: &[u8]) -> (usize, usize) {
        self.connection.receive(wire);
        let (mut accepted, mut written) = (0, 0);
        loop {
            match self.connection.poll_output(self.now) {
                Output::Request(request) => {
                    let (response, events) = self.application.decode(&request);
                    self.connection.respond(&response, self.now.unix);
                    accepted += events;
                }
                Output::Write => {
                    let mut slices = [&b""[..]; 16];
                    let filled = self.connection.unsent(&mut slices);
                    let unsent = slices.iter().take(filled).map(|slice| slice.len()).sum();
                    self.connection.wrote(unsent);
                    written += unsent;
                }
                _ => return (accepted, written),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_accepted() {
        let mut tracking = Tracking::default();
        assert_eq!(tracking.get(&format!("data={EVENT_BASE64}")), 1);
        assert_eq!(tracking.post(&json(1)), 1);
        assert_eq!(tracking.post(&json(50)), 50);
    }

    #[test]
    fn every_request_is_answered() {
        let mut tracker = Tracker::default();
        let (accepted, written) = tracker.turn(&get());
        assert_eq!(accepted, 1);
        assert!(written > 60, "{written} bytes");
        assert_eq!(tracker.turn(&post(1)), (1, written));
        assert_eq!(tracker.turn(&post(50)), (50, written));
    }
}
