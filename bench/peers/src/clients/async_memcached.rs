//! async-memcached: a connection is a client.

use async_memcached::{AsciiProtocol, Client};
use futures::stream::{FuturesUnordered, StreamExt};

use super::{Workers, current_thread, threads};
use crate::work::{KEY, KEYS, TOGETHER, VALUE, Window, Work, keys};

pub(super) fn start(work: Work, port: u16, window: Window) -> Workers {
    threads(work, move || current_thread().block_on(run(work, port, window)))
}

async fn connect(port: u16) -> Client {
    Client::new(format!("tcp://127.0.0.1:{port}")).await.expect("a connection")
}

async fn run(work: Work, port: u16, window: Window) -> u64 {
    let (mut client, mut count) = (connect(port).await, 0);
    match work {
        Work::Get | Work::ThreadsApart => count = gets(client, window).await,
        Work::Set => {
            while {
                client.set(KEY, &VALUE[..], None, None).await.expect("it is stored");
                window.goes_on(&mut count, 1)
            } {}
        }
        Work::SetMany => {
            let items: Vec<_> =
                keys().into_iter().take(TOGETHER).map(|key| (key, &VALUE[..])).collect();
            while {
                let stored = client.set_multi(&items, None, None).await.expect("an answer");
                assert!(stored.len() == TOGETHER && stored.values().all(Result::is_ok));
                window.goes_on(&mut count, TOGETHER)
            } {}
        }
        Work::Keys => {
            let keys = keys();
            while {
                let found = client.get_multi(&keys).await.expect("an answer");
                assert!(found.len() == KEYS);
                assert!(found.iter().all(|value| value.data.as_deref() == Some(VALUE)));
                window.goes_on(&mut count, KEYS)
            } {}
        }
        // With as many connections.
        Work::InFlight => {
            let calls: FuturesUnordered<_> =
                (0..TOGETHER).map(|_| async { gets(connect(port).await, window).await }).collect();
            count = calls.fold(0, async |sum, count| sum + count).await;
        }
        Work::Gets | Work::Sets | Work::Tasks | Work::Threads => {
            panic!("async-memcached has no way to do {work:?}")
        }
    }
    count
}

async fn gets(mut client: Client, window: Window) -> u64 {
    let mut count = 0;
    while {
        let found = client.get(KEY).await.expect("an answer").expect("an item");
        assert!(found.data.as_deref() == Some(VALUE));
        window.goes_on(&mut count, 1)
    } {}
    count
}
