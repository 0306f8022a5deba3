//! memcache: blocking, with a pool of connections.

use std::thread;

use memcache::Client;

use super::{Workers, threads};
use crate::work::{KEY, KEYS, THREADS, VALUE, Window, Work, keys};

pub(super) fn start(work: Work, port: u16, window: Window) -> Workers {
    let connect = move |pool| {
        let url = format!("memcache://127.0.0.1:{port}?protocol=ascii&timeout=10");
        Client::with_pool_size(url, pool).expect("a connection")
    };
    if work == Work::Threads {
        let client = connect(THREADS as u32);
        let one = |client: Client| thread::spawn(move || gets(&client, window));
        return (0..THREADS).map(|_| one(client.clone())).collect();
    }
    threads(work, move || {
        let (client, mut count) = (connect(1), 0);
        match work {
            Work::Get | Work::ThreadsApart => count = gets(&client, window),
            Work::Set => {
                while {
                    client.set(KEY, &VALUE[..], 0).expect("it is stored");
                    window.goes_on(&mut count, 1)
                } {}
            }
            Work::Keys => {
                let keys = keys();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                while {
                    let found = client.gets::<Vec<u8>>(&keys).expect("an answer");
                    assert!(found.len() == KEYS && found.values().all(|value| value == VALUE));
                    window.goes_on(&mut count, KEYS)
                } {}
            }
            _ => panic!("memcache has no way to do {work:?}"),
        }
        count
    })
}

fn gets(client: &Client, window: Window) -> u64 {
    let mut count = 0;
    while {
        let found: Vec<u8> = client.get(KEY).expect("an answer").expect("an item");
        assert!(found == VALUE);
        window.goes_on(&mut count, 1)
    } {}
    count
}
