//! A peer that does as it is told.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::BOUND;

pub(crate) struct Peer(TcpStream);

impl Peer {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, BOUND).expect("the server listens");
        stream.set_read_timeout(Some(BOUND)).expect("a socket takes a time limit");
        stream.set_write_timeout(Some(BOUND)).expect("a socket takes a time limit");
        stream.set_nodelay(true).expect("a socket takes the option");
        Self(stream)
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    /// Sends copies of `request` until nothing is taken for a while, `most` at most; how many went
    /// whole, and how much of the next.
    pub(crate) fn flood(&mut self, request: &[u8], most: usize) -> (usize, usize) {
        let while_full = Duration::from_millis(300);
        self.0.set_write_timeout(Some(while_full)).expect("a socket takes a time limit");
        let block = request.repeat(1024);
        let mut sent = 0;
        while sent < most * request.len() {
            match self.0.write(&block[sent % block.len()..]) {
                Ok(n) => sent += n,
                Err(error) if is_late(&error) => break,
                Err(error) => panic!("the server ended: {error}"),
            }
        }
        self.0.set_write_timeout(Some(BOUND)).expect("a socket takes a time limit");
        (sent / request.len(), sent % request.len())
    }

    #[track_caller]
    pub(crate) fn receive(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.0.read_exact(&mut bytes).expect("the server answers");
        bytes
    }

    /// One request with an answer of known length, and how long it took.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &[u8], answer: &[u8]) -> Duration {
        let started = Instant::now();
        self.send(request);
        let got = self.receive(answer.len());
        assert_eq!(got.escape_ascii().to_string(), answer.escape_ascii().to_string());
        started.elapsed()
    }

    pub(crate) fn end_sending(&self) {
        self.0.shutdown(Shutdown::Write).expect("one direction can be ended");
    }

    /// Everything up to the end of what the server sends.
    #[track_caller]
    pub(crate) fn receive_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("the server ends what it sends");
        bytes
    }

    /// Whether nothing comes for a while, and no end either.
    pub(crate) fn is_silent(&mut self) -> bool {
        let moment = Duration::from_millis(300);
        self.0.set_read_timeout(Some(moment)).expect("a socket takes a time limit");
        let read = self.0.read(&mut [0]);
        self.0.set_read_timeout(Some(BOUND)).expect("a socket takes a time limit");
        read.is_err_and(|error| is_late(&error))
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
