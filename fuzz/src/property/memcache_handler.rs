//! A handler behind a connection, which replies at once, later, wrongly or not at all.

mod planned;

use core::task::{Context, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::handler::Session;
use windhover_core::memcache::{Dialect, Limits};
use windhover_core::{Instant, Now, Timeouts, UnixTime};

use self::planned::{Later, Plan, Planned, give, server_error};
use super::splits;
use crate::generate::memcache::pipeline;
use crate::reference::memcache::{self as reference, Item};
use crate::{Script, Source};

/// How long a reply may take, without what a request itself may wait.
const ANSWER: Duration = Duration::from_secs(30);
/// More than that, and more than the longest that a request may wait.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Whenever replies come, and by whomever they are given, they leave in the order of the requests, each
/// once and whole; who gives none, a wrong one or none in time has `SERVER_ERROR` given for it.
pub fn memcache_handler(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut driver = Driver::new(&mut Source::new(first));
    for step in steps {
        driver.step(&mut Source::new(step));
    }
    driver.finish();
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Driver {
    session: Session<Planned>,
    dialect: Dialect,
    limits: Limits,
    now: Instant,
    wakes: Arc<Wakes>,
    waker: Waker,
    received: Vec<u8>,
    written: Vec<u8>,
    closed: bool,
    /// Not all bytes are taken: an end was asked for, or a deadline passed.
    cut_short: bool,
}

impl Driver {
    fn new(source: &mut Source<'_>) -> Self {
        let dialect = source.pick(&Dialect::ALL);
        let mut limits = super::memcache_requests::small_limits();
        limits.pipeline = source.pick(&[64, 2, 5]);
        limits.unsent = source.pick(&[256 * 1024, 100]);
        let hour = Duration::from_secs(3600);
        let timeouts =
            Timeouts::default().with_answer(ANSWER).with_head(hour).with_body(hour).with_idle(hour);
        let now = Instant::from_epoch(Duration::from_secs(5));
        let session = Session::new(Planned::default(), dialect, &limits, &timeouts, Self::at(now));
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(Arc::clone(&wakes));
        Self {
            session,
            dialect,
            limits,
            now,
            wakes,
            waker,
            received: Vec::new(),
            written: Vec::new(),
            closed: false,
            cut_short: false,
        }
    }

    const fn at(instant: Instant) -> Now {
        Now { instant, unix: UnixTime::from_secs(1_700_000_000) }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(8) {
            0..=3 => {
                for _ in 0..source.below(6) {
                    let plan = source.pick(&[
                        Plan::AtOnce,
                        Plan::Ticket,
                        Plan::Deferred,
                        Plan::Future,
                        Plan::InTurn,
                        Plan::Never,
                        Plan::Wrong,
                        Plan::Twice,
                        Plan::Value,
                        Plan::AtTime,
                        Plan::HandedOn,
                        Plan::Holding,
                        Plan::Closing,
                        Plan::Ending,
                    ]);
                    self.session.handler_mut().plans.push_back(plan);
                }
                let seed = source.number();
                self.receive(&pipeline(source), seed);
            }
            4 | 5 => self.reply(source),
            6 => self.drive(),
            _ => match source.below(4) {
                0 => {
                    self.session.shut_down();
                    self.session.handler_mut().ending = true;
                    self.cut_short = true;
                    self.drive();
                }
                1 => self.expire(),
                2 => self.session.release(),
                _ => self.drive(),
            },
        }
    }

    fn receive(&mut self, bytes: &[u8], seed: u64) {
        for piece in splits::pieces(bytes, seed) {
            if self.closed || self.cut_short {
                return;
            }
            if !self.session.wants_read() {
                // The peer would have to wait: it goes on when there is room.
                self.reply_to_all();
            }
            self.received.extend_from_slice(piece);
            self.session.read_buffer().extend_from_slice(piece);
            self.drive();
        }
    }

    /// One of those who are to reply later does so, or gives it up.
    fn reply(&mut self, source: &mut Source<'_>) {
        let handler = self.session.handler_mut();
        if handler.later.is_empty() {
            return;
        }
        let at = source.below(handler.later.len().min(256));
        let (number, later) = handler.later.remove(at);
        let mut expected = server_error(&number.to_string());
        // The connection waits for the first one, and has asked it.
        let is_next = handler.expected[..number].iter().all(Option::is_some);
        match later {
            Later::Flag(ready) => ready.store(true, Ordering::Relaxed),
            Later::At(at) => self.now = self.now.max(at),
            Later::Ticket(ticket) => {
                let before = self.wakes.0.load(Ordering::Relaxed);
                if self.closed {
                    assert!(!is_next || ticket.is_abandoned() || self.cut_short);
                }
                if source.chance(1, 3) {
                    drop(ticket);
                    expected = server_error("the server made no reply");
                } else {
                    ticket.answer(move |reply| give(reply, number));
                }
                let woken = self.wakes.0.load(Ordering::Relaxed) > before;
                assert!(woken || !is_next || self.closed || self.cut_short, "nobody was woken");
            }
        }
        self.session.handler_mut().expected[number] = Some(expected);
        self.drive();
    }

    /// The time of all that wait is over.
    fn expire(&mut self) {
        if self.session.handler().later.is_empty() {
            return;
        }
        // What is under way ends with it.
        self.cut_short = true;
        self.now = self.now + ANSWER + FOREVER;
        // Kept until it is done: to drop a ticket is a reply.
        let later = std::mem::take(&mut self.session.handler_mut().later);
        for (number, later) in &later {
            let text = match later {
                // Its time has come as well, and it is asked first.
                Later::At(_) => number.to_string(),
                _ => "the server made no reply in time".to_owned(),
            };
            self.session.handler_mut().expected[*number] = Some(server_error(&text));
        }
        self.drive();
        drop(later);
    }

    /// Calls until there is nothing to do, as the rule says.
    fn drive(&mut self) {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        while !self.closed {
            match self.session.poll_output(Self::at(self.now), &mut cx) {
                Next::Write => {
                    let mut slices = [&b""[..]; 4];
                    let filled = self.session.unsent(&mut slices);
                    assert!(filled > 0, "nothing to write");
                    let bytes = slices[..filled].concat();
                    self.session.wrote(bytes.len());
                    self.written.extend_from_slice(&bytes);
                }
                Next::Idle(deadline) => {
                    assert!(deadline > self.now, "the deadline has passed, and nothing is done");
                    let handler = self.session.handler();
                    let next = handler.expected.iter().position(Option::is_none);
                    let waits = handler.later.iter().find(|(number, _)| Some(*number) == next);
                    if let Some((_, Later::At(at))) = waits
                        && self.now < *at
                    {
                        assert!(deadline <= *at, "it is not asked when it wants to be");
                    }
                    return;
                }
                Next::CloseWrite | Next::Close => self.closed = true,
            }
        }
    }

    fn reply_to_all(&mut self) {
        while !self.session.handler().later.is_empty() {
            self.reply(&mut Source::new(&[]));
        }
    }

    fn finish(mut self) {
        self.session.handler_mut().plans.clear();
        self.drive();
        // What was postponed may come with plans of its own: until nobody is left.
        self.reply_to_all();
        self.session.end_of_stream();
        self.session.handler_mut().ending = true;
        self.drive();
        assert!(self.closed, "an ended connection stays open");
        let stream = reference::read(&self.received, self.dialect, &self.limits, None);
        let handler = self.session.handler();
        let wrong = |text: &Option<Vec<u8>>| {
            text.as_ref()
                .is_some_and(|text| text.starts_with(b"SERVER_ERROR the server made a reply"))
        };
        if handler.expected.iter().any(wrong) {
            assert!(self.session.connection().responses().error().is_some(), "nobody hears of it");
        }
        // Behind a reply that ends the connection there is nothing.
        let last = handler.last.map_or(usize::MAX, |last| last + 1);
        self.cut_short |= handler.last.is_some();
        let mut output = Vec::new();
        let mut answered = 0;
        for item in &stream.items {
            match item {
                Item::Refused(reply) => {
                    if let Some(reply) = reply {
                        output.extend_from_slice(reply.as_bytes());
                        output.extend_from_slice(b"\r\n");
                    }
                }
                Item::Request(..) => {
                    let Some(given) = handler.requests.get(answered) else {
                        assert!(self.cut_short, "never handed out: {item:?}");
                        break;
                    };
                    assert_eq!(given, item);
                    if answered >= last {
                        answered = handler.requests.len();
                        break;
                    }
                    if !handler.silent[answered] {
                        output.extend(handler.expected[answered].iter().flatten());
                    }
                    answered += 1;
                }
            }
        }
        assert_eq!(answered, handler.requests.len(), "a request that is not in the stream");
        let written = self.written.escape_ascii().to_string();
        if self.cut_short {
            let common = output.get(..self.written.len()).unwrap_or(&output);
            assert_eq!(written, common.escape_ascii().to_string());
        } else {
            assert_eq!(written, output.escape_ascii().to_string());
        }
    }
}
