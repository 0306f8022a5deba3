//! Calls that are answered.

use std::thread;

use windhover_mio::{Client, ClientThread, block_on, connect};

use crate::script::{SOON, Script};

#[test]
fn what_is_set_is_got() {
    let server = Script::cache();
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    block_on(async {
        assert_eq!(client.get("k").await.unwrap(), None);
        client.set("k", "hello").await.unwrap();
        assert_eq!(client.get("k").await.unwrap().unwrap().data, "hello");
    });
}

#[test]
fn what_no_socket_takes_at_once_goes_in_pieces() {
    let server = Script::cache();
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let (client, large) = (client.clone(), large.clone());
            thread::spawn(move || {
                let key = format!("large-{n}");
                block_on(client.set(&key, large.clone())).unwrap();
                let value = block_on(client.get(&key)).unwrap().unwrap();
                assert!(value.data == large, "{key}");
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn many_threads_share_one_connection() {
    let server = Script::cache();
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    let threads: Vec<_> = (0..16)
        .map(|number| {
            let client = client.clone();
            thread::spawn(move || {
                for round in 0..50 {
                    let key = format!("{number}-{round}");
                    block_on(client.set(&key, key.clone())).unwrap();
                    assert_eq!(block_on(client.get(&key)).unwrap().unwrap().data, key);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.accepted(), 1);
    assert_eq!(client.statistics()[0].counters.answered, 1600);
}

#[test]
fn requests_go_out_before_their_predecessors_are_answered() {
    // It answers once it has read them all.
    let server = Script::start(|mut peer, _| {
        let keys: Vec<_> = (0..32).map(|_| peer.line().unwrap()).collect();
        for line in keys {
            let key = line.strip_prefix("get ").unwrap();
            peer.send_value(key, key.as_bytes());
        }
        assert_eq!(peer.line(), None);
    });
    let client = connect(Client::builder().server(&server.address).timeout(SOON)).unwrap();
    let threads: Vec<_> = (0..32)
        .map(|n| {
            let client = client.clone();
            thread::spawn(move || {
                let key = format!("key-{n}");
                assert_eq!(block_on(client.get(&key)).unwrap().unwrap().data, key);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn clients_may_share_a_thread() {
    let servers = [Script::cache(), Script::cache()];
    let thread = ClientThread::start().unwrap();
    let [one, other] = [0, 1].map(|n| {
        let builder = Client::builder().server(&servers[n].address).timeout(SOON);
        thread.connect(builder).unwrap()
    });
    // The clients keep it.
    drop(thread);
    block_on(async {
        one.set("k", "one").await.unwrap();
        other.set("k", "other").await.unwrap();
        drop(one);
        assert_eq!(other.get("k").await.unwrap().unwrap().data, "other");
    });
}

#[test]
fn many_servers_are_one() {
    let servers: Vec<_> = (0..3).map(|_| Script::cache()).collect();
    let mut builder = Client::builder().timeout(SOON);
    for server in &servers {
        builder = builder.server(&server.address);
    }
    let client = connect(builder).unwrap();
    block_on(async {
        for n in 0..100 {
            client.set(format!("key-{n}"), n.to_string()).await.unwrap();
        }
        for n in 0..100 {
            let value = client.get(format!("key-{n}")).await.unwrap().unwrap();
            assert_eq!(value.data, n.to_string());
        }
    });
    assert!(servers.iter().all(|server| server.accepted() == 1));
}
