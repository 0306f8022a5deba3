//! Retrievals that are answered for some of their keys.

use windhover_core::client::{Call, CallError, ClusterOptions, Item, KeyError, ServerState};
use windhover_core::memcache::request::{Prepared, Request};
use windhover_core::memcache::{Dialect, Keys, Oversized};

use crate::client::{Client, ms, prepare, values};

fn get(keys: &[&[u8]]) -> Prepared {
    prepare(&Request::Get(Keys::new(keys)), "", Dialect::Memcached)
}

fn indexes(found: &[Item]) -> Vec<usize> {
    found.iter().map(|item| item.index).collect()
}

#[test]
fn what_is_too_large_for_us_says_nothing_of_the_server_and_of_other_keys() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let length = (1 << 20) + 1;
    let big = format!("VALUE big 0 {length}\r\n{}\r\n", "x".repeat(length));
    let wide = "VALUE wide 4294967296 1\r\nx\r\n";
    let first = client.submit(Call::read(get(&[b"big"])), ms(1000));
    let a = client.accept("a");
    client.reply(a, &format!("{big}END\r\n"));
    let oversized = KeyError::Oversized(Oversized::Value { length: length as u64, limit: 1 << 20 });
    match client.outcome(first) {
        Err(CallError::Keys { found, failed, .. }) => {
            assert!(found.is_empty());
            assert_eq!(failed, [(0, oversized.clone())]);
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..10 {
        let keys: [&[u8]; 5] = [b"small", b"big", b"none", b"wide", b"edge"];
        let call = client.submit(Call::read(get(&keys)), ms(1000));
        client.reply(
            a,
            &format!("VALUE small 0 1\r\ns\r\n{big}{wide}VALUE edge 0 1\r\ne\r\nEND\r\n"),
        );
        let flags = KeyError::Oversized(Oversized::Flags { flags: 1 << 32 });
        match client.outcome(call) {
            Err(CallError::Keys { found, failed, .. }) => {
                assert_eq!(indexes(&found), [0, 4]);
                assert_eq!(failed, [(1, oversized.clone()), (3, flags)]);
            }
            other => panic!("{other:?}"),
        }
    }
    let statistics = client.statistics("a");
    assert_eq!(statistics.state, ServerState::Healthy);
    assert_eq!((statistics.counters.connects, statistics.counters.answered), (1, 11));
    let call = client.submit(Call::read(get(&[b"small"])), ms(1000));
    client.reply(a, "VALUE small 0 1\r\ns\r\nEND\r\n");
    assert_eq!(values(client.outcome(call).unwrap()), ["s"]);
}
