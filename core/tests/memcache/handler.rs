//! The handler level: answers at once, later and by others, in order.

use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;

use bytes::Bytes;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::command::Command;
use windhover_core::memcache::handler::{
    Deferred, Handler, Reply, ReplyError, ReplyTicket, Session,
};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Kind, Response};
use windhover_core::memcache::{Data, Dialect, Limits, Payload};
use windhover_core::{Instant, Now, Timeouts, UnixTime};

fn at(seconds: u64) -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_secs(seconds)),
        unix: UnixTime::from_secs(2_000_000_000 + seconds),
    }
}

/// What a handler does is a function of the key that is asked for.
#[derive(Default)]
struct Scripted {
    items: HashMap<Vec<u8>, Payload>,
    tickets: Vec<(Vec<u8>, ReplyTicket)>,
    handled: Vec<String>,
    ended: usize,
}

impl Handler for Scripted {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        match request {
            Request::Set(item) => {
                self.items.insert(item.key.to_vec(), data.into());
                reply.send(&Response::Stored)
            }
            Request::Get(mut keys) => {
                let key = keys.next().unwrap_or_default();
                match key {
                    b"late" => {
                        self.tickets.push((key.to_vec(), reply.ticket()));
                        Ok(())
                    }
                    b"held" => {
                        reply.hold();
                        self.tickets.push((key.to_vec(), reply.ticket()));
                        Ok(())
                    }
                    b"first" if !reply.is_first() => {
                        self.handled.push("postponed".to_owned());
                        reply.postpone();
                        Ok(())
                    }
                    b"never" => Ok(()),
                    b"wrong" => {
                        reply.value(key, 0, None, "x")?;
                        reply.send(&Response::Stored)
                    }
                    b"twice" => {
                        reply.end()?;
                        assert_eq!(reply.end(), Err(ReplyError::Ended));
                        Ok(())
                    }
                    b"close" => {
                        let sent = reply.end();
                        reply.close();
                        sent
                    }
                    b"many" => {
                        reply.hold();
                        reply.defer(Many(100));
                        Ok(())
                    }
                    b"future" => {
                        reply.defer_until(async {
                            |reply: &mut Reply<'_>| {
                                reply.value(b"future", 1, None, "now")?;
                                reply.end()
                            }
                        });
                        Ok(())
                    }
                    key => {
                        self.handled.push(String::from_utf8_lossy(key).into_owned());
                        if let Some(value) = self.items.get(key) {
                            reply.value(key, 0, None, value)?;
                        }
                        reply.end()
                    }
                }
            }
            Request::Stats { .. } => reply.stats([("pid", "1"), ("uptime", "2")]),
            Request::Shutdown { .. } => {
                reply.close();
                Ok(())
            }
            _ => reply.send(&Response::Error(b"")),
        }
    }

    fn ended(&mut self) {
        self.ended += 1;
    }
}

/// So many values of 10 KiB, as many at a time as may wait.
struct Many(usize);

impl Deferred for Many {
    fn poll(&mut self, reply: &mut Reply<'_>, _: &mut Context<'_>) -> Poll<Result<(), ReplyError>> {
        while self.0 > 0 {
            if reply.is_full() {
                return Poll::Pending;
            }
            self.0 -= 1;
            reply.value(b"many", 0, None, &Bytes::from(vec![b'm'; 10 * 1024]))?;
        }
        Poll::Ready(reply.end())
    }
}

struct Peer {
    session: Session<Scripted>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Peer {
    fn new() -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let handler = Scripted::default();
        let session = Session::new(handler, Dialect::Memcached, &limits, &timeouts, at(0));
        Self { session, woken: Arc::default() }
    }

    fn ask(&mut self, bytes: &[u8]) -> String {
        self.session.read_buffer().extend_from_slice(bytes);
        self.drain(0).0
    }

    /// What is written, and what the connection wants then.
    fn drain(&mut self, seconds: u64) -> (String, Next) {
        let mut written = Vec::new();
        let waker = Waker::from(Arc::clone(&self.woken));
        loop {
            match self.session.poll_output(at(seconds), &mut Context::from_waker(&waker)) {
                Next::Write => {
                    let mut slices = [&b""[..]; 64];
                    let filled = self.session.unsent(&mut slices);
                    assert!(slices[..filled].concat().len() < 300 * 1024, "held in memory whole");
                    let first = slices[0].len();
                    written.extend_from_slice(slices[0]);
                    self.session.wrote(first);
                }
                next => return (written.escape_ascii().to_string(), next),
            }
        }
    }

    fn answer(&mut self, value: &'static str) -> bool {
        let (key, ticket) = self.take_ticket();
        ticket.answer(move |reply| {
            reply.value(&key, 0, None, value)?;
            reply.end()
        })
    }

    fn take_ticket(&mut self) -> (Vec<u8>, ReplyTicket) {
        // The handler is the session's; its tickets are taken as whoever works on them would.
        let handler = self.session.handler_mut();
        handler.tickets.remove(0)
    }
}

#[test]
fn replies_leave_in_the_order_of_requests_whoever_answers_first() {
    let mut peer = Peer::new();
    let input = b"set k 0 0 1\r\n1\r\nget late\r\nbogus\r\nget k\r\nget late\r\nstats\r\n";
    assert_eq!(peer.ask(input), r"STORED\r\n");
    assert_eq!(peer.session.handler().handled, ["k"], "it was handled, and waits");

    let (_, second) = (peer.take_ticket(), peer.take_ticket());
    // The first was dropped: nobody will answer.
    assert_eq!(peer.woken.0.load(Ordering::SeqCst), 1);
    let expected = r"SERVER_ERROR the server made no reply\r\nERROR\r\nVALUE k 0 1\r\n1\r\nEND\r\n";
    assert_eq!(peer.drain(0).0, expected);

    assert!(second.1.answer(|reply: &mut Reply<'_>| reply.end()));
    assert_eq!(peer.drain(0).0, r"END\r\nSTAT pid 1\r\nSTAT uptime 2\r\nEND\r\n");
    assert_eq!(peer.session.connection().responses().unanswered(), 0);
}

#[test]
fn another_thread_may_answer_and_wakes_the_connection() {
    let mut peer = Peer::new();
    assert_eq!(peer.ask(b"get late\r\n"), "");
    let (_, ticket) = peer.take_ticket();
    let answered = thread::spawn(move || {
        ticket.answer(|reply| {
            reply.value(b"late", 5, None, "done")?;
            reply.end()
        })
    });
    assert!(answered.join().unwrap());
    assert_eq!(peer.woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(peer.drain(0).0, r"VALUE late 5 4\r\ndone\r\nEND\r\n");
}

#[test]
fn a_ticket_knows_that_its_connection_has_gone() {
    let mut peer = Peer::new();
    peer.ask(b"get late\r\nget late\r\n");
    let (_, first) = peer.take_ticket();
    let (_, second) = peer.take_ticket();
    assert!(!first.is_abandoned());
    drop(peer);
    assert!(first.is_abandoned());
    assert!(!second.answer(|reply: &mut Reply<'_>| reply.end()));
}

#[test]
fn a_future_answers_too() {
    let mut peer = Peer::new();
    assert_eq!(peer.ask(b"get future\r\n"), r"VALUE future 1 3\r\nnow\r\nEND\r\n");
}

#[test]
fn a_request_without_an_answer_has_one() {
    let mut peer = Peer::new();
    assert_eq!(
        peer.ask(b"get never\r\nget twice\r\nget k\r\n"),
        r"SERVER_ERROR the server made no reply\r\nEND\r\nEND\r\n"
    );
}

#[test]
fn a_deferred_reply_has_a_deadline_and_the_connection_goes_on() {
    let mut peer = Peer::new();
    peer.ask(b"get late\r\nget k\r\n");
    let end = at(30).instant;
    assert_eq!(peer.drain(29), (String::new(), Next::Idle(end)));
    let expected = r"SERVER_ERROR the server made no reply in time\r\nEND\r\n";
    assert_eq!(peer.drain(30).0, expected);
    // Its answer goes nowhere, and the next request gets its own.
    assert!(!peer.answer("too late"));
    assert_eq!(peer.ask(b"get twice\r\n"), r"END\r\n");
}

#[test]
fn what_the_command_cannot_have_is_an_error_to_both() {
    let mut peer = Peer::new();
    let expected = r"VALUE wrong 0 1\r\nx\r\nSERVER_ERROR the server made a reply that the command cannot have\r\nEND\r\n";
    assert_eq!(peer.ask(b"get wrong\r\nget k\r\n"), expected);
    let error = ReplyError::Invalid { command: Command::Get, frame: Kind::Stored };
    assert_eq!(peer.session.connection().responses().error(), Some(error));
    assert_eq!(
        error.to_string(),
        "Get cannot be answered with STORED: the table of commands says with what"
    );
    // Behind one that waits, too.
    assert_eq!(peer.ask(b"get late\r\nget wrong\r\n"), "");
    assert!(peer.answer("v"));
    let expected = [r"VALUE late 0 1\r\nv\r\nEND\r\n", expected].concat();
    assert_eq!(peer.drain(0).0, expected.strip_suffix(r"END\r\n").unwrap());
}

#[test]
fn a_request_can_take_its_turn_when_those_before_it_are_answered() {
    for input in [&b"get late\r\nget first\r\nget k\r\n"[..], b"get late\r\nget first\r\n"] {
        let mut peer = Peer::new();
        assert_eq!(peer.ask(input), "");
        assert_eq!(peer.session.handler().handled, ["postponed"]);
        assert!(peer.session.wants_read(), "its going away is seen");
        assert_eq!(peer.ask(b""), "", "and it stays where it is");
        assert!(peer.answer("v"));
        let behind = input.len() > 25;
        let ends = if behind { r"END\r\nEND\r\n" } else { r"END\r\n" };
        assert_eq!(peer.drain(0).0, [r"VALUE late 0 1\r\nv\r\nEND\r\n", ends].concat());
        let handled = &peer.session.handler().handled;
        assert_eq!(handled[..2], ["postponed", "first"]);
        assert_eq!(handled.len(), if behind { 3 } else { 2 });
    }
}

#[test]
fn what_was_postponed_is_answered_at_the_end_too() {
    for shut_down in [false, true] {
        let mut peer = Peer::new();
        peer.ask(b"get late\r\nget first\r\n");
        if shut_down {
            peer.session.shut_down();
        } else {
            peer.session.end_of_stream();
        }
        assert!(matches!(peer.drain(0).1, Next::Idle(_)));
        assert!(peer.answer("v"));
        let (written, next) = peer.drain(0);
        assert_eq!(written, r"VALUE late 0 1\r\nv\r\nEND\r\nEND\r\n");
        assert_eq!(next, if shut_down { Next::CloseWrite } else { Next::Close });
    }
}

#[test]
fn requests_behind_a_held_one_wait() {
    let mut peer = Peer::new();
    assert_eq!(peer.ask(b"get held\r\nget k\r\n"), "");
    assert!(peer.session.handler().handled.is_empty());
    assert!(peer.answer("v"));
    assert_eq!(peer.drain(0).0, r"VALUE held 0 1\r\nv\r\nEND\r\nEND\r\n");
}

#[test]
fn a_handler_ends_the_connection_behind_its_reply() {
    let mut peer = Peer::new();
    peer.session.read_buffer().extend_from_slice(b"get close\r\nget k\r\n");
    assert_eq!(peer.drain(0), (r"END\r\n".to_owned(), Next::CloseWrite));
    assert_eq!(peer.session.handler().ended, 1);

    let mut behind = Peer::new();
    assert_eq!(behind.ask(b"get late\r\nget close\r\nget k\r\n"), "");
    assert!(behind.answer("v"));
    let expected = r"VALUE late 0 1\r\nv\r\nEND\r\nEND\r\n";
    assert_eq!(behind.drain(0), (expected.to_owned(), Next::CloseWrite));
    assert!(behind.session.handler().handled.is_empty(), "nothing is taken behind it");

    for input in [&b"shutdown\r\nget k\r\n"[..], b"get late\r\nshutdown\r\nget k\r\n"] {
        let mut asked = Peer::new();
        asked.session.read_buffer().extend_from_slice(input);
        let (_, next) = asked.drain(0);
        if input.starts_with(b"get") {
            assert!(asked.answer("v"));
            let expected = r"VALUE late 0 1\r\nv\r\nEND\r\n";
            assert_eq!(asked.drain(0), (expected.to_owned(), Next::CloseWrite));
        } else {
            assert_eq!(next, Next::CloseWrite);
        }
        assert!(asked.session.handler().handled.is_empty());
    }
}

#[test]
fn much_is_given_piece_by_piece() {
    let mut peer = Peer::new();
    let written = peer.ask(b"get many\r\nget k\r\n");
    let item = [r"VALUE many 0 10240\r\n", &"m".repeat(10 * 1024), r"\r\n"].concat();
    assert_eq!(written, [&item.repeat(100), r"END\r\nEND\r\n"].concat());
}

#[test]
fn what_came_in_segments_leaves_in_segments() {
    let mut peer = Peer::new();
    let value: Vec<u8> = (0..200_000).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect();
    let input = [b"set k 0 0 200000\r\n", &value[..], b"\r\n"].concat();
    for piece in input.chunks(50_000) {
        peer.session.read_buffer().extend_from_slice(piece);
        peer.drain(0);
    }
    let kept = &peer.session.handler().items[&b"k"[..]];
    assert!(kept.chunks().len() > 1);
    assert_eq!((kept.len(), kept.to_vec() == value), (200_000, true));
    // A short rest is cheaper to copy than to send as a slice of its own.
    let long = kept.chunks().iter().filter(|segment| segment.len() >= 4096);
    let segments: Vec<*const u8> = long.map(|segment| segment.as_ptr()).collect();

    peer.session.read_buffer().extend_from_slice(b"get k\r\n");
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(peer.session.poll_output(at(0), &mut cx), Next::Write);
    let mut slices = [&b""[..]; 64];
    let filled = peer.session.unsent(&mut slices);
    assert_eq!(slices[..filled].concat().len(), "VALUE k 0 200000\r\n\r\nEND\r\n".len() + 200_000);
    let sent: Vec<*const u8> = slices[1..filled - 1].iter().map(|slice| slice.as_ptr()).collect();
    assert_eq!(sent, segments, "not one was copied");
}

#[test]
fn values_convert_without_loops() {
    let bytes = Bytes::from_static(b"hello");
    for payload in [
        Payload::from(bytes.clone()),
        Payload::from("hello"),
        Payload::from(b"hello".to_vec()),
        Payload::from("hello".to_owned()),
        Payload::from(vec![bytes.slice(..2), bytes.slice(2..)]),
        Payload::from(Data::from("hello")),
        Payload::from(Data::from(&bytes)),
    ] {
        assert_eq!((payload.len(), payload.is_empty()), (5, false));
        assert_eq!(payload.to_vec(), b"hello");
        assert_eq!(Data::from(&payload).to_bytes(), bytes);
        assert_eq!(payload.into_bytes(), bytes);
    }
    assert!(Payload::default().is_empty() && Data::default().is_empty());
    assert_eq!(Data::from(&bytes).to_bytes().as_ptr(), bytes.as_ptr(), "shared");
}
