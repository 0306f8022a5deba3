//! The server's side of a memcache connection, under any interleaving of bytes, time, answers,
//! writes and ends.

mod answers;

use core::time::Duration;
use std::collections::VecDeque;

use windhover_core::endpoint::Spare;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Now, Timeouts};

use self::answers::Pending;
use super::splits;
use crate::generate::memcache::pipeline;
use crate::reference::memcache::{self as reference, Item, Tail};
use crate::{Script, Source};

/// How long a peer that was told of the end may go on.
const LINGER: Duration = Duration::from_secs(2);

/// Requests come out in order and as the stream has them, however it is split; answers go out in
/// order, each once, without those that the client does not want; deadlines are as documented, and
/// the connection ends when all is done.
pub fn memcache_server(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut driver = Driver::new(&mut Source::new(first));
    driver.drive();
    for step in steps {
        driver.step(&mut Source::new(step));
        driver.settle();
    }
    driver.finish();
}

struct Driver {
    connection: ServerConnection,
    dialect: Dialect,
    limits: Limits,
    timeouts: Timeouts,
    now: Instant,
    /// What was received, and from where on the connection no longer read.
    received: Vec<u8>,
    requests: Vec<Item>,
    pending: VecDeque<Pending>,
    /// Whole answers by request, in order, without what is hidden; the last may go on.
    answers: Vec<Vec<u8>>,
    verdicts: Option<Vec<bool>>,
    written: Vec<u8>,
    /// Bytes that a write takes; 0 blocks.
    write: usize,
    answers_at_once: bool,
    holds: bool,
    closed: bool,
    /// The bytes are not all taken: an end was asked for, or a deadline passed.
    cut_short: bool,
    /// Deadlines cannot be told by the stream alone.
    bounded: bool,
    deadline: Option<Instant>,
    position: (usize, Tail),
    since: Instant,
    /// Something was done or pending since the step began.
    busy: bool,
    stuck_since: Option<Instant>,
}

impl Driver {
    fn new(source: &mut Source<'_>) -> Self {
        let dialect = source.pick(&Dialect::ALL);
        let limits = super::memcache_requests::small_limits()
            .with_value(100_000)
            .with_pipeline(source.pick(&[64, 1, 2, 3]))
            .with_unsent(source.pick(&[256 * 1024, 20, 0]));
        let timeouts = Timeouts::default()
            .with_head(Duration::from_millis(400))
            .with_body(Duration::from_millis(700))
            .with_idle(Duration::from_millis(1500))
            .with_write(Duration::from_millis(900))
            .with_answer(Duration::from_millis(2100));
        let now = Instant::from_epoch(Duration::from_secs(5));
        let mut connection = ServerConnection::new(dialect, &limits, &timeouts, now);
        assert_eq!(connection.dialect(), dialect);
        let locked = dialect == Dialect::Memcached && source.chance(1, 4);
        if locked {
            connection.require_authentication();
        }
        assert_eq!(connection.is_open(), !locked);
        Self {
            connection,
            dialect,
            bounded: limits.pipeline < 64 || limits.unsent < 1000,
            limits,
            timeouts,
            now,
            received: Vec::new(),
            requests: Vec::new(),
            pending: VecDeque::new(),
            answers: Vec::new(),
            verdicts: locked.then(Vec::new),
            written: Vec::new(),
            write: usize::MAX,
            answers_at_once: source.chance(1, 2),
            holds: false,
            closed: false,
            cut_short: false,
            deadline: None,
            position: (0, Tail::Between),
            since: now,
            busy: false,
            stuck_since: None,
        }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(16) {
            0..=3 => {
                let seed = source.number();
                self.receive(&pipeline(source), seed);
            }
            4 => {
                let mut request = pipeline(source);
                request.truncate(request.len().saturating_sub(source.between(1, 8)));
                self.receive(&request, 0);
            }
            5 => self.receive(source.rest(), 1),
            6 => {
                let length = match source.between(60_000, 100_001) {
                    98_000.. => self.limits.value + 1,
                    length => length,
                };
                let noreply = if source.chance(1, 3) { " noreply" } else { "" };
                let mut request = format!("set large 1 0 {length}{noreply}\r\n").into_bytes();
                request.resize(request.len() + length, b'L');
                request.extend_from_slice(b"\r\n");
                request.truncate(request.len() - source.pick(&[0, 0, 0, 1, 2, 40_000]));
                if source.chance(1, 4) {
                    // It does not end where it says.
                    request.truncate(request.len() - 2);
                    request.extend_from_slice(b"LL");
                }
                self.receive(&request, 2);
            }
            7 => {
                let credentials: [&[u8]; 5] = [
                    b"set auth 0 0 9\r\nuser pass\r\n",
                    b"set auth 0 0 4\r\nuser\r\n",
                    b"set auth 0 0 16385\r\n",
                    b"set auth 0 0 9 more\r\nuser pass\n\n",
                    b"get auth\r\n",
                ];
                self.receive(source.pick(&credentials), source.clone().number());
            }
            8 => self.wait(source),
            9 => {
                for _ in 0..source.between(1, 4) {
                    self.answer(source);
                }
                self.drive();
            }
            10 => {
                self.write = source.pick(&[usize::MAX, 0, 3, 70, 1000]);
                self.unblock();
                self.drive();
            }
            11 => {
                self.holds = source.chance(1, 2);
                self.answers_at_once = source.chance(1, 2);
            }
            12 => {
                let mut spare = Spare::default();
                self.connection.release_to(&mut spare);
                self.connection.reuse(&mut spare);
                self.connection.release();
            }
            13 => {
                self.connection.shut_down();
                self.cut_short = true;
                self.drive();
            }
            14 if source.chance(1, 2) => {
                self.connection.responses_mut().close_after_responses();
                self.pending.clear();
                self.cut_short = true;
                self.drive();
            }
            15 if source.chance(1, 2) => {
                self.connection.end_of_stream();
                // What comes behind it is not of the stream.
                self.cut_short = true;
                self.drive();
            }
            _ => self.drive(),
        }
    }

    fn receive(&mut self, bytes: &[u8], seed: u64) {
        let pieces = if bytes.len() > 10_000 {
            bytes.chunks(16 * 1024 + 1).collect()
        } else {
            splits::pieces(bytes, seed)
        };
        for piece in pieces {
            if self.closed {
                return;
            }
            // An adapter reads only what it is asked to.
            if !self.connection.wants_read() {
                self.bounded = true;
            }
            self.received.extend_from_slice(piece);
            if seed.is_multiple_of(2) {
                self.connection.receive(piece);
            } else {
                self.connection.read_buffer().extend_from_slice(piece);
            }
            self.drive();
        }
    }

    fn wait(&mut self, source: &mut Source<'_>) {
        let at = match (source.below(8), self.deadline) {
            (0 | 1, Some(deadline)) => deadline,
            (2 | 3, Some(deadline)) => {
                Instant::from_epoch(deadline.since_epoch().saturating_sub(Duration::from_nanos(1)))
            }
            _ => self.now + Duration::from_millis(source.between(1, 1000) as u64),
        };
        self.now = self.now.max(at);
        if self.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.cut_short = true;
        }
        self.drive();
    }

    /// Calls until there is nothing to do, as the rule says.
    fn drive(&mut self) {
        let before = (self.written.len(), self.requests.len(), self.pending.len());
        self.deadline = None;
        loop {
            match self.connection.poll_output(Now { instant: self.now, ..Now::default() }) {
                Output::Request { request, data, .. } => {
                    assert!(!self.closed, "a request on a closed connection");
                    let mut whole = Vec::new();
                    data.extend_into(&mut whole);
                    assert_eq!((data.len(), data.is_empty()), (whole.len(), whole.is_empty()));
                    assert_eq!(data.segments().is_some(), whole.len() > 64 * 1024);
                    self.requests.push(reference::item(&request, &whole));
                    self.pending.push_back(Pending::to(
                        &request,
                        self.dialect,
                        self.now,
                        self.timeouts.answer,
                    ));
                    self.answers.push(Vec::new());
                    if self.holds {
                        self.connection.responses_mut().hold_requests();
                        self.bounded = true;
                    }
                    if self.answers_at_once {
                        self.answer(&mut Source::new(&[]));
                    }
                }
                Output::TooLarge { .. } => {
                    assert!(!self.closed, "a request on a closed connection");
                }
                Output::Write => {
                    self.expire();
                    self.write();
                }
                Output::Idle(deadline) => {
                    self.expire();
                    self.idle(deadline, before);
                    break;
                }
                Output::CloseWrite => {
                    self.expire();
                    self.linger();
                    break;
                }
                Output::Close => {
                    self.expire();
                    self.closed = true;
                    break;
                }
            }
            assert!(
                self.connection.responses().unanswered() <= self.limits.pipeline,
                "more than may wait"
            );
        }
        if self.closed {
            assert!(matches!(
                self.connection.poll_output(Now { instant: self.now, ..Now::default() }),
                Output::Close
            ));
            assert!(!self.connection.wants_read());
        }
    }

    /// An answer that was not given in time was given by the connection, which then ends: a late one
    /// could be taken for that to the next request.
    fn expire(&mut self) {
        let Some(pending) = self.pending.front().filter(|front| front.deadline <= self.now) else {
            return;
        };
        let answering = self.requests.len() - self.pending.len();
        self.answers[answering].extend_from_slice(pending.expired());
        self.pending.clear();
        self.cut_short = true;
        assert_eq!(
            self.connection.responses().unanswered(),
            0,
            "what was not answered in time still waits"
        );
    }

    /// Everything is written; what comes is dropped, until the peer ends too or its time is over.
    fn linger(&mut self) {
        assert_eq!(
            (self.unsent().len(), self.connection.responses().unanswered()),
            (0, 0),
            "it is not the end"
        );
        self.closed = true;
        for _ in 0..2 {
            assert!(self.connection.wants_read(), "a peer that sends on would be reset");
            self.connection.receive(b"get dropped\r\n");
            match self.connection.poll_output(Now { instant: self.now, ..Now::default() }) {
                Output::Idle(deadline) => {
                    assert!(deadline > self.now && deadline <= self.now + LINGER);
                    self.deadline = Some(deadline);
                }
                other => panic!("{other:?} while what comes is dropped"),
            }
        }
        let deadline = self.deadline.take();
        if self.write.is_multiple_of(2) {
            self.connection.end_of_stream();
        } else {
            self.now = deadline.unwrap_or(self.now);
        }
    }

    fn idle(&mut self, deadline: Instant, before: (usize, usize, usize)) {
        let wait = deadline.saturating_since(self.now);
        assert!(!wait.is_zero(), "the deadline has passed, and nothing is done");
        if let Some(pending) = self.pending.front() {
            assert!(deadline <= pending.deadline, "an answer has no deadline");
        }
        self.deadline = Some(deadline);
        self.busy |=
            before != (self.written.len(), self.requests.len(), 0) || !self.pending.is_empty();
        let unsent = self.unsent().len();
        if unsent > 0 {
            let moved = self.written.len() != before.0;
            let stuck = self.stuck_since.filter(|_| !moved).unwrap_or(self.now);
            self.stuck_since = Some(stuck);
            assert!(
                deadline <= stuck + self.timeouts.write,
                "a peer that takes nothing has no end"
            );
        } else {
            self.stuck_since = None;
        }
    }

    /// Behind each step, at one moment: the deadline is that of what the stream ends in.
    fn settle(&mut self) {
        let busy = core::mem::take(&mut self.busy);
        let unsent = self.unsent().len();
        assert!(self.connection.held() >= unsent, "less is held than is to be sent");
        let Some(deadline) = self.deadline else {
            return;
        };
        if self.cut_short || self.bounded {
            return;
        }
        let stream = self.stream();
        let position = (stream.taken, stream.tail);
        // What is done or pending meanwhile gives a peer that is in a request no more time.
        if position != self.position || (busy && stream.tail == Tail::Between) {
            self.since = self.now;
        }
        self.position = position;
        if self.unsent().is_empty() && self.pending.is_empty() {
            let timeout = match stream.tail {
                Tail::Between => self.timeouts.idle,
                Tail::Line => self.timeouts.head,
                Tail::Block => self.timeouts.body,
                Tail::Over => panic!("idle, though all is done"),
            };
            assert_eq!(deadline, self.since + timeout, "{:?}", stream.tail);
        }
    }

    fn stream(&self) -> reference::Stream {
        reference::read(&self.received, self.dialect, &self.limits, self.verdicts.as_deref())
    }

    fn unsent(&self) -> Vec<u8> {
        let mut slices = [&b""[..]; 64];
        let filled = self.connection.unsent(&mut slices);
        slices[..filled].concat()
    }

    fn write(&mut self) {
        let mut slices = [&b""[..]; 4];
        let filled = self.connection.unsent(&mut slices);
        assert!(filled > 0 && !slices[0].is_empty(), "nothing to write");
        let before = self.written.len();
        for slice in &slices[..filled] {
            let room = self.write.saturating_sub(self.written.len() - before);
            self.written.extend_from_slice(&slice[..room.min(slice.len())]);
        }
        self.connection.wrote(self.written.len() - before);
    }

    /// The socket takes bytes again: an adapter tries.
    fn unblock(&mut self) {
        if self.write > 0 && !self.unsent().is_empty() && !self.closed {
            self.write();
        }
    }

    fn answer(&mut self, source: &mut Source<'_>) {
        let answering = self.requests.len() - self.pending.len();
        let Some(pending) = self.pending.front_mut() else {
            // Nothing is pending: it must change nothing.
            answers::give_nothing(&mut self.connection);
            return;
        };
        let (sent, verdict) = pending.answer(&mut self.connection, source);
        self.answers[answering].extend_from_slice(&sent);
        if let Some(verdict) = verdict
            && let Some(verdicts) = &mut self.verdicts
        {
            verdicts.push(verdict);
        }
        self.pending.pop_front();
    }

    /// Answers all, takes all, ends, and looks at the whole.
    fn finish(mut self) {
        self.write = usize::MAX;
        self.holds = false;
        self.answers_at_once = true;
        self.unblock();
        while !self.pending.is_empty() {
            self.answer(&mut Source::new(&[]));
        }
        self.drive();
        let early = self.cut_short;
        self.connection.end_of_stream();
        self.drive();
        assert!(self.closed, "an ended connection stays open");
        let stream = self.stream();
        let mut output = Vec::new();
        let mut answers = self.answers.iter();
        let mut requests = self.requests.iter();
        for item in &stream.items {
            match item {
                Item::Refused(reply) => {
                    if let Some(reply) = reply {
                        output.extend_from_slice(reply.as_bytes());
                        output.extend_from_slice(b"\r\n");
                    }
                }
                request @ Item::Request(..) => {
                    let Some(given) = requests.next() else {
                        assert!(early, "never handed out: {request:?}");
                        break;
                    };
                    assert_eq!(given, request);
                    output.extend_from_slice(answers.next().expect("there is one for each"));
                }
            }
        }
        assert_eq!(requests.next(), None, "a request that is not in the stream");
        if let Some(fault) = self.connection.fault() {
            assert!(!fault.to_string().is_empty());
            let refused = |item: &Item| matches!(item, Item::Refused(_));
            assert!(stream.items.iter().any(refused) || stream.tail == Tail::Block);
        }
        if early {
            let common = self.written.len();
            assert_eq!(
                output.get(..common),
                Some(&self.written[..]),
                "something else was answered"
            );
        } else {
            assert_eq!(self.written.escape_ascii().to_string(), output.escape_ascii().to_string());
        }
    }
}
