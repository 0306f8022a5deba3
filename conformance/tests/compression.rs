//! Compressed values of this client and of pymemcache and pylibmc, read by each other.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use windhover_client::{Client, Compression, FLAG_ZLIB, Store};
use windhover_conformance::{CacheServer, Runtime, on_each_runtime, python, run};

/// The flag of text, in pymemcache (`FLAG_TEXT`) and pylibmc (`PYLIBMC_FLAG_TEXT`).
const FLAG_TEXT: u32 = 16;

/// What `compressed.py` has too: key, value, flags, and whether it is worth compressing.
fn values() -> [(&'static str, Vec<u8>, u32, bool); 3] {
    let bytes: Vec<u8> = (0..=255).collect();
    [
        ("text", "žluťoučký kůň, again and again; ".repeat(500).into_bytes(), FLAG_TEXT, true),
        ("bytes", bytes.repeat(100), 0, true),
        ("short", b"not worth it".to_vec(), FLAG_TEXT, false),
    ]
}

fn peer(library: &str, what: &str, server: &CacheServer) {
    let mut driver = python("compressed.py");
    driver.args([library, what, &server.address().to_string()]);
    run(&mut driver, Duration::from_secs(60)).expect_code(0);
}

/// The flags on the wire, and the length.
async fn stored(client: &Client, key: &str) -> (u64, u64) {
    let found = client.meta_get(key, "f s").await.unwrap();
    let number = |flag| found.flags().unsigned(flag).unwrap();
    (number(b'f'), number(b's'))
}

async fn read_each_other(runtime: Runtime, library: &str) {
    let server = CacheServer::memcached(&[]);
    let builder = Client::builder()
        .server(&server.address().to_string())
        .timeout(Duration::from_secs(10))
        .compression(Compression::Zlib { from: 400 });
    let client = runtime.connect(builder);

    peer(library, "store", &server);
    for (key, value, flags, is_compressed) in values() {
        let (wire_flags, length) = stored(&client, key).await;
        let packed = if is_compressed { FLAG_ZLIB } else { 0 };
        assert_eq!(wire_flags, u64::from(flags | packed), "{library}, {key}");
        assert_eq!(length < value.len() as u64 / 2, is_compressed, "{library}, {key}: {length}");
        let found = client.get(key).await.unwrap().unwrap();
        assert!(found.data == value, "{library}, {key}: not what was stored");
        assert_eq!(found.flags, flags, "{library}, {key}");
    }

    server.flush();
    for (key, value, flags, is_compressed) in values() {
        client.set(key, Store::from(value.clone()).flags(flags)).await.unwrap();
        let (wire_flags, length) = stored(&client, key).await;
        assert_eq!(wire_flags & u64::from(FLAG_ZLIB) != 0, is_compressed, "{key}");
        assert_eq!(length < value.len() as u64 / 2, is_compressed, "{key}: {length}");
    }
    peer(library, "load", &server);
}

async fn pymemcache_and_this_client(runtime: Runtime) {
    read_each_other(runtime, "pymemcache").await;
}

async fn pylibmc_and_this_client(runtime: Runtime) {
    read_each_other(runtime, "pylibmc").await;
}

on_each_runtime!(
    async:
    pymemcache_and_this_client,
    pylibmc_and_this_client,
);
