//! The server, as a peer sees it.

use std::io::{Read, Write};

use super::*;

#[test]
fn what_was_set_is_got_until_the_shutdown() {
    let listener = listen(([127, 0, 0, 1], 0).into(), 1).unwrap();
    let address = listener[0].local_addr().unwrap();
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let server = std::thread::spawn(move || run(listener, &asked).unwrap());

    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"set k 0 0 5\r\nhello\r\nget a k\r\ntouch k 0\r\nquit\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, "STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\nERROR\r\n");

    shutdown.trigger();
    server.join().unwrap();
}
