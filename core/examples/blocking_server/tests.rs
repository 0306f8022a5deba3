//! What the guide says of the adapter.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;

const BOUND: Duration = Duration::from_secs(20);

/// A server in a thread of this process.
struct Running {
    address: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

fn serve<E: Endpoint>(
    most: usize,
    timeout: Duration,
    accept: impl Fn(SocketAddr, Now) -> E + Clone + Send + 'static,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_stopping = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_stopping);
    let thread = thread::spawn(move || adapter::serve(&listener, accept, most, &asked, timeout));
    Running { address, is_stopping, thread }
}

fn names(timeouts: Timeouts) -> impl Fn(SocketAddr, Now) -> Names + Clone + Send {
    move |_peer, now| Names::new(&timeouts, now)
}

impl Running {
    fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).unwrap();
        peer.set_read_timeout(Some(BOUND)).unwrap();
        peer.set_write_timeout(Some(BOUND)).unwrap();
        peer
    }

    /// How many connections were cut.
    fn stop(self) -> usize {
        self.is_stopping.store(true, Ordering::Release);
        // Gets the thread out of its accept.
        let _last = TcpStream::connect(self.address);
        self.thread.join().unwrap()
    }
}

fn read_all(peer: &mut TcpStream) -> String {
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    answer
}

const ANSWER: &str = "VALUE 127.0.0.1 0 9\r\n127.0.0.1\r\nEND\r\n";

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let running = serve(10, BOUND, names(Timeouts::default()));
    let requests = b"get 127.0.0.1\r\ndelete k\r\nget not..a..host\r\nget 127.0.0.1\r\n";
    for cut in 0..requests.len() {
        let mut peer = running.connect();
        peer.set_nodelay(true).unwrap();
        peer.write_all(&requests[..cut]).unwrap();
        peer.write_all(&requests[cut..]).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(
            read_all(&mut peer),
            format!("{ANSWER}ERROR\r\nEND\r\n{ANSWER}"),
            "cut at {cut}"
        );
    }
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_peer_that_takes_nothing_is_closed_in_time_and_holds_up_nobody() {
    let mut timeouts = Timeouts::default();
    timeouts.write = Duration::from_millis(300);
    let running = serve(10, BOUND, names(timeouts));
    let mut greedy = running.connect();
    let requests = b"delete k\r\n".repeat(10_000);
    let begun = Instant::now();
    // Until the server reads no more of it and closes.
    while greedy.write_all(&requests).is_ok() {
        let mut other = running.connect();
        other.write_all(b"get 127.0.0.1\r\nquit\r\n").unwrap();
        assert_eq!(read_all(&mut other), ANSWER);
        assert!(begun.elapsed() < BOUND);
    }
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_silent_peer_is_closed_at_its_deadline() {
    let mut timeouts = Timeouts::default();
    timeouts.idle = Duration::from_millis(50);
    let running = serve(10, BOUND, names(timeouts));
    assert_eq!(read_all(&mut running.connect()), "");
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_connection_above_the_bound_waits_for_one_to_end() {
    let running = serve(1, BOUND, names(Timeouts::default()));
    let mut first = running.connect();
    first.write_all(b"get 127.0.0.1\r\n").unwrap();
    first.read_exact(&mut [0; ANSWER.len()]).unwrap();
    let mut second = running.connect();
    second.write_all(b"get 127.0.0.1\r\nquit\r\n").unwrap();
    second.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(second.read(&mut [0; 1]).is_err(), "there was no room yet");

    second.set_read_timeout(Some(BOUND)).unwrap();
    drop(first);
    assert_eq!(read_all(&mut second), ANSWER);
    assert_eq!(running.stop(), 0);
}

#[test]
fn an_endpoint_that_panics_takes_its_own_connection_alone() {
    struct Clumsy(Names);

    impl Endpoint for Clumsy {
        fn read_buffer(&mut self) -> &mut BytesMut {
            self.0.read_buffer()
        }
        fn wants_read(&self) -> bool {
            self.0.wants_read()
        }
        fn end_of_stream(&mut self) {
            panic!("as this test wants it");
        }
        fn shut_down(&mut self) {
            self.0.shut_down();
        }
        fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
            self.0.poll_output(now, cx)
        }
        fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
            self.0.unsent(into)
        }
        fn wrote(&mut self, n: usize) {
            self.0.wrote(n);
        }
        fn release(&mut self) {
            self.0.release();
        }
    }

    let accept = |_peer, now| Clumsy(Names::new(&Timeouts::default(), now));
    let running = serve(10, BOUND, accept);
    let (mut other, mut falls) = (running.connect(), running.connect());
    falls.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut falls), "");
    other.write_all(b"get 127.0.0.1\r\nquit\r\n").unwrap();
    assert_eq!(read_all(&mut other), ANSWER);
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_shutdown_answers_what_has_come_and_cuts_what_does_not_end() {
    let running = serve(10, Duration::from_millis(200), names(Timeouts::default()));
    let (mut idle, mut busy) = (running.connect(), running.connect());
    // A data block that has begun is waited for.
    busy.write_all(b"get 127.0.0.1\r\nset k 0 0 5\r\nhe").unwrap();
    busy.read_exact(&mut [0; ANSWER.len()]).unwrap();
    assert_eq!(running.stop(), 1);
    assert_eq!(read_all(&mut idle), "");
    assert_eq!(read_all(&mut busy), "");
}

#[test]
fn the_guide_shows_this_adapter() {
    let guide = include_str!("../../docs/adapter.md");
    let (_, guide) = guide.split_once("\n## A loop of your own\n").unwrap();
    let adapter = include_str!("adapter.rs");
    let shown: Vec<&str> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(shown.len() > 5, "{shown:#?}");
    for excerpt in shown {
        assert!(adapter.contains(excerpt), "the adapter has no longer:\n{excerpt}");
    }
    let lines = adapter.lines().count();
    assert!(guide.contains(&format!("{lines} lines")), "the adapter has {lines} lines");
    assert!(lines < 150, "{lines} lines");
}
