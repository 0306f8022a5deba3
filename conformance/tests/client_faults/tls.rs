//! memcached over TLS.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windhover_client::{Client, Tls};
use windhover_conformance::{
    Authority, CacheServer, Fault, FaultProxy, FullBacklog, Runtime, TempDir, on_each_runtime,
    report, sleep,
};
use windhover_core::client::{ConnectFailure, NotSent};
use windhover_core::memcache::Reason;

use crate::{LONG, ends_at, ends_at_once, is_gone, not_sent, once, sent_once, text, unknown};

const DEADLINE: Duration = Duration::from_millis(300);

fn trusting(authority: &Authority) -> Tls {
    Tls::trusting(authority.pem().as_bytes()).unwrap()
}

fn client(runtime: Runtime, server: &CacheServer, tls: Tls) -> Client {
    runtime.connect(sent_once(&server.address(), LONG).tls(tls))
}

async fn a_server_with_a_certificate_of_its_address_is_used(runtime: Runtime) {
    let authority = Authority::new();
    let server = CacheServer::memcached_with_tls(&authority.sign("127.0.0.1"), &[]);
    let client = client(runtime, &server, trusting(&authority));
    client.set("a", "one").await.unwrap();
    assert_eq!(text(client.get("a").await), "one");
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    client.set("large", large.clone()).await.unwrap();
    assert_eq!(client.get("large").await.unwrap().unwrap().data, large);
}

async fn a_server_with_a_certificate_of_the_given_name_is_used(runtime: Runtime) {
    let authority = Authority::new();
    let server = CacheServer::memcached_with_tls(&authority.sign("cache.example.com"), &[]);
    let tls = trusting(&authority).server_name("cache.example.com").unwrap();
    let client = client(runtime, &server, tls);
    client.set("a", "one").await.unwrap();
    assert_eq!(text(client.get("a").await), "one");
}

async fn certificates_that_prove_nothing_are_refused_at_once(runtime: Runtime) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cases = [
        ("another name", authority.sign("cache.example.com"), "not valid for name"),
        ("unknown authority", stranger.sign("127.0.0.1"), "UnknownIssuer"),
        ("expired", authority.sign_expired("127.0.0.1"), "certificate expired"),
    ];
    for (what, certificate, expected) in cases {
        let server = CacheServer::memcached_with_tls(&certificate, &[]);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tls = trusting(&authority).on_failure({
            let told = Arc::clone(&told);
            move |server, why| told.lock().unwrap().push(format!("{}: {why}", server.name))
        });
        let client = client(runtime, &server, tls);
        let refused = ends_at_once(&format!("TLS, {what}, get"), client.get("a")).await;
        let refused = refused.unwrap_err();
        assert_eq!(not_sent(&refused), NotSent::Connect(ConnectFailure::Tls));
        // Who asks is told, too.
        assert!(format!("{refused:#}").contains(expected), "expected `{expected}`: {refused:#}");
        let told = told.lock().unwrap().join("; ");
        assert!(told.contains(expected), "expected `{expected}`: {told}");
        assert!(told.starts_with(&server.address().to_string()), "{told}");
    }
}

async fn a_server_without_tls_is_no_server(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let builder =
        sent_once(&server.address(), LONG).options(|options| options.connect_timeout = DEADLINE);
    let client = runtime.connect(builder.tls(trusting(&Authority::new())));
    // It may take the greeting for an unfinished command, and wait for the rest.
    let refused = ends_at_once("TLS with a server without, get", client.get("a")).await;
    let why = not_sent(&refused.unwrap_err());
    let expected = [ConnectFailure::Tls, ConnectFailure::TimedOut].map(NotSent::Connect);
    assert!(expected.contains(&why), "{why}");
    // And the other way around.
    let authority = Authority::new();
    let server = CacheServer::memcached_with_tls(&authority.sign("127.0.0.1"), &[]);
    let plain = once(runtime, &server.address(), LONG);
    let refused = ends_at_once("no TLS with a server with, get", plain.get("a")).await;
    assert!(matches!(unknown(&refused.unwrap_err()), Reason::End(_)));
}

async fn a_handshake_that_hangs_ends_at_the_connect_timeout(runtime: Runtime) {
    let authority = Authority::new();
    let server = CacheServer::memcached_with_tls(&authority.sign("127.0.0.1"), &[]);
    server.pause();
    let port = FullBacklog::new();
    for (what, address) in [("handshake hangs", server.address()), ("dropped SYN", port.address())]
    {
        let builder =
            sent_once(&address, LONG).options(|options| options.connect_timeout = DEADLINE);
        let client = runtime.connect(builder.tls(trusting(&authority)));
        let late = ends_at(&format!("TLS, {what}, get"), DEADLINE, client.get("a")).await;
        let why = not_sent(&late.unwrap_err());
        assert_eq!(why, NotSent::Connect(ConnectFailure::TimedOut));
    }
}

async fn a_hang_ends_calls_at_their_deadline_and_large_values_arrive_after_it(runtime: Runtime) {
    let authority = Authority::new();
    let server = CacheServer::memcached_with_tls(&authority.sign("127.0.0.1"), &["-m", "64"]);
    let builder = sent_once(&server.address(), LONG).options(|options| {
        options.timeouts.stall = LONG;
        options.timeouts.write = LONG;
    });
    let client = runtime.connect(builder.tls(trusting(&authority)));
    client.set("a", "one").await.unwrap();
    server.pause();
    let hasty = client.with_timeout(DEADLINE);
    let late = ends_at("TLS, hang, get", DEADLINE, hasty.get("a")).await.unwrap_err();
    assert_eq!(unknown(&late), Reason::Deadline);
    // More than sockets take: the rest waits in every layer.
    let large: Vec<_> = (0..16_u8)
        .map(|n| {
            let client = client.clone();
            runtime.spawn(async move { client.set(format!("{n}"), vec![n; 1_000_000]).await })
        })
        .collect();
    sleep(DEADLINE).await;
    server.resume();
    for task in large {
        task.await.unwrap();
    }
    for n in 0..16_u8 {
        assert_eq!(client.get(format!("{n}")).await.unwrap().unwrap().data, vec![n; 1_000_000]);
    }
    assert_eq!(client.statistics()[0].counters.connects, 1);
}

async fn what_breaks_into_the_stream_ends_the_connection(runtime: Runtime) {
    let authority = Authority::new();
    let server = CacheServer::memcached_with_tls(&authority.sign("127.0.0.1"), &[]);
    let proxy = FaultProxy::before(server.address());
    let builder = sent_once(&proxy.address(), LONG).tls(trusting(&authority));
    let client = runtime.connect(builder);
    let faults = [
        // In the clear, it would be the reply.
        Fault::Replace(b"STORED\r\n".to_vec()),
        // A record whose contents nobody has encrypted.
        Fault::Replace(b"\x17\x03\x03\0\x20STORED\r\n----------------------\r\n".to_vec()),
        Fault::Truncate(0),
        Fault::Truncate(3),
        Fault::Truncate(10),
        Fault::HalfClose,
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        client.set("a", "one").await.unwrap();
        let what = format!("TLS, {fault:?}, set");
        proxy.next_reply(fault);
        let end = ends_at_once(&what, client.set("a", n.to_string())).await.unwrap_err();
        assert!(is_gone(unknown(&end)), "{what}: {end}");
        // It has come to the server all the same.
        assert_eq!(text(client.get("a").await), n.to_string(), "{what}");
    }
    assert_eq!(proxy.accepted(), 7);
}

async fn a_server_that_asks_for_a_certificate_gets_one(runtime: Runtime) {
    let authority = Authority::new();
    let (own, clients) = (authority.sign("127.0.0.1"), authority.sign("client.example.com"));
    let files = TempDir::new("authority");
    // memcached gives up root's rights.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(files.path(), open).unwrap();
    let pem = files.path().join("authority.pem");
    std::fs::write(&pem, authority.pem()).unwrap();
    // 2: those without are turned away.
    let options = format!("ssl_verify_mode=2,ssl_ca_cert={}", pem.display());
    let server = CacheServer::memcached_with_tls(&own, &["-o", &options]);
    let (chain, key) =
        (std::fs::read(&clients.chain).unwrap(), std::fs::read(&clients.key).unwrap());
    let known = Tls::trusting_as(authority.pem().as_bytes(), &chain, &key).unwrap();
    let known = client(runtime, &server, known);
    known.set("a", "one").await.unwrap();
    assert_eq!(text(known.get("a").await), "one");
    let unknown_client = client(runtime, &server, trusting(&authority));
    let refused = ends_at_once("TLS, no client certificate, get", unknown_client.get("a")).await;
    let refused = refused.unwrap_err();
    report(&format!("without a certificate: {refused}"));
    // With TLS 1.3 the client takes the connection for made before the server has looked.
    match refused.outcome() {
        windhover_client::Outcome::Unknown => assert!(is_gone(unknown(&refused)), "{refused}"),
        _ => assert_eq!(not_sent(&refused), NotSent::Connect(ConnectFailure::Tls)),
    }
}

on_each_runtime!(
    async:
    a_server_with_a_certificate_of_its_address_is_used,
    a_server_with_a_certificate_of_the_given_name_is_used,
    certificates_that_prove_nothing_are_refused_at_once,
    a_server_without_tls_is_no_server,
    a_handshake_that_hangs_ends_at_the_connect_timeout,
    a_hang_ends_calls_at_their_deadline_and_large_values_arrive_after_it,
    what_breaks_into_the_stream_ends_the_connection,
    a_server_that_asks_for_a_certificate_gets_one,
);
