//! Pipelines, however they are split, and how much waits to be written.

use windhover_cache::{Cache, CacheOptions};

use crate::support::Peer;

const PIPELINE: &[u8] = b"set a 1 0 3\r\nabc\r\nset b 0 0 2 noreply\r\nhi\r\nget a b c\r\n\
    gets a\r\nms c 3 c T30\r\nxyz\r\nmg c v t k O9\r\nappend a 0 0 4\r\n\r\nEN\r\nget a\r\n\
    incr b 1\r\nset n 0 0 1\r\n9\r\nincr n 1\r\nbogus\r\nset n 0 0 1\r\nxyz\r\n\
    delete n noreply\r\nget n\r\nmn\r\nquit\r\nget a\r\n";

fn whole() -> Vec<u8> {
    let mut peer = Peer::new();
    let answer = peer.ask(PIPELINE);
    assert!(peer.closed);
    answer.into_bytes()
}

#[test]
fn a_pipeline_is_answered_in_order() {
    assert_eq!(
        String::from_utf8(whole()).unwrap(),
        "STORED\r\nVALUE a 1 3\r\nabc\r\nVALUE b 0 2\r\nhi\r\nEND\r\n\
         VALUE a 1 3 1\r\nabc\r\nEND\r\nHD c3\r\nVA 3 t30 kc O9\r\nxyz\r\nSTORED\r\n\
         VALUE a 1 7\r\nabc\r\nEN\r\nEND\r\n\
         CLIENT_ERROR cannot increment or decrement non-numeric value\r\nSTORED\r\n10\r\nERROR\r\n\
         CLIENT_ERROR bad data chunk\r\nCLIENT_ERROR bad command line format\r\nEND\r\nMN\r\n"
    );
}

#[test]
fn the_answer_is_the_same_for_every_split() {
    let whole = whole();
    for at in 0..PIPELINE.len() {
        let (first, second) = PIPELINE.split_at(at);
        let mut peer = Peer::new();
        let answer = peer.ask(first) + &peer.ask(second);
        assert_eq!(answer.as_bytes(), whole, "split at {at}");
    }
    let mut peer = Peer::new();
    let mut answer = Vec::new();
    for byte in PIPELINE {
        answer.extend(peer.ask([*byte]).into_bytes());
    }
    assert_eq!(answer, whole);
}

#[test]
fn a_get_of_many_keys_is_not_held_in_memory_whole() {
    let mut peer = Peer::new();
    let value = "x".repeat(4000);
    assert_eq!(peer.ask(format!("set k 0 0 4000\r\n{value}\r\n")), "STORED\r\n");
    let mut request = b"get".to_vec();
    request.extend(b" k".repeat(10_000));
    request.extend(b"\r\nget k\r\nset after 0 0 1\r\n1\r\n");

    let line = "VALUE k 0 4000\r\n".len() + 4002;
    // A peer that takes all of it in an hour is not served worse than one that takes it at once.
    for pause in [0, 20] {
        let (most, sum) = peer.most_unsent(&request, pause);

        assert_eq!(sum, 10_001 * line + 2 * "END\r\n".len() + "STORED\r\n".len());
        assert!(most < 300 * 1024, "{most} bytes waited");
        assert!(peer.wants_read());
    }
}

#[test]
fn a_large_value_comes_back_whole() {
    let mut peer = Peer::new();
    let value = "0123456789".repeat(50_000);
    peer.check(&[(&format!("set k 0 0 {}\r\n{value}\r\n", value.len()), "STORED\r\n")]);
    assert_eq!(peer.ask("mg k v k\r\n"), format!("VA 500000 kk\r\n{value}\r\n"));
    assert_eq!(peer.ask("get k\r\n"), format!("VALUE k 0 500000\r\n{value}\r\nEND\r\n"));
}

#[test]
fn connections_share_the_cache() {
    for threads in [1, 4] {
        let cache = Cache::new(CacheOptions::default().with_threads(threads));
        let (mut one, mut other) = (Peer::of(&cache), Peer::of(&cache));
        for key in 0..100 {
            assert_eq!(one.ask(format!("set {key} 0 0 1\r\n1\r\n")), "STORED\r\n");
        }
        for key in 0..100 {
            assert_eq!(
                other.ask(format!("get {key}\r\n")),
                format!("VALUE {key} 0 1\r\n1\r\nEND\r\n")
            );
        }
        one.ask("flush_all\r\n");
        assert_eq!(other.ask("get 1 50 99\r\n"), "END\r\n");
    }
}

#[test]
fn the_end_of_the_stream_closes_the_connection() {
    let mut peer = Peer::new();
    peer.ask("set k 0 0 10\r\nhel");
    assert_eq!(peer.end_of_stream(), b"");
    assert!(peer.closed);
}
