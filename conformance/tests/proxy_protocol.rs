//! Who sent an event, behind haproxy and without it: a trusted proxy is believed, nobody else.
#![allow(clippy::panic, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use windhover_conformance::{
    Authority, HttpClient, Proxy, Runtime, Server, Setup, TempDir, eventually, on_each_runtime,
};

const BOUND: Duration = Duration::from_secs(20);
/// A sender.
const SENDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where haproxy connects from.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Whom nobody knows.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const SPOOFED: &str = "6.6.6.6";

fn setup(directory: &TempDir, runtime: Runtime) -> Setup {
    Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .flag("--fsync", "never")
        .flag("--trusted-proxies", &format!("10.0.0.0/8,{PROXY}"))
}

/// Sends an event with `ip=1` and a header of its own making.
fn track(client: &mut HttpClient) -> u16 {
    let body = r#"{"event":"seen","properties":{"token":"t"}}"#;
    let request = format!(
        "POST /track?ip=1 HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         X-Forwarded-For: {SPOOFED}\r\nForwarded: for={SPOOFED}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).expect("the request is taken");
    client.receive().expect("an answer").status
}

/// The address in the next event.
#[track_caller]
fn sender(server: &Server) -> String {
    let item = server.queue_client().get("events").expect("an answer").expect("an event");
    let event: serde_json::Value = serde_json::from_slice(&item).expect("an item is JSON");
    event["properties"]["ip"].as_str().expect("the event has an address").to_owned()
}

/// An event by way of haproxy comes from whoever sent it to haproxy.
#[track_caller]
fn assert_passed_on(server: &Server, how: &str) {
    let to = server.http();
    let haproxy = Proxy::haproxy(&format!("{to} source {PROXY} check inter 100ms {how}"));
    let mut client =
        HttpClient::connect_from(SENDER, haproxy.address()).expect("haproxy takes a connection");
    // Several on one connection: the header comes once.
    for _ in 0..3 {
        assert_eq!(track(&mut client), 200, "{how}");
        assert_eq!(sender(server), SENDER.to_string(), "{how}");
    }
}

fn failures(server: &Server) -> u64 {
    let failures = server.metric("windhover_proxy_header_failures_total");
    failures.expect("the counter is on the page")
}

fn haproxy_says_who_sent_an_event(runtime: Runtime) {
    let directory = TempDir::new("proxy-protocol");
    // Whoever is named by PROXY is no proxy of ours: its header is not believed.
    let server =
        setup(&directory, runtime).switch("--proxy-protocol").flag("--forwarded-hops", "1").start();
    for how in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        assert_passed_on(&server, how);
    }
    assert_eq!(failures(&server), 0, "health checks are connections of haproxy's own");
    server.stop();
}

fn the_header_comes_before_tls(runtime: Runtime) {
    let directory = TempDir::new("proxy-protocol");
    let certificate = Authority::new().sign("tracker.example");
    let server = setup(&directory, runtime)
        .switch("--proxy-protocol")
        .flag("--tls", "http")
        .flag("--tls-cert", &certificate.chain.display().to_string())
        .flag("--tls-key", &certificate.key.display().to_string())
        .start();
    assert_passed_on(&server, "ssl verify none send-proxy");
    assert_passed_on(&server, "ssl verify none send-proxy-v2");
    server.stop();
}

fn nobody_else_is_believed(runtime: Runtime) {
    let directory = TempDir::new("proxy-protocol");
    let server =
        setup(&directory, runtime).switch("--proxy-protocol").flag("--forwarded-hops", "1").start();
    let from = |source| HttpClient::connect_from(source, server.http()).expect("a connection");
    // A stranger is served as who it is, and its header is no request.
    assert_eq!(track(&mut from(STRANGER)), 200);
    assert_eq!(sender(&server), STRANGER.to_string());
    let headers: [&[u8]; 2] = [
        b"PROXY TCP4 6.6.6.6 192.0.2.1 4711 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x06\x06\x06\x06\xc0\x00\x02\x01\x12\x67\x00\x50",
    ];
    for header in headers {
        let mut client = from(STRANGER);
        client.send(header).expect("it is taken");
        assert_eq!(track(&mut client), 400);
    }
    assert_eq!(failures(&server), 0);

    // Of the proxy a header is waited for, and not for ever.
    let mut waits = from(PROXY);
    let since = Instant::now();
    let mut speaks = from(PROXY);
    speaks.send(b"GET /track HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is taken");
    speaks.receive().expect_err("no answer, for nobody knows to whom");
    assert_eq!(failures(&server), 1);
    waits.receive().expect_err("no answer, for nothing was asked");
    assert!(since.elapsed() >= Duration::from_secs(4), "{:?}", since.elapsed());
    eventually("the other failure is counted", BOUND, || (failures(&server) == 2).then_some(()));
    assert_eq!(server.queue_client().get("events").expect("an answer"), None);
    server.stop();
}

fn headers_are_believed_of_trusted_proxies_alone(runtime: Runtime) {
    let directory = TempDir::new("proxy-protocol");
    for (header, source, expected) in [
        ("x-forwarded-for", PROXY, SPOOFED.to_owned()),
        ("x-forwarded-for", STRANGER, STRANGER.to_string()),
        ("forwarded", PROXY, SPOOFED.to_owned()),
        ("forwarded", STRANGER, STRANGER.to_string()),
    ] {
        let server = setup(&directory, runtime)
            .flag("--forwarded-hops", "1")
            .flag("--forwarded-header", header)
            .start();
        let to: SocketAddr = server.http();
        let mut client = HttpClient::connect_from(source, to).expect("a connection");
        assert_eq!(track(&mut client), 200);
        assert_eq!(sender(&server), expected, "{header} of {source}");
        server.stop();
    }
}

on_each_runtime!(
    haproxy_says_who_sent_an_event,
    the_header_comes_before_tls,
    nobody_else_is_believed,
    headers_are_believed_of_trusted_proxies_alone,
);
