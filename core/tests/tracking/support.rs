//! One request in, its events and its answer out.
// Each test file uses some of it; a panic is the failure.

use std::net::{IpAddr, Ipv4Addr};

use windhover_core::UnixTime;
use windhover_core::http::{Headers, Method, Request, Response};
use windhover_core::tracking::{
    BatchRule, Context, DecodeError, Decoded, Decoder, IdSource, OverBudget, Records,
    RedirectPolicy, RefusedRecord, Repairs, Route, TrackingEndpoint, TrackingLimits, TrackingReply,
    route,
};

/// 2012-04-19 18:20:01.234 UTC.
pub(crate) const NOW: UnixTime = UnixTime::from_millis(1_334_859_601_234);

/// What is stamped on an event that brings neither `time` nor `$insert_id`.
pub(crate) const STAMPS: &str = concat!(
    r#","time":1334859601234,"mp_processing_time_ms":1334859601234"#,
    r#","$insert_id":"000000000000000a0000000b00000000""#
);

pub(crate) struct Outcome {
    pub(crate) reply: TrackingReply,
    pub(crate) result: Result<usize, DecodeError>,
    pub(crate) events: Vec<String>,
    pub(crate) refused: Vec<RefusedRecord>,
    pub(crate) repairs: Repairs,
}

impl Outcome {
    /// The answer, as if every event became durable.
    pub(crate) fn answer(&self) -> Response {
        match &self.result {
            Ok(_) => self.reply.accepted(),
            Err(rejection) => self.reply.rejected(rejection),
        }
    }

    pub(crate) fn body(&self) -> String {
        String::from_utf8(self.answer().body.into_owned()).unwrap()
    }
}

pub(crate) struct Tracker {
    pub(crate) limits: TrackingLimits,
    pub(crate) redirects: RedirectPolicy,
    pub(crate) client: IpAddr,
    pub(crate) rule: BatchRule,
    pub(crate) decoder: Decoder,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            limits: TrackingLimits::default(),
            redirects: RedirectPolicy::deny(),
            client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
            rule: BatchRule::default(),
            decoder: Decoder::new(),
        }
    }
}

impl Tracker {
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Outcome {
        self.send_within(usize::MAX, request).unwrap()
    }

    pub(crate) fn send_within(
        &mut self,
        budget: usize,
        request: &Request<'_>,
    ) -> Result<Outcome, OverBudget> {
        // Some tests have methods that no path takes.
        let endpoint = match route(request.method, request.path) {
            Route::Record(endpoint) => endpoint,
            _ => TrackingEndpoint::Track,
        };
        let context = Context {
            now: NOW,
            client: self.client,
            limits: &self.limits,
            redirects: &self.redirects,
            rule: self.rule,
        };
        let mut events = Records::new();
        let mut ids = IdSource::new(10, 11);
        let decoded = if budget == usize::MAX {
            self.decoder.decode(endpoint, request, &context, &mut ids, &mut events)
        } else {
            self.decoder.decode_within(
                budget,
                endpoint,
                request,
                &context,
                &mut ids,
                &mut events,
            )?
        };
        let Decoded { reply, result, refused, repairs, .. } = decoded;
        let events: Vec<_> =
            events.take().into_iter().map(|event| String::from_utf8(event).unwrap()).collect();
        assert_eq!(result.clone().unwrap_or(0), events.len());
        Ok(Outcome { reply, result, events, refused, repairs })
    }

    pub(crate) fn get(&mut self, query: &str) -> Outcome {
        self.send(&Request::new(Method::Get, "/track", query))
    }

    pub(crate) fn post(&mut self, query: &str, content_type: &str, body: &[u8]) -> Outcome {
        let mut request = Request::new(Method::Post, "/track", query);
        let entries = [("content-type", content_type.as_bytes())];
        request.headers = Headers::new(&entries);
        request.body = body;
        self.send(&request)
    }

    pub(crate) fn json(&mut self, body: &str) -> Outcome {
        self.post("", "application/json", body.as_bytes())
    }
}

pub(crate) fn get(query: &str) -> Outcome {
    Tracker::default().get(query)
}

pub(crate) fn post(query: &str, content_type: &str, body: &str) -> Outcome {
    Tracker::default().post(query, content_type, body.as_bytes())
}

pub(crate) fn json(body: &str) -> Outcome {
    Tracker::default().json(body)
}

/// What a JSON body is refused for.
pub(crate) fn refusal(body: &str) -> String {
    json(body).result.unwrap_err().to_string()
}
