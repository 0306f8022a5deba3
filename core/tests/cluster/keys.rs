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

/// Which keys of `a` to `e` were found, and which were refused.
fn told(reply: &str) -> (Vec<usize>, Vec<usize>) {
    let mut client = Client::new(ClusterOptions::default(), &["s"]);
    let keys: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
    let call = client.submit(Call::read(get(&keys)), ms(1000));
    let next = client.submit(Call::read(get(&[b"k"])), ms(1000));
    let s = client.accept("s");
    client.reply(s, reply);
    client.reply(s, "VALUE k 0 1\r\nk\r\nEND\r\n");
    assert_eq!(values(client.outcome(next).unwrap()), ["k"]);
    match client.outcome(call) {
        Err(CallError::Keys { found, failed, .. }) => {
            let refused = |(index, error): (usize, KeyError)| match error {
                KeyError::Refused(refusal) => {
                    assert_eq!(refusal.to_string(), "SERVER_ERROR x");
                    index
                }
                other => panic!("{other}"),
            };
            (indexes(&found), failed.into_iter().map(refused).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_line_refuses_the_keys_that_it_may_be_of() {
    // A letter is that key's value, `x` an error line.
    let line = |letter: char| match letter {
        'x' => "SERVER_ERROR x\r\n".to_owned(),
        key => format!("VALUE {key} 0 1\r\n{key}\r\n"),
    };
    for (letters, found, refused) in [
        ("axc", vec![0, 2], vec![1]),
        ("ax", vec![0], vec![1, 2, 3, 4]),
        ("abxe", vec![0, 1, 4], vec![2, 3]),
        ("axxxe", vec![0, 4], vec![1, 2, 3]),
        ("axcxe", vec![0, 2, 4], vec![1, 3]),
        // Not in the order of the keys: it may be any that has no value.
        ("exa", vec![4, 0], vec![1, 2, 3]),
        ("axb", vec![0, 1], vec![2, 3, 4]),
    ] {
        let reply = letters.chars().map(line).collect::<String>() + "END\r\n";
        assert_eq!(told(&reply), (found, refused), "{reply}");
    }
}

#[test]
fn a_refused_retrieval_of_several_keys_ends_its_connection_and_not_its_server() {
    let mut client = Client::new(ClusterOptions::default(), &["s"]);
    for _ in 0..5 {
        let call = client.submit(Call::read(get(&[b"a", b"b"])), ms(1000));
        let next = client.submit(Call::read(get(&[b"k"])), ms(1000));
        let s = client.accept("s");
        client.reply(s, "SERVER_ERROR out of memory\r\nEND\r\n");
        assert!(matches!(client.outcome(call), Err(CallError::Refused { .. })));
        assert!(!client.is_over(next), "a read is sent again");
        let s = client.accept("s");
        client.reply(s, "VALUE k 0 1\r\nk\r\nEND\r\n");
        assert_eq!(values(client.outcome(next).unwrap()), ["k"]);
        client.hang_up(s);
    }
    assert_eq!(client.statistics("s").state, ServerState::Healthy);
}
