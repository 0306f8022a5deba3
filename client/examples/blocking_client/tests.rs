//! What the guide says of the adapter.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use windhover_client::{Builder, Outcome};

use super::*;

const BOUND: Duration = Duration::from_secs(20);

/// A server whose connections are each handed to `serve`; says when one of them has ended.
fn server(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, ended) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, sender) = (serve.clone(), sender.clone());
            thread::spawn(move || {
                serve(stream.unwrap());
                let _ = sender.send(());
            });
        }
    });
    (address, ended)
}

/// Has `greeting`, and nothing else.
fn answer(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap_or(0) > 0 {
        let answer = match line.trim_end() {
            "get greeting" => "VALUE greeting 0 5\r\nhello\r\nEND\r\n",
            _ => "END\r\n",
        };
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        line.clear();
    }
}

fn client(address: SocketAddr) -> Builder {
    Client::builder().server(&address.to_string())
}

#[test]
fn a_hit_and_a_miss_and_the_end_of_the_last_handle() {
    let (address, ended) = server(answer);
    let client = adapter::connect(client(address)).unwrap().with_timeout(BOUND);
    assert_eq!(block_on(client.get("greeting")).unwrap().unwrap().data, "hello");
    assert_eq!(block_on(client.get("other")).unwrap(), None);
    drop(client);
    ended.recv_timeout(BOUND).unwrap();
}

#[test]
fn many_threads_share_a_client_and_each_gets_its_own_answer() {
    let (address, _) = server(answer);
    let client = adapter::connect(client(address)).unwrap().with_timeout(BOUND);
    thread::scope(|scope| {
        for number in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..100 {
                    let key = if number % 2 == 0 { "greeting" } else { "other" };
                    let found = block_on(client.get(key)).unwrap();
                    assert_eq!(found.is_some(), number % 2 == 0);
                }
            });
        }
    });
}

#[test]
fn a_server_that_never_answers_costs_the_call_its_time_and_no_more() {
    let (address, _) = server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let client =
        adapter::connect(client(address)).unwrap().with_timeout(Duration::from_millis(100));
    let begun = Instant::now();
    let error = block_on(client.set("k", "v")).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < BOUND);
}

#[test]
fn a_server_that_takes_nothing_does_not_keep_the_threads() {
    let (sender, ended) = channel();
    let (address, _) = server(move |mut stream| {
        // Reads nothing until the client has given up, then all that is left.
        thread::sleep(Duration::from_millis(500));
        let _ = stream.read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    let client =
        adapter::connect(client(address)).unwrap().with_timeout(Duration::from_millis(100));
    let value = vec![b'v'; 1_000_000];
    // More than the buffers of both sockets hold.
    for _ in 0..10 {
        block_on(client.set("k", value.clone())).unwrap_err();
    }
    drop(client);
    ended.recv_timeout(BOUND).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = adapter::connect(client(unused)).unwrap().with_timeout(Duration::from_secs(1));
    let error = block_on(client.get("k")).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[test]
fn the_guide_tells_its_length() {
    let guide = include_str!("../../docs/adapter.md");
    let lines = include_str!("adapter.rs").lines().count();
    assert!(guide.contains(&format!("{lines} lines")), "the adapter has {lines} lines");
}
