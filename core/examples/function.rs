//! The tracking API as a cloud function: no HTTP of our own, no queue. Each line of standard input is the
//! invocation of a function behind an URL (the payload of AWS Lambda's function URLs and HTTP APIs, version
//! 2.0), each line of standard output its response; the records go to standard error, where a real
//! function would hand them to its stream.
//!
//! ```text
//! echo '{"rawPath":"/track","rawQueryString":"data=…","requestContext":{"http":{"method":"GET"}}}' |
//!   cargo run -p windhover-core -F tracking,gzip --example function
//! ```

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use windhover_core::UnixTime;
use windhover_core::http::{Headers, Method, Request, Response};
use windhover_core::tracking::{
    BatchRule, Context, Decoder, IdSource, Records, RedirectPolicy, Route, TrackingLimits,
    method_not_allowed, not_found, preflight, route,
};

/// What a function keeps from one invocation to the next.
#[derive(Debug)]
struct Function {
    decoder: Decoder,
    ids: IdSource,
    limits: TrackingLimits,
    redirects: RedirectPolicy,
}

impl Function {
    fn new(seed: u64) -> Self {
        Self {
            decoder: Decoder::new(),
            ids: IdSource::new(seed, 1),
            limits: TrackingLimits::default(),
            redirects: RedirectPolicy::deny(),
        }
    }

    /// Answers one invocation; `keep` takes each record, and says whether it is safe.
    fn invoke(&mut self, event: &Value, now: UnixTime, keep: impl FnMut(&[u8]) -> bool) -> Value {
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let headers: Vec<(&str, &[u8])> = event
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default().as_bytes()))
            .collect();
        let body = match event.get("isBase64Encoded").and_then(Value::as_bool) {
            // What is no base64 has no records either, and is answered so.
            Some(true) => STANDARD.decode(text("/body")).unwrap_or_default(),
            _ => text("/body").as_bytes().to_vec(),
        };
        // What is no method is answered like one that is not served.
        let method =
            Method::from_name(text("/requestContext/http/method")).unwrap_or(Method::Trace);
        let mut request = Request::new(method, text("/rawPath"), text("/rawQueryString"));
        request.headers = Headers::new(&headers);
        request.body = &body;
        let client = text("/requestContext/http/sourceIp").parse();
        respond(&self.answer(
            &request,
            now,
            client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            keep,
        ))
    }

    fn answer(
        &mut self,
        request: &Request<'_>,
        now: UnixTime,
        client: IpAddr,
        keep: impl FnMut(&[u8]) -> bool,
    ) -> Response {
        let endpoint = match route(request.method, request.path) {
            Route::Record(endpoint) => endpoint,
            Route::NotBuilt(path) => return path.response(&request.headers),
            Route::Preflight => return preflight(request),
            Route::MethodNotAllowed => return method_not_allowed(request),
            _ => return not_found(&request.headers),
        };
        let (limits, redirects, rule) = (&self.limits, &self.redirects, BatchRule::EachEvent);
        let context = Context { now, client, limits, redirects, rule };
        let mut records = Records::new();
        let batch = self.decoder.decode(endpoint, request, &context, &mut self.ids, &mut records);
        match batch.result {
            Err(rejection) => batch.reply.rejected(&rejection),
            Ok(_) if records.as_slice().iter().map(Vec::as_slice).all(keep) => {
                batch.reply.accepted()
            }
            // 503: the sender tries again.
            Ok(_) => batch.reply.not_durable(),
        }
    }
}

/// A response as the function's caller expects it.
fn respond(response: &Response) -> Value {
    let mut headers = Map::new();
    headers.insert("Content-Type".to_owned(), response.content_type.into());
    for (name, value) in response.fixed_headers.iter() {
        headers.insert(name.to_owned(), value.into());
    }
    for (name, value) in &response.headers {
        headers.insert((*name).to_owned(), value.as_ref().into());
    }
    json!({
        "statusCode": response.status.0,
        "headers": headers,
        "isBase64Encoded": true,
        "body": STANDARD.encode(&response.body),
    })
}

fn main() -> io::Result<()> {
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A real function takes it from a random source.
    let mut function = Function::new(u64::from(since_1970().subsec_nanos()) << 32);
    for line in io::stdin().lock().lines() {
        let event: Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
        let now = UnixTime::from_secs(since_1970().as_secs());
        let mut out = io::stderr().lock();
        let response = function.invoke(&event, now, |record| {
            out.write_all(record).and_then(|()| out.write_all(b"\n")).is_ok()
        });
        println!("{response}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(method: &str, path: &str, body: &str, safe: bool) -> (Value, Vec<String>) {
        let event = json!({
            "rawPath": path,
            "rawQueryString": "ip=1",
            "headers": {"content-type": "application/json"},
            "requestContext": {"http": {"method": method, "sourceIp": "203.0.113.9"}},
            "body": STANDARD.encode(body),
            "isBase64Encoded": true,
        });
        let mut kept = Vec::new();
        let response =
            Function::new(1).invoke(&event, UnixTime::from_secs(1_700_000_000), |record| {
                kept.push(String::from_utf8_lossy(record).into_owned());
                safe
            });
        (response, kept)
    }

    fn body(response: &Value) -> Vec<u8> {
        STANDARD.decode(response["body"].as_str().unwrap_or_default()).unwrap()
    }

    #[test]
    fn records_are_kept_and_answered() {
        let event = r#"{"event":"e","properties":{"token":"t"}}"#;
        let (response, kept) = invoke("POST", "/track", event, true);
        assert_eq!((&response["statusCode"], body(&response)), (&json!(200), b"1".to_vec()));
        assert!(kept[0].contains(r#""ip":"203.0.113.9""#), "{kept:?}");
        let (response, _) = invoke("POST", "/track", event, false);
        assert_eq!(response["statusCode"], 503);
        assert_eq!(response["headers"]["Retry-After"], "2");
        let (response, kept) = invoke("POST", "/engage", event, true);
        assert_eq!((body(&response), kept.len()), (b"0".to_vec(), 0));
        for (method, path, status) in [
            ("OPTIONS", "/track", 204),
            ("PUT", "/track", 405),
            ("GET", "/", 404),
            ("GET", "/flags", 200),
        ] {
            assert_eq!(invoke(method, path, "", true).0["statusCode"], status, "{method} {path}");
        }
    }
}
