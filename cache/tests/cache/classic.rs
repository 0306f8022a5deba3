//! The classic commands; every answer here is memcached 1.6.45's.

use crate::support::Peer;

#[test]
fn storage_commands() {
    Peer::new().check(&[
        ("set k 7 0 5\r\nhello\r\n", "STORED\r\n"),
        ("get k\r\n", "VALUE k 7 5\r\nhello\r\nEND\r\n"),
        ("add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("add new 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("replace none 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("replace k 9 0 1\r\nx\r\n", "STORED\r\n"),
        ("append none 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("append k 1 100 1\r\n>\r\n", "STORED\r\n"),
        ("prepend k 2 100 1\r\n<\r\n", "STORED\r\n"),
        ("get k new none\r\n", "VALUE k 9 3\r\n<x>\r\nVALUE new 0 1\r\nx\r\nEND\r\n"),
        ("set empty 0 0 0\r\n\r\n", "STORED\r\n"),
        ("get empty empty\r\n", "VALUE empty 0 0\r\n\r\nVALUE empty 0 0\r\n\r\nEND\r\n"),
    ]);
}

#[test]
fn cas() {
    let mut peer = Peer::new();
    peer.check(&[
        ("set k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("gets k\r\n", "VALUE k 0 1 1\r\n1\r\nEND\r\n"),
        ("cas k 0 0 1 1\r\n2\r\n", "STORED\r\n"),
        ("cas k 0 0 1 1\r\n3\r\n", "EXISTS\r\n"),
        ("cas k 0 0 1 0\r\n3\r\n", "EXISTS\r\n"),
        ("cas none 0 0 1 1\r\n3\r\n", "NOT_FOUND\r\n"),
        ("gets k\r\n", "VALUE k 0 1 2\r\n2\r\nEND\r\n"),
    ]);
}

#[test]
fn deletion_and_flush() {
    let mut peer = Peer::new();
    peer.check(&[
        ("set k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("delete k\r\n", "DELETED\r\n"),
        ("delete k\r\n", "NOT_FOUND\r\n"),
        ("set k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("flush_all 1000\r\n", "OK\r\n"),
        ("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n"),
        ("flush_all\r\n", "OK\r\n"),
        ("get k\r\n", "END\r\n"),
        ("set k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("flush_all -1\r\n", "OK\r\n"),
        ("get k\r\n", "END\r\n"),
        ("set k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("flush_all 10\r\n", "OK\r\n"),
    ]);
    peer.sleep(10);
    assert_eq!(peer.ask("get k\r\n"), "END\r\n");
}

#[test]
fn numbers() {
    Peer::new().check(&[
        ("set n 5 100 5\r\n10   \r\n", "STORED\r\n"),
        ("incr n 1\r\n", "11\r\n"),
        ("get n\r\n", "VALUE n 5 5\r\n11   \r\nEND\r\n"),
        ("decr n 5\r\n", "6\r\n"),
        ("get n\r\n", "VALUE n 5 5\r\n6    \r\nEND\r\n"),
        ("decr n 7\r\n", "0\r\n"),
        ("incr n 18446744073709551615\r\n", "18446744073709551615\r\n"),
        ("incr n 2\r\n", "1\r\n"),
        ("incr none 1\r\n", "NOT_FOUND\r\n"),
        ("set x 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("incr x 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        ("incr n x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"),
    ]);
}

#[test]
fn expiry_and_touch() {
    let mut peer = Peer::new();
    peer.check(&[
        ("set k 0 10 1\r\n1\r\n", "STORED\r\n"),
        ("set gone 0 -1 1\r\n1\r\n", "STORED\r\n"),
        ("get gone\r\n", "END\r\n"),
        ("touch gone 0\r\n", "NOT_FOUND\r\n"),
        ("touch k 20\r\n", "TOUCHED\r\n"),
    ]);
    peer.sleep(19);
    peer.check(&[
        ("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n"),
        ("gat 30 k none\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n"),
        ("gats 40 k\r\n", "VALUE k 0 1 1\r\n1\r\nEND\r\n"),
    ]);
    peer.sleep(39);
    assert_eq!(peer.ask("get k\r\n"), "VALUE k 0 1\r\n1\r\nEND\r\n");
    peer.sleep(1);
    assert_eq!(peer.ask("get k\r\n"), "END\r\n");
}

#[test]
fn too_large_a_value_is_swallowed_and_the_connection_lives() {
    let mut peer = Peer::new();
    for length in [1024 * 1024 - 59, 1024 * 1024, 3 * 1024 * 1024] {
        peer.ask("set k 0 0 3\r\nold\r\n");
        let value = "x".repeat(length);
        assert_eq!(
            peer.ask(format!("set k 0 0 {length}\r\n{value}\r\n")),
            "SERVER_ERROR object too large for cache\r\n"
        );
        assert_eq!(peer.ask("get k\r\n"), "END\r\n", "what was to be replaced is gone");
    }
    peer.ask("set k 0 0 3\r\nold\r\n");
    let (length, value) = (2_000_000, "x".repeat(2_000_000));
    for verb in ["add", "replace", "append", "prepend"] {
        peer.ask(format!("{verb} k 0 0 {length}\r\n{value}\r\n"));
        assert_eq!(peer.ask("get k\r\n"), "VALUE k 0 3\r\nold\r\nEND\r\n");
    }
    peer.ask(format!("set k 0 0 {length} noreply\r\n{value}\r\n"));
    assert_eq!(peer.ask("get k\r\n"), "END\r\n");
    assert_eq!(peer.ask("set foo 0 0 3\r\nold\r\n"), "STORED\r\n");
    peer.ask(format!("ms Zm9v {length} b ME\r\n{value}\r\n"));
    assert_eq!(peer.ask("get foo\r\n"), "END\r\n");
    assert!(peer.ask("stats\r\n").contains("STAT store_too_large 9\r\n"));
    assert_eq!(peer.ask("version\r\n"), "VERSION 1.6.45-windhover-0.1.0\r\n");
    let value = "x".repeat(1024 * 1024 - 60);
    assert_eq!(peer.ask(format!("set k 0 0 {}\r\n{value}\r\n", value.len())), "STORED\r\n");
    assert_eq!(peer.ask("mg k s\r\n"), format!("HD s{}\r\n", value.len()));
}

#[test]
fn what_answers_a_sentence_or_an_error() {
    Peer::new().check(&[
        ("verbosity 1\r\n", "OK\r\n"),
        ("cache_memlimit 8\r\n", "OK\r\n"),
        ("cache_memlimit 7\r\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"),
        ("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
        ("lru mode flat\r\n", "ERROR\r\n"),
        ("slabs automove 0\r\n", "ERROR\r\n"),
        ("nonsense\r\n", "ERROR\r\n"),
        ("mn\r\n", "MN\r\n"),
    ]);
}
