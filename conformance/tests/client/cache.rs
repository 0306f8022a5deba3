//! The commands of caches.

use std::time::Duration;

use windhover_client::{Cas, Client, Compression, ErrorKind, Expires, Outcome, Store, ValueError};
use windhover_conformance::{CacheServer, Runtime, on_each_runtime};
use windhover_core::client::CallError;
use windhover_core::memcache::meta::MetaCode;
use windhover_core::memcache::request::EncodeError;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs a test against the real memcached, then against `windhover cache`.
async fn on_both<F: Future<Output = ()>>(runtime: Runtime, test: impl Fn(Client) -> F) {
    for server in [CacheServer::memcached(&[]), CacheServer::windhover(runtime, &[])] {
        let address = server.address().to_string();
        let builder = Client::builder().server(&address).timeout(Duration::from_secs(10));
        test(runtime.connect(builder)).await;
    }
}

async fn one_key_at_a_time(runtime: Runtime) {
    on_both(runtime, |client| async move {
        assert_eq!(client.get("k").await.unwrap(), None);
        client.set("k", Store::from("hello").flags(7)).await.unwrap();
        let value = client.get("k").await.unwrap().unwrap();
        assert_eq!((&value.data[..], value.flags, value.cas), (&b"hello"[..], 7, None));
        assert!(!client.add("k", "again").await.unwrap());
        assert!(client.add("new", "added").await.unwrap());
        assert!(client.replace("k", "world").await.unwrap());
        assert!(!client.replace("none", "world").await.unwrap());
        assert!(client.append("k", "!").await.unwrap());
        assert!(client.prepend("k", ">").await.unwrap());
        assert!(!client.append("none", "!").await.unwrap());
        let unique = client.gets("k").await.unwrap().unwrap().cas.unwrap();
        assert_eq!(client.cas("k", "swapped", unique).await.unwrap(), Cas::Stored);
        assert_eq!(client.cas("k", "late", unique).await.unwrap(), Cas::Changed);
        assert_eq!(client.cas("none", "late", unique).await.unwrap(), Cas::Gone);
        assert_eq!(&client.gat("k", MINUTE).await.unwrap().unwrap().data[..], b"swapped");
        assert!(client.gats("k", Expires::Never).await.unwrap().unwrap().cas.is_some());
        assert!(client.touch("k", MINUTE).await.unwrap());
        assert!(!client.touch("none", MINUTE).await.unwrap());
        assert!(client.delete("k").await.unwrap());
        assert!(!client.delete("k").await.unwrap());
        client.set("n", "18446744073709551615").await.unwrap();
        assert_eq!(client.incr("n", 2).await.unwrap(), Some(1));
        assert_eq!(client.decr("n", 5).await.unwrap(), Some(0));
        assert_eq!(client.incr("none", 1).await.unwrap(), None);
        client.set("t", "text").await.unwrap();
        let refused = client.incr("t", 1).await.unwrap_err();
        assert_eq!(refused.outcome(), Outcome::Refused);
        assert!(refused.to_string().contains("non-numeric"), "{refused}");
        client.set("large", vec![b'x'; 1_000_000]).await.unwrap();
        assert_eq!(client.get("large").await.unwrap().unwrap().data.len(), 1_000_000);
        // What would become another command is never sent.
        let bad = client.get("a key").await.unwrap_err();
        assert!(matches!(
            bad.kind(),
            ErrorKind::Key(EncodeError::ForbiddenByte { byte: b' ', at: 1 })
        ));
    })
    .await;
}

async fn many_keys_at_a_time_each_told_for_itself(runtime: Runtime) {
    on_both(runtime, |client| async move {
        let items = (0..500).map(|n| (format!("key-{n}"), format!("value {n}")));
        let stored = client.set_many(items).await;
        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
        let keys: Vec<String> = (0..510).map(|n| format!("key-{n}")).collect();
        for (n, found) in client.get_many(&keys).await.into_iter().enumerate() {
            let found = found.unwrap().map(|value| value.data);
            assert_eq!(found, (n < 500).then(|| format!("value {n}").into()), "{n}");
        }
        for (n, deleted) in client.delete_many(&keys).await.into_iter().enumerate() {
            assert_eq!(deleted.unwrap(), n < 500);
        }
        let stored = client.set_many(["good", "b ad", "last"].map(|key| (key, "v"))).await;
        let [Ok(()), Err(bad), Ok(())] = &stored[..] else { panic!("{stored:?}") };
        assert!(matches!(bad.kind(), ErrorKind::Key(_)), "{bad}");
        assert_eq!(bad.key(), Some(&b"b ad"[..]));
    })
    .await;
}

async fn a_dead_server_spoils_only_its_own_keys(runtime: Runtime) {
    let (alive, dead) = (CacheServer::memcached(&[]), CacheServer::memcached(&[]));
    let builder =
        Client::builder().server(&alive.address().to_string()).server(&dead.address().to_string());
    let client = runtime.connect(builder);
    let keys: Vec<String> = (0..100).map(|n| format!("key-{n}")).collect();
    let items = keys.iter().map(|key| (key, key));
    assert!(client.set_many(items).await.iter().all(Result::is_ok));
    let dead_address = dead.address().to_string();
    drop(dead);
    let mut failed = 0;
    for (key, found) in keys.iter().zip(client.get_many(&keys).await) {
        match found {
            Ok(value) => assert_eq!(value.expect("no failure looks like a miss").data, *key),
            Err(error) => {
                assert_eq!(error.server().unwrap().name.as_ref(), dead_address);
                assert_eq!(error.key(), Some(key.as_bytes()));
                let ErrorKind::Call(error) = error.kind() else { panic!("{error}") };
                assert!(!matches!(error, CallError::Refused { .. }));
                failed += 1;
            }
        }
    }
    assert!((1..100).contains(&failed), "{failed}");
}

async fn meta_commands(runtime: Runtime) {
    on_both(runtime, |client| async move {
        let done = client.meta_set("k", "hello", "c T60 F5").await.unwrap();
        assert_eq!(done.code, MetaCode::Done);
        let unique = done.flags().unsigned(b'c').unwrap();
        let found = client.meta_get("k", "v f t c k").await.unwrap();
        assert_eq!(found.code, MetaCode::Value);
        assert_eq!(found.flags().unsigned(b'f'), Some(5));
        assert_eq!(found.flags().unsigned(b'c'), Some(unique));
        assert_eq!(&found.value.into_bytes()[..], b"hello");
        assert_eq!(client.meta_get("none", "v").await.unwrap().code, MetaCode::Miss);
        let exists = client.meta_set("k", "x", format!("C{}", unique + 1)).await.unwrap();
        assert_eq!(exists.code, MetaCode::Exists);
        client.meta_set("n", "5", "").await.unwrap();
        let sum = client.meta_arithmetic("n", "v D3").await.unwrap();
        assert_eq!(&sum.value.into_bytes()[..], b"8");
        assert_eq!(client.meta_delete("k", "").await.unwrap().code, MetaCode::Done);
        assert_eq!(client.meta_delete("k", "").await.unwrap().code, MetaCode::NotFound);
        let quiet = client.meta_get("k", "q").await.unwrap_err();
        assert!(matches!(quiet.kind(), ErrorKind::Request(EncodeError::NeedsBarrier)));
    })
    .await;
}

async fn what_servers_tell_of_themselves(runtime: Runtime) {
    on_both(runtime, |client| async move {
        let versions = client.versions().await;
        assert!(matches!(&versions[..], [(_, Ok(version))] if !version.is_empty()));
        let (server, _) = client.servers()[0].clone();
        let stats = client.stats_of(server, "").await.unwrap();
        assert!(stats.iter().any(|(name, _)| &name[..] == b"cmd_get"));
        client.set("k", "v").await.unwrap();
        client.flush_all_of(server).await.unwrap();
        assert_eq!(client.get("k").await.unwrap(), None);
        let [server] = &client.statistics()[..] else { panic!("one server") };
        assert!(server.counters.answered >= 4 && server.connections == 1, "{server:?}");
        assert_eq!(server.counters.latency.count(), server.counters.answered);
    })
    .await;
}

async fn compressed_and_json_values(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let builder = || Client::builder().server(&server.address().to_string());
    let plain = runtime.connect(builder());
    for compression in [Compression::Zlib { from: 100 }, Compression::Zstd { from: 100 }] {
        let packing = runtime.connect(builder().compression(compression));
        let text = "again and ".repeat(1000);
        packing.set("packed", Store::from(text.clone()).flags(16)).await.unwrap();
        let stored = plain.meta_get("packed", "s f").await.unwrap();
        assert!(stored.flags().unsigned(b's').unwrap() < 200);
        // Whoever knows compression gets the text, whatever it was told about storing.
        let reading = runtime.connect(builder().compression(Compression::ReadOnly));
        for client in [&packing, &reading] {
            let value = client.get("packed").await.unwrap().unwrap();
            assert_eq!((&value.data[..], value.flags), (text.as_bytes(), 16));
            assert_eq!(
                client.with_raw_values().get("packed").await.unwrap(),
                plain.get("packed").await.unwrap()
            );
        }
        packing.append("packed", ", and more").await.unwrap();
        let behind = packing.get("packed").await.unwrap_err();
        assert!(
            matches!(behind.kind(), ErrorKind::Value(ValueError::DataBehind { length: 10 })),
            "{behind}"
        );
    }
    plain.set("json", Store::json(&vec![1, 2, 3]).unwrap()).await.unwrap();
    assert_eq!(plain.get_json::<Vec<u8>>("json").await.unwrap(), Some(vec![1, 2, 3]));
    let wrong = plain.get_json::<String>("json").await.unwrap_err();
    assert!(matches!(wrong.kind(), ErrorKind::Value(ValueError::Json(_))));
    assert_eq!(wrong.outcome(), Outcome::Done);
}

async fn many_tasks_share_one_connection(runtime: Runtime) {
    on_both(runtime, |client| async move {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let client = client.clone();
                runtime.spawn(async move {
                    for round in 0..100 {
                        let key = format!("{task}-{round}");
                        client.set(&key, key.clone()).await.unwrap();
                        assert_eq!(client.get(&key).await.unwrap().unwrap().data, key);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        assert_eq!(client.statistics()[0].counters.connects, 1);
    })
    .await;
}

#[test]
fn a_thread_without_a_runtime_waits_too() {
    let server = CacheServer::memcached(&[]);
    let runtime = ::tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let client = {
        let _inside = runtime.enter();
        windhover_tokio::connect(Client::builder().server(&server.address().to_string())).unwrap()
    };
    windhover_client::block_on(async {
        client.set("k", "v").await.unwrap();
        assert!(client.get("k").await.unwrap().is_some());
    });
    // A runtime that goes takes nobody's call with it unanswered.
    drop(runtime);
    let gone = windhover_client::block_on(client.get("k")).unwrap_err();
    assert_eq!(gone.outcome(), Outcome::NotSent);
}

on_each_runtime!(
    async:
    one_key_at_a_time,
    many_keys_at_a_time_each_told_for_itself,
    a_dead_server_spoils_only_its_own_keys,
    meta_commands,
    what_servers_tell_of_themselves,
    compressed_and_json_values,
    many_tasks_share_one_connection,
);
