//! Who is let in, how that is counted, and the file of users that is read again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use windhover_conformance::{CacheServer, Runtime, TempDir, on_each_runtime};

use crate::ready::{Ready, text};

const BOUND: Duration = Duration::from_secs(30);

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes a connection");
    stream.set_read_timeout(Some(BOUND)).expect("a socket takes a time limit");
    stream
}

/// What a peer is answered that gives this name and password.
fn log_in(address: &str, user: &str) -> String {
    let mut stream = connect(address);
    let request = format!("set auth 0 0 {}\r\n{user}\r\n", user.len());
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("it is answered");
    answer
}

fn users_are_read_again(runtime: Runtime) {
    const REFUSED: &str = "CLIENT_ERROR authentication failure\r\n";
    let directory = TempDir::new("doors");
    let users = directory.path().join("users");
    let write = |content: &str| std::fs::write(&users, content).expect("a file can be written");
    write("bob:other\nann:old\n");
    let file = text(&users);
    let base = ["cache", "--listen", "localhost:0", "--runtime", runtime.name()];
    let server = Ready::start(&[&base[..], &["--auth-file", &file]].concat());
    let address = server.host_and_port("cache");
    assert_eq!(log_in(&address, "ann old"), "STORED\r\n");

    write("ann:new\n");
    server.hang_up("the file of users was read again");
    assert_eq!(log_in(&address, "ann new"), "STORED\r\n");
    assert_eq!(log_in(&address, "ann old"), REFUSED);

    write("ann\n");
    server.hang_up("the file of users cannot be used; those before are kept");
    assert_eq!(log_in(&address, "ann new"), "STORED\r\n");
    server.stop();
}

/// The lines of `stats` that are about this, once somebody is in.
fn counted(address: &str) -> Vec<String> {
    let mut stream = connect(address);
    let requests = b"set auth 0 0 11\r\nname secret\r\n";
    stream.write_all(requests).expect("it is taken");
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).expect("it is answered");
    assert_eq!(&answer, b"STORED\r\n");
    stream.write_all(b"stats\r\nstats reset\r\nstats\r\nquit\r\n").expect("it is taken");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.filter(|line| line.starts_with("STAT auth_")).collect()
}

/// One that is wrong, one that is none, one of somebody who says nothing.
fn attempts(address: &str) {
    assert!(log_in(address, "name wrong").starts_with("CLIENT_ERROR "));
    assert!(log_in(address, "name").starts_with("CLIENT_ERROR "));
    let mut stream = connect(address);
    stream.write_all(b"get key\r\n").expect("it is taken");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("it is answered");
    assert_eq!(answer, "CLIENT_ERROR unauthenticated\r\n");
}

const COUNTED: [&str; 4] =
    ["STAT auth_cmds 2", "STAT auth_errors 1", "STAT auth_cmds 0", "STAT auth_errors 0"];

fn names_and_passwords_are_counted(runtime: Runtime) {
    let directory = TempDir::new("doors");
    let users = directory.path().join("users");
    std::fs::write(&users, "name:secret\n").expect("a file can be written");
    let file = text(&users);
    let base = ["cache", "--listen", "localhost:0", "--runtime", runtime.name()];
    let server = Ready::start(&[&base[..], &["--auth-file", &file]].concat());
    let address = server.host_and_port("cache");
    attempts(&address);
    assert_eq!(counted(&address), COUNTED);
    server.stop();
}

#[test]
fn memcached_counts_names_and_passwords_so() {
    let server = CacheServer::memcached_with_authentication();
    let address = server.address().to_string();
    attempts(&address);
    assert_eq!(counted(&address), COUNTED);
}

on_each_runtime!(users_are_read_again, names_and_passwords_are_counted);
