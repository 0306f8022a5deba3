//! One step for each module; `None` says that it did not give what it should.

use core::net::{IpAddr, Ipv4Addr};

use windhover_core::{
    Now, Timeouts,
    client::ring::{Member, Naming, Rendezvous, Ring},
    http::{self, HttpLimits, Method, Response, Status},
    memcache::{self, Dialect, Limits},
    queue::{Config, ConnId, Engine, EngineOutput, OpId, OpOutcome, PutBuilder, Read, Written},
    tracking::{
        BatchRule, Context, Decoder, IdSource, Records, RedirectPolicy, TrackingEndpoint,
        TrackingLimits,
    },
};

/// In the order of their numbers, from 1.
pub(crate) const ALL: [fn() -> Option<()>; 5] = [queue, http, memcache, tracking, ring];

fn given(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// An item goes through the queue and its journal's records.
fn queue() -> Option<()> {
    let now = Now::default();
    let mut engine = Engine::new(Config::default());
    let mut put = PutBuilder::new(b"events", now.unix).ok()?;
    put.item(None, b"hello");
    engine.put(OpId(1), put.finish(), now).ok()?;
    let batch = engine.begin_append()?;
    engine.journaled(batch, Ok(Written { segment: 1, offset: 64 }), now);
    given(matches!(
        engine.poll_output(now),
        EngineOutput::Done { outcome: OpOutcome::Stored, .. }
    ))?;
    let got = engine.get(OpId(2), ConnId(1), b"events", Read::default(), now);
    given(matches!(got, Some(OpOutcome::Item(item)) if item == b"hello"[..]))
}

/// A request comes in and its answer goes out.
fn http() -> Option<()> {
    let now = Now::default();
    let (limits, timeouts) = (HttpLimits::default(), Timeouts::default());
    let mut connection = http::ServerConnection::new(&limits, &timeouts, now.instant);
    connection.receive(b"GET /track?data=e30 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let http::Output::Request(request) = connection.poll_output(now) else {
        return None;
    };
    given(request.path == "/track" && request.query == "data=e30")?;
    connection.respond(&Response::new(Status::OK, "text/plain", &b"1"[..]), now.unix);
    given(matches!(connection.poll_output(now), http::Output::Write))?;
    let mut slices: [&[u8]; 4] = [&[]; 4];
    let count = connection.unsent(&mut slices);
    given(count > 0 && slices[0].starts_with(b"HTTP/1.1 200 OK\r\n"))
}

/// A request in kestrel's dialect comes in, and an item goes out.
fn memcache() -> Option<()> {
    let now = Now::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection =
        memcache::ServerConnection::new(Dialect::Kestrel, &limits, &timeouts, now.instant);
    connection.receive(b"get events/open\r\n");
    given(matches!(connection.poll_output(now), memcache::Output::Request { .. }))?;
    connection.responses_mut().respond(&memcache::response::Response::End);
    given(matches!(connection.poll_output(now), memcache::Output::Write))?;
    let mut slices: [&[u8]; 4] = [&[]; 4];
    let count = connection.unsent(&mut slices);
    given(count > 0 && slices[0] == b"END\r\n")
}

/// An event in base64 becomes a line of JSON.
fn tracking() -> Option<()> {
    let query = "data=eyJldmVudCI6ImUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCJ9fQ";
    let request = http::Request::new(Method::Get, "/track", query);
    let context = Context {
        now: Now::default().unix,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        limits: &TrackingLimits::default(),
        redirects: &RedirectPolicy::deny(),
        rule: BatchRule::default(),
    };
    let mut records = Records::new();
    let batch = Decoder::new().decode(
        TrackingEndpoint::Track,
        &request,
        &context,
        &mut IdSource::new(1, 1),
        &mut records,
    );
    given(batch.result == Ok(1))?;
    let line = records.as_slice().first()?;
    given(line.starts_with(br#"{"event":"e","properties":{"token":"t","time":"#))
}

/// A key finds its server, on the ring and without one.
fn ring() -> Option<()> {
    let members = [Member::new(b"10.0.0.1:11211", 1), Member::new(b"10.0.0.2:11211", 0)];
    let ring = Ring::new(&members, Naming::Libmemcached).ok()?;
    given(ring.owner(b"key") == Some(0))?;
    given(Rendezvous::new(&members).owners(b"key").eq([0]))
}
