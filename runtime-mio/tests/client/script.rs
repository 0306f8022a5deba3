//! Servers that do as the test says.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes; a test that waits for it has failed.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A server that gives every connection to a script, on a thread of its own.
pub(crate) struct Script {
    pub(crate) address: String,
    accepted: Arc<AtomicUsize>,
}

impl Script {
    /// `run` is told how many connections came before.
    pub(crate) fn start(run: impl Fn(Peer, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, run) = (Arc::clone(&accepted), Arc::new(run));
        // It waits for connections until the process ends.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (number, run) = (count.fetch_add(1, Ordering::SeqCst), Arc::clone(&run));
                let peer = Peer::new(stream.unwrap());
                thread::spawn(move || run(peer, number));
            }
        });
        Self { address, accepted }
    }

    /// A server that keeps what it is told.
    pub(crate) fn cache() -> Self {
        let items = Arc::new(Mutex::new(HashMap::new()));
        Self::start(move |peer, _| keep_items(peer, &items))
    }

    /// A server that accepts and reads, and answers nothing.
    pub(crate) fn silent() -> Self {
        Self::start(|mut peer, _| while peer.line().is_some() {})
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// An address where nobody listens.
pub(crate) fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// The server's side of a connection.
pub(crate) struct Peer(BufReader<Box<dyn Stream>>);

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        Self(BufReader::new(Box::new(stream)))
    }

    #[cfg(unix)]
    pub(crate) fn unix(stream: std::os::unix::net::UnixStream) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(BufReader::new(Box::new(stream)))
    }

    /// The next line without its end; `None` when the client has closed the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// A data block with its end.
    fn block(&mut self, length: usize) -> Vec<u8> {
        let mut block = vec![0; length + 2];
        self.0.read_exact(&mut block).unwrap();
        block.truncate(length);
        block
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has gone reads nothing more.
        let _ = self.0.get_mut().write_all(bytes.as_ref());
    }

    pub(crate) fn send_value(&mut self, key: &str, value: &[u8]) {
        let head = format!("VALUE {key} 0 {}\r\n", value.len());
        self.send([head.as_bytes(), value, b"\r\nEND\r\n"].concat());
    }
}

/// Serves one connection from items that all share.
pub(crate) fn keep_items(mut peer: Peer, items: &Mutex<HashMap<String, Vec<u8>>>) {
    while let Some(line) = peer.line() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["set", key, _, _, length] => {
                let value = peer.block(length.parse().unwrap());
                items.lock().unwrap().insert(key.to_owned(), value);
                peer.send("STORED\r\n");
            }
            ["get", key] => {
                let found = items.lock().unwrap().get(key).cloned();
                match found {
                    Some(value) => peer.send_value(key, &value),
                    None => peer.send("END\r\n"),
                }
            }
            _ => panic!("not in the script: {line}"),
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
