//! A blocking socket, the bytes known in advance: what any client pays for the system.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Workers, threads};
use crate::work::{KEY, KEYS, TOGETHER, VALUE, Window, Work, keys};

pub(super) fn start(work: Work, port: u16, window: Window) -> Workers {
    let get = format!("get {KEY}\r\n");
    let text = String::from_utf8_lossy(VALUE);
    let item = |key: &str| format!("VALUE {key} 0 {}\r\n{text}\r\n", VALUE.len());
    let hit = item(KEY) + "END\r\n";
    let set_of = |key: &str| format!("set {key} 0 0 {}\r\n{text}\r\n", VALUE.len());
    let set = set_of(KEY);
    let (request, reply, operations) = match work {
        Work::Get | Work::ThreadsApart => (get, hit, 1),
        Work::Set => (set, "STORED\r\n".to_owned(), 1),
        Work::Gets => (get.repeat(TOGETHER), hit.repeat(TOGETHER), TOGETHER),
        Work::Sets => (set.repeat(TOGETHER), "STORED\r\n".repeat(TOGETHER), TOGETHER),
        Work::SetMany => {
            let sets = keys().iter().take(TOGETHER).map(|key| set_of(key)).collect();
            (sets, "STORED\r\n".repeat(TOGETHER), TOGETHER)
        }
        Work::Keys => {
            let items: String = keys().iter().map(|key| item(key)).collect();
            (format!("get {}\r\n", keys().join(" ")), items + "END\r\n", KEYS)
        }
        Work::InFlight | Work::Tasks | Work::Threads => {
            panic!("a socket has no way to do {work:?}")
        }
    };
    threads(work, move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let (mut came, mut count) = (vec![0; reply.len()], 0);
        while {
            stream.write_all(request.as_bytes()).expect("it takes a request");
            stream.read_exact(&mut came).expect("it answers");
            assert!(came == reply.as_bytes(), "another answer");
            window.goes_on(&mut count, operations)
        } {}
        count
    })
}
