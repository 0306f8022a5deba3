//! `stats` and its arguments.

use std::collections::HashMap;

use crate::support::Peer;

fn stats(peer: &mut Peer, arguments: &str) -> HashMap<String, String> {
    let answer = peer.ask(format!("stats {arguments}\r\n"));
    let lines = answer.strip_suffix("END\r\n").unwrap().lines();
    lines
        .map(|line| {
            let (name, value) = line.strip_prefix("STAT ").unwrap().split_once(' ').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

#[test]
fn hits_and_misses_are_counted_until_the_reset() {
    let mut peer = Peer::new();
    peer.ask("set k 0 0 1\r\n1\r\nget k none\r\nincr k 1\r\ntouch k 0\r\ndelete none\r\n");
    peer.sleep(5);
    let seen = stats(&mut peer, "");
    for (name, value) in [
        ("uptime", "5"),
        ("time", "2000000005"),
        ("version", "1.6.45-windhover-0.1.0"),
        ("cmd_get", "2"),
        ("get_hits", "1"),
        ("get_misses", "1"),
        ("cmd_set", "1"),
        ("incr_hits", "1"),
        ("cmd_touch", "1"),
        ("touch_hits", "1"),
        ("delete_misses", "1"),
        ("curr_items", "1"),
        ("total_items", "1"),
        ("limit_maxbytes", "67108864"),
        ("evictions", "0"),
    ] {
        assert_eq!(seen.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(peer.ask("stats reset\r\n"), "RESET\r\n");
    let seen = stats(&mut peer, "");
    assert_eq!((&*seen["cmd_get"], &*seen["curr_items"]), ("0", "1"));
}

#[test]
fn settings_items_and_slabs() {
    let mut peer = Peer::new();
    assert!(stats(&mut peer, "items").is_empty());
    assert_eq!(stats(&mut peer, "slabs")["active_slabs"], "0");
    peer.ask("set k 0 0 1\r\n1\r\n");
    peer.sleep(7);
    assert_eq!(stats(&mut peer, "settings")["item_size_max"], "1048576");
    let items = stats(&mut peer, "items");
    assert_eq!((&*items["items:1:number"], &*items["items:1:age"]), ("1", "7"));
    assert_eq!(stats(&mut peer, "slabs")["1:used_chunks"], "1");
    assert_eq!(stats(&mut peer, "sizes")["sizes_status"], "disabled");
}

#[test]
fn keys_are_listed_from_the_most_recently_used_on() {
    let mut peer = Peer::new();
    peer.ask("set a 0 0 1\r\n1\r\nset b 0 60 4\r\nabcd\r\nms AAE= 1 b\r\nx\r\n");
    peer.check(&[
        ("stats cachedump 1 0\r\n", "ITEM b [4 b; 2000000060 s]\r\nITEM a [1 b; 0 s]\r\nEND\r\n"),
        ("stats cachedump 1 1\r\n", "ITEM b [4 b; 2000000060 s]\r\nEND\r\n"),
        ("stats cachedump 2 0\r\n", "END\r\n"),
        ("stats cachedump 64 0\r\n", "CLIENT_ERROR Illegal slab id\r\n"),
        ("stats cachedump 1\r\n", "CLIENT_ERROR bad command line\r\n"),
        ("stats cachedump 1 x\r\n", "CLIENT_ERROR bad command line format\r\n"),
        ("stats nonsense\r\n", "ERROR\r\n"),
    ]);
}
