//! The client's side of a memcache connection, under any interleaving of requests, bytes, time,
//! cancels, writes and ends.

mod holds;

use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use windhover_core::Instant;
use windhover_core::memcache::command::{self, Command};
use windhover_core::memcache::request::Prepared;
use windhover_core::memcache::response::parse_line;
use windhover_core::memcache::{
    Cancelled, ClientConnection, ClientOutput, ClientTimeouts, Dialect, End, Frame, Limits,
    OsError, SendError, Ticket,
};

use super::splits;
use crate::generate::{calls, replies};
use crate::reference::client::{Client, Told, Waiting};
use crate::reference::replies::Asked;
use crate::{Script, Source};

/// Every request ends once, at its deadline at the latest; what is told of it is what the server
/// sent in its turn, and whether it was sent; after an answer that cannot be its own nothing is
/// read; and no more is held than a peer may make us hold.
pub fn client_connection(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut driver = Driver::new(&mut Source::new(first));
    driver.drive();
    for step in steps {
        driver.step(&mut Source::new(step));
    }
    driver.finish();
}

struct Driver {
    connection: ClientConnection,
    model: Client,
    dialect: Dialect,
    limits: Limits,
    timeouts: ClientTimeouts,
    now: Instant,
    /// How many bytes the server had read when it looked last, and what it will answer, in order.
    answered: u64,
    /// What the server has said and has not come yet.
    said: Vec<u8>,
    /// Bytes that a write takes; 0 blocks.
    write: usize,
    last: Option<Ticket>,
    /// When the connection wants to be called again.
    deadline: Instant,
    stuck_since: Option<Instant>,
    closed: bool,
    /// The longest piece that came.
    piece: usize,
}

impl Driver {
    fn new(source: &mut Source<'_>) -> Self {
        let dialect = source.pick(&Dialect::ALL);
        let limits = Limits::default()
            .with_line(source.pick(&[2048, 2048, 300]))
            .with_value(source.pick(&[150_000, 1024 * 1024, 4000]))
            .with_pipeline(source.pick(&[64, 1, 2, 3, 0]));
        let timeouts = ClientTimeouts::default()
            .with_stall(Duration::from_millis(400))
            .with_write(Duration::from_millis(700))
            .with_idle(Duration::from_millis(1500));
        let now = Instant::from_epoch(Duration::from_secs(5));
        let connection = ClientConnection::new(dialect, &limits, &timeouts, now);
        assert_eq!(connection.dialect(), dialect);
        Self {
            connection,
            model: Client::new(dialect, &limits, now),
            dialect,
            limits,
            timeouts,
            now,
            answered: 0,
            said: Vec::new(),
            write: usize::MAX,
            last: None,
            deadline: now,
            stuck_since: None,
            closed: false,
            piece: 0,
        }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(18) {
            0..=2 => {
                for _ in 0..source.between(1, 3) {
                    self.send(source);
                }
                self.drive();
            }
            3 => {
                // They are there at once: the cancels and the end of the step come in between.
                self.send(source);
                self.cancel(source);
            }
            4..=6 => {
                for _ in 0..source.between(1, 3) {
                    self.answer(source);
                }
                self.deliver(usize::MAX, source);
            }
            7 => {
                self.answer(source);
                let part = source.below(self.said.len().min(60_000) + 1);
                self.deliver(part, source);
            }
            8 => self.deliver(source.clone().between(1, 40), source),
            9 | 10 => self.wait(source),
            11 => {
                self.cancel(source);
                if source.chance(1, 2) {
                    self.drive();
                }
            }
            12 => {
                self.write = source.pick(&[usize::MAX, 0, 3, 70, 1000]);
                self.unblock();
                self.drive();
            }
            13 => {
                match source.below(5) {
                    4 => self.said = vec![b'x'; self.limits.line + source.below(3)],
                    0 => self.said = replies::text(source),
                    1 => self.said.extend_from_slice(source.pick_of(replies::DICTIONARY)),
                    2 => self.said = source.rest().to_vec(),
                    // An answer twice, or one that is another's.
                    _ => {
                        if let Some(request) = self.model.pending.back() {
                            self.said.extend(calls::answer(&Rc::clone(&request.asked), source));
                        }
                    }
                }
                self.deliver(usize::MAX, source);
            }
            14 => self.large(source),
            15 => self.end(source),
            16 => {
                self.drive();
                self.connection.release();
            }
            _ => self.drive(),
        }
    }

    fn send(&mut self, source: &mut Source<'_>) {
        let dialect = if source.chance(1, 16) { source.pick(&Dialect::ALL) } else { self.dialect };
        let drawn = calls::request(source, dialect, &self.limits);
        self.send_some(drawn, source);
    }

    fn send_some(&mut self, drawn: Option<(Prepared, Asked)>, source: &mut Source<'_>) {
        let Some((prepared, asked)) = drawn else {
            return;
        };
        let timeout = match source.below(4) {
            0 => source.between(0, 3),
            1 => source.between(0, 500),
            _ => 10_000,
        };
        let deadline = self.now + Duration::from_millis(timeout as u64);
        let (end, leaving) = (self.model.end.is_some() || self.model.ended, self.model.leaving);
        let full = self.model.in_flight() >= self.limits.pipeline.max(1);
        assert_eq!(self.connection.takes_requests(), !end && !leaving && !full);
        let expected = if end || leaving {
            Some(SendError::Ended)
        } else if !asked.row.dialects.contains(&self.dialect) {
            Some(SendError::OtherDialect)
        } else {
            full.then_some(SendError::Full)
        };
        match self.connection.send(&prepared, deadline) {
            Ok(ticket) => {
                assert_eq!(expected, None, "a request was taken");
                assert!(self.last.is_none_or(|last| last < ticket), "a ticket was given twice");
                self.last = Some(ticket);
                self.model.leaving |= asked.is_answered_by_the_end();
                self.model.waiting.push_back(Waiting { ticket, asked: Rc::new(asked), deadline });
            }
            Err(error) => {
                assert!(crate::property::tells(&error));
                assert_eq!(Some(error), expected, "a request was not taken");
            }
        }
    }

    fn cancel(&mut self, source: &mut Source<'_>) {
        let (waiting, pending) = (self.model.waiting.len(), self.model.pending.len());
        let at = source.below(waiting + pending + 1);
        if let Some(request) = self.model.pending.get_mut(at) {
            let known = request.open.then_some(Cancelled::Unknown);
            assert_eq!(self.connection.cancel(request.ticket), known);
            request.open = false;
            if known.is_some() && request.ties_up() {
                self.model.spend(End::Abandoned);
            }
        } else if let Some(waiting) = self.model.waiting.remove(at - pending) {
            assert_eq!(self.connection.cancel(waiting.ticket), Some(Cancelled::NotSent));
            assert_eq!(self.connection.cancel(waiting.ticket), None);
        }
    }

    /// The server answers the next request that it has read whole.
    fn answer(&mut self, source: &mut Source<'_>) {
        let (written, answered) = (self.model.written, self.answered);
        let next = self.model.pending.iter().find(|request| request.starts >= answered);
        let Some(request) = next else {
            return;
        };
        let end = request.starts + request.asked.wire.len() as u64;
        if end > written {
            return;
        }
        let asked = Rc::clone(&request.asked);
        self.said.extend(calls::answer(&asked, source));
        if !asked.is_endless() {
            self.answered = end;
        }
    }

    /// So many of the bytes that the server has said come, in pieces.
    fn deliver(&mut self, most: usize, source: &mut Source<'_>) {
        let rest = self.said.split_off(most.min(self.said.len()));
        let said = core::mem::replace(&mut self.said, rest);
        let seed = source.number();
        let pieces = if said.len() > 10_000 {
            said.chunks(16 * 1024 + 1).collect()
        } else {
            splits::pieces(&said, seed)
        };
        for piece in pieces {
            if !self.connection.wants_read() {
                return;
            }
            self.piece = self.piece.max(piece.len());
            self.model.receive(piece);
            if seed.is_multiple_of(2) {
                self.connection.receive(piece);
            } else {
                self.connection.read_buffer().extend_from_slice(piece);
            }
            self.drive();
        }
    }

    /// A long value, as the request that is due wants it or not.
    fn large(&mut self, source: &mut Source<'_>) {
        let key =
            self.model.pending.front().and_then(|request| request.asked.keys.first().cloned());
        let length = source.between(60_000, 100_001);
        let mut value = [b"VALUE ", &key.unwrap_or_default()[..], b" 0 "].concat();
        value.extend_from_slice(format!("{length}\r\n").as_bytes());
        value.resize(value.len() + length, b'L');
        value.extend_from_slice(source.pick(&[&b"\r\nEND\r\n"[..], b"\r\n", b"LL\r\n", b""]));
        value.truncate(value.len() - source.pick(&[0, 0, 0, 1, 2, 40_000]));
        self.said = value;
        self.deliver(usize::MAX, source);
    }

    fn wait(&mut self, source: &mut Source<'_>) {
        let at = match source.below(8) {
            0 | 1 => self.deadline,
            2 | 3 => {
                let before = self.deadline.since_epoch().saturating_sub(Duration::from_nanos(1));
                Instant::from_epoch(before)
            }
            _ => self.now + Duration::from_millis(source.between(1, 1000) as u64),
        };
        self.now = self.now.max(at);
        self.drive();
    }

    fn end(&mut self, source: &mut Source<'_>) {
        match source.below(5) {
            // What is answered by the end, which may come before it was sent.
            3 | 4 => {
                self.write = source.pick(&[0, usize::MAX, 3]);
                self.unblock();
                let command = source.pick(&[Command::Quit, Command::Shutdown]);
                if let Some(row) = command::row(command, self.dialect) {
                    let drawn = calls::of_row(row, self.dialect, &self.limits, source);
                    self.send_some(drawn, source);
                    self.drive();
                }
                self.connection.end_of_stream();
                self.model.ended = true;
            }
            0 => {
                self.connection.end_of_stream();
                self.model.ended = true;
            }
            1 => {
                // It is no choice of its own: the inputs of the corpora keep their meaning.
                let os = source.clone().chance(1, 2).then_some(OsError(104));
                self.connection.broke(os);
                self.model.spend(End::Broken { os });
            }
            _ => {
                self.connection.shut_down();
                self.model.leaving = true;
            }
        }
        if source.chance(3, 4) {
            self.drive();
        }
    }

    /// Calls until there is nothing to do, as the rule says.
    fn drive(&mut self) {
        let mut told = self.model.read(self.now);
        let (dialect, limits) = (self.dialect, self.limits.clone());
        let before = self.model.written;
        loop {
            match self.connection.poll_output(self.now) {
                ClientOutput::Frame(frame) => {
                    is_told(&frame, told.pop_front(), dialect, &limits);
                }
                ClientOutput::Oversized { ticket, index, what } => match told.pop_front() {
                    Some(Told::Oversized { ticket: whose, asked, line, what: expected }) => {
                        assert_eq!((ticket, what), (whose, expected));
                        assert!(!what.to_string().is_empty());
                        let limits = limits.clone().with_value(usize::MAX);
                        let parsed = parse_line(&line, dialect, &limits).expect("it was read");
                        assert!(asked.is_index(&line, &parsed.response, index), "{line:?}");
                    }
                    other => panic!("{what} is told, not {other:?}"),
                },
                ClientOutput::Done { ticket, outcome: Ok(()) } => match told.pop_front() {
                    Some(Told::Done(expected)) => assert_eq!(ticket, expected),
                    other => panic!("{ticket:?} is over, not {other:?}"),
                },
                ClientOutput::Done { ticket, outcome: Err(outcome) } => {
                    assert!(told.is_empty(), "{outcome:?} before {told:?}");
                    self.failed(ticket, outcome);
                }
                ClientOutput::Write => {
                    assert!(told.is_empty() && self.model.end.is_none());
                    self.look();
                    self.write();
                }
                ClientOutput::Idle(deadline) => {
                    assert!(told.is_empty(), "never told: {told:?}");
                    self.deadline = deadline;
                    self.idle(before != self.model.written);
                    return;
                }
                ClientOutput::Close(end) => {
                    assert!(told.is_empty(), "never told: {told:?}");
                    self.close(end);
                    return;
                }
            }
        }
    }

    fn look(&mut self) {
        let unsent = self.unsent();
        let known = usize::try_from(self.model.put - self.model.written).expect("some bytes");
        self.model.put(unsent.get(known..).expect("bytes are gone"), self.now);
    }

    fn unsent(&self) -> Vec<u8> {
        let mut slices = [&b""[..]; 512];
        let filled = self.connection.unsent(&mut slices);
        slices[..filled].concat()
    }

    fn write(&mut self) {
        let unsent = self.unsent();
        assert!(!unsent.is_empty(), "nothing to write");
        let written = unsent.len().min(self.write);
        self.connection.wrote(written);
        self.model.written += written as u64;
    }

    /// The socket takes bytes again: an adapter tries.
    fn unblock(&mut self) {
        if self.write > 0 && !self.unsent().is_empty() && self.model.end.is_none() {
            self.look();
            self.write();
        }
    }

    /// Everybody is patient until the last deadline: then nothing is left under way.
    fn finish(mut self) {
        self.drive();
        for _ in 0..200 {
            if self.closed {
                return;
            }
            self.now = self.now.max(self.deadline);
            self.drive();
        }
        let last: VecDeque<_> =
            self.model.pending.iter().map(|request| &request.asked.row).collect();
        panic!("it does not ended: {last:?}");
    }
}

/// A frame is the one that the server has sent.
fn is_told(frame: &Frame<'_>, told: Option<Told>, dialect: Dialect, limits: &Limits) {
    let Some(Told::Frame { ticket, asked, line, data }) = told else {
        panic!("{frame:?}, not {told:?}");
    };
    assert_eq!(frame.ticket, ticket);
    let limits = limits.clone().with_value(usize::MAX);
    let parsed = parse_line(&line, dialect, &limits).expect("it was read before");
    assert_eq!(frame.response, parsed.response);
    let mut given = Vec::new();
    frame.data.extend_into(&mut given);
    assert!(given == data, "{} bytes of data, not {}", given.len(), data.len());
    assert_eq!(frame.data.segments().is_some(), data.len() > 64 * 1024);
    assert!(asked.is_index(&line, &parsed.response, frame.index), "{frame:?} answers {asked:?}");
}
