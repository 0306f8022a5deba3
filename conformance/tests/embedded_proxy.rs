//! The proxy that an embedder writes, `runtime-tokio/examples/proxy.rs`, before two real memcached.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used)]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use windhover_conformance::{CacheServer, DELETE_WITH_A_TIME, memccapable, report};
use windhover_tokio::Shutdown;

#[path = "../../runtime-tokio/examples/proxy.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod proxy;

const BOUND: Duration = Duration::from_secs(30);

/// A proxy on a thread of its own, until it is dropped.
struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn before(servers: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let servers: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        let shutdown = Shutdown::new();
        let asked = shutdown.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                proxy::run(listener, servers.iter().map(String::as_str), asked).await.unwrap();
            });
        });
        Self { address, shutdown, thread: Some(thread) }
    }

    /// A server itself.
    fn alone(server: &CacheServer) -> Self {
        Self { address: server.address(), shutdown: Shutdown::new(), thread: None }
    }

    /// What it answers to requests that are sent at once, up to the end of the connection.
    fn answers(&self, requests: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.write_all(b"quit\r\n").unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn two() -> ([CacheServer; 2], Running) {
    let servers = [CacheServer::memcached(&[]), CacheServer::memcached(&[])];
    let proxy = Running::before(&servers.each_ref().map(CacheServer::address));
    (servers, proxy)
}

#[test]
fn memccapable_passes_every_test_but_of_delete_through_the_proxy() {
    let (_servers, proxy) = two();
    let alone = CacheServer::memcached(&[]);
    let (passed, failed) = memccapable(proxy.address);
    assert_eq!(failed, DELETE_WITH_A_TIME);
    let (theirs, _) = memccapable(alone.address());
    let others = theirs.into_iter().filter(|test| !DELETE_WITH_A_TIME.contains(&&test[..]));
    assert_eq!(passed, others.collect::<Vec<_>>());
    report(&format!("memccapable -a through the proxy: {} tests pass", passed.len()));
}

#[test]
fn keys_are_spread_and_a_get_puts_them_together_in_order() {
    let (servers, proxy) = two();
    let keys: Vec<String> = (0..60).map(|n| format!("key-{n}")).collect();
    let sets = keys
        .iter()
        .map(|key| format!("set {key} 7 0 6\r\n{key:<6.6}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    assert_eq!(proxy.answers(&sets), "STORED\r\n".repeat(60));

    let found = |value: &str| -> String {
        let one = |key| format!("VALUE {key} 7 6{value}\r\n{key:<6.6}\r\n");
        keys.iter().map(one).collect::<Vec<_>>().concat()
    };
    let all = keys.join(" ");
    assert_eq!(proxy.answers(&format!("get {all}\r\n")), format!("{}END\r\n", found("")));
    assert_eq!(proxy.answers(&format!("gat 100 {all}\r\n")), format!("{}END\r\n", found("")));

    let items = |server: &CacheServer| -> usize {
        let direct = Running::alone(server);
        let answers = direct.answers("stats\r\n");
        let line = answers.lines().find_map(|line| line.strip_prefix("STAT curr_items "));
        line.unwrap().parse().unwrap()
    };
    let spread = servers.each_ref().map(items);
    assert_eq!(spread[0] + spread[1], 60);
    assert!(spread[0] > 5 && spread[1] > 5, "{spread:?}");
}

#[test]
fn what_hides_its_answer_takes_effect_in_its_order() {
    let (servers, proxy) = two();
    let requests = "set k 0 0 1 noreply\r\n1\r\nincr k 4 noreply\r\nget k\r\n\
         ms k 1 q O1\r\n9\r\nmg k v q O2\r\nmg none v q O3\r\nmg k v k O4\r\nmn\r\n\
         md k q\r\nmd k q O5\r\nmg k v\r\n";
    let alone = Running::alone(&servers[0]);
    let answers = proxy.answers(requests);
    assert_eq!(
        answers,
        "VALUE k 0 1\r\n5\r\nEND\r\nVA 1 O2\r\n9\r\nVA 1 kk O4\r\n9\r\nMN\r\nNF O5\r\nEN\r\n"
    );
    alone.answers("flush_all\r\n");
    assert_eq!(answers, alone.answers(requests));
}

#[test]
fn meta_debug_names_its_key_and_the_rest_is_answered_as_memcached_answers() {
    let (servers, proxy) = two();
    let answers = proxy.answers("set k 0 0 1\r\n1\r\nme k\r\nme none\r\n");
    let mut lines = answers.lines();
    assert_eq!(lines.next(), Some("STORED"));
    assert!(lines.next().is_some_and(|line| line.starts_with("ME k exp=-1 la=")), "{answers}");
    assert_eq!(lines.next(), Some("EN"));

    let same = "verbosity 0\r\nflush_all\r\nflush_all 0 noreply\r\nincr none 1\r\n\
                set n 0 0 1\r\nx\r\nincr n 1\r\ntouch n 0\r\ncas n 0 0 1 1\r\ny\r\ngets none\r\n\
                append none 0 0 1\r\n1\r\nbogus\r\nshutdown\r\nmn\r\nma none\r\nma n\r\n";
    let alone = Running::alone(&servers[0]);
    // Newer memcached says SERVER_ERROR where older said ERROR, and so does ours.
    let newer = "SERVER_ERROR: shutdown not enabled";
    let alone = alone.answers(same).replace(newer, "ERROR: shutdown not enabled");
    assert_eq!(proxy.answers(same).replace(newer, "ERROR: shutdown not enabled"), alone);
}

#[test]
fn statistics_name_their_server() {
    let (servers, proxy) = two();
    let answers = proxy.answers("stats\r\n");
    for server in &servers {
        let pid = format!("STAT {}:pid {}\r\n", server.address(), server.pid());
        assert_eq!(answers.matches(&pid).count(), 1, "{answers}");
    }
    assert_eq!(answers.matches("END\r\n").count(), 1);
}

#[test]
fn a_server_that_is_gone_is_an_error_and_never_a_miss() {
    let ([first, second], proxy) = two();
    let [key, kept] = [&second, &first].map(|owner| {
        let direct = Running::alone(owner);
        let mut keys = (0..100).map(|n| format!("key-{n}"));
        let owned = keys.find(|key| {
            assert_eq!(proxy.answers(&format!("set {key} 0 0 1\r\n1\r\n")), "STORED\r\n");
            direct.answers(&format!("get {key}\r\n")).starts_with("VALUE")
        });
        owned.unwrap()
    });
    drop(second);

    let answers = proxy.answers(&format!("get {key}\r\nget {kept}\r\nget {kept} {key}\r\n"));
    let lines: Vec<&str> = answers.lines().collect();
    let [gone, value, one, end, both] = lines[..] else { panic!("{answers}") };
    assert!(gone.starts_with("SERVER_ERROR "), "{answers}");
    assert_eq!((value, one, end), (&format!("VALUE {kept} 0 1")[..], "1", "END"));
    assert!(both.starts_with("SERVER_ERROR "), "{answers}");
}
