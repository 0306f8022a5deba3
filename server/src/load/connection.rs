//! One connection: what it writes, what it waits for, what has come.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use super::failure::Failure;
use super::workload::{Checked, Workload};

/// A request that waits for its answer. Times are nanoseconds since the run began.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight<A> {
    asked: A,
    /// `None` in a closed loop: it is due when it is sent.
    due: Option<u64>,
    sent: u64,
}

impl<A> InFlight<A> {
    pub(super) fn due(&self) -> u64 {
        self.due.unwrap_or(self.sent)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether it was due at a time of its own, as in an open loop.
    pub(super) fn is_scheduled(&self) -> bool {
        self.due.is_some()
    }
}

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) enum Link {
    Up(TcpStream),
    Connecting { stream: TcpStream, since: u64 },
    Down { retry_at: u64 },
}

/// One connection, and the one that takes its place when it breaks.
#[derive(Debug)]
pub(super) struct Connection<W: Workload> {
    pub(super) link: Link,
    turn: W::Turn,
    out: Vec<u8>,
    written: usize,
    in_flight: VecDeque<InFlight<W::Asked>>,
    /// Of those, the last so many have not been handed to the system yet.
    unsent: usize,
    /// What has come, and is not told yet: the beginning of an answer once all others are.
    came: Vec<u8>,
    /// When the last of it was read.
    came_at: u64,
    /// It is among those that can be given a request.
    pub(super) is_free: bool,
    /// It is among those that have something to write.
    pub(super) is_dirty: bool,
    /// Tries to connect that failed one after the other.
    pub(super) failed_tries: u32,
}

/// What came of an answer.
#[derive(Debug)]
pub(super) struct Answered<A> {
    pub(super) request: InFlight<A>,
    /// When its end was read.
    pub(super) at: u64,
    pub(super) refused: Option<Failure>,
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// The server said that it closes, and nothing else is waited for.
    Done,
    Because(Failure),
}

impl<W: Workload> Connection<W> {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            link: Link::Up(stream),
            turn: W::Turn::default(),
            out: Vec::new(),
            written: 0,
            in_flight: VecDeque::new(),
            unsent: 0,
            came: Vec::new(),
            came_at: 0,
            is_free: false,
            is_dirty: false,
            failed_tries: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When the oldest request that has no answer was sent.
    pub(super) fn waits_since(&self) -> Option<u64> {
        self.in_flight.front().filter(|_| self.in_flight.len() > self.unsent).map(InFlight::sent)
    }

    /// Has the next request written; [`Connection::flush`] does it.
    pub(super) fn ask(&mut self, workload: &mut W, due: Option<u64>) {
        let asked = workload.ask(&mut self.turn, &mut self.out);
        self.in_flight.push_back(InFlight { asked, due, sent: 0 });
        self.unsent += 1;
    }

    /// Writes as much as the socket takes, in one go.
    pub(super) fn flush(&mut self, now: impl Fn() -> u64) -> Result<(), Failure> {
        let Link::Up(stream) = &mut self.link else { return Ok(()) };
        if self.unsent > 0 {
            let sent = now();
            let first = self.in_flight.len() - self.unsent;
            self.in_flight.range_mut(first..).for_each(|request| request.sent = sent);
            self.unsent = 0;
        }
        while self.written < self.out.len() {
            match stream.write(self.out.get(self.written..).unwrap_or_default()) {
                Ok(0) => return Err(Failure::Closed),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what is there, by way of `block`; [`Connection::answers`] tells what it is, so that several connections
    /// can be read first. `at_end` when the end of the stream is known to be behind it. Whether that was reached.
    pub(super) fn receive(
        &mut self,
        block: &mut [u8],
        at_end: bool,
        now: impl Fn() -> u64,
    ) -> Result<bool, Failure> {
        loop {
            let Link::Up(stream) = &mut self.link else { return Ok(false) };
            let length = match stream.read(block) {
                Ok(0) => return Ok(true),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&error)),
            };
            self.came_at = now();
            self.came.extend_from_slice(block.get(..length).unwrap_or_default());
            // Less than was asked for is all that there was: what comes later is another event.
            if length < block.len() && !at_end {
                return Ok(false);
            }
        }
    }

    /// Tells `each` answer that has come.
    pub(super) fn answers(
        &mut self,
        workload: &W,
        counts: &mut [u64],
        mut each: impl FnMut(Answered<W::Asked>),
    ) -> Result<(), Broken> {
        let mut came = std::mem::take(&mut self.came);
        let used = self.take(workload, &came, self.came_at, counts, &mut each)?;
        came.drain(..used);
        self.came = came;
        Ok(())
    }

    /// What the end of the stream means, once all answers before it are told.
    pub(super) fn goes_on(&self, is_at_end: Result<bool, Failure>) -> Result<(), Broken> {
        match is_at_end {
            Ok(false) => Ok(()),
            Ok(true) if self.in_flight.is_empty() => Err(Broken::Done),
            Ok(true) => Err(Broken::Because(Failure::Closed)),
            Err(why) => Err(Broken::Because(why)),
        }
    }

    /// Tells the answers in `came`; how much of it they are.
    fn take(
        &mut self,
        workload: &W,
        came: &[u8],
        at: u64,
        counts: &mut [u64],
        each: &mut impl FnMut(Answered<W::Asked>),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while used < came.len() {
            let rest = came.get(used..).unwrap_or_default();
            let Some(request) = self.in_flight.front().copied() else {
                return Err(Broken::Because(Failure::not_an_answer(rest)));
            };
            let (length, closes, refused) =
                match workload.check(request.asked, rest, &mut self.turn, counts) {
                    Checked::Partial => break,
                    Checked::NoAnswer(why) => return Err(Broken::Because(why)),
                    Checked::Good { length, closes } => (length, closes, None),
                    Checked::Refused { length, closes, why } => (length, closes, Some(why)),
                };
            used += length;
            self.in_flight.pop_front();
            self.unsent = self.unsent.min(self.in_flight.len());
            each(Answered { request, at, refused });
            if closes {
                let others = !self.in_flight.is_empty();
                return Err(if others { Broken::Because(Failure::Closed) } else { Broken::Done });
            }
        }
        Ok(used)
    }

    /// Gives up what is there; the requests that have no answer. Another connection is to be made at `retry_at`.
    pub(super) fn give_up(&mut self, retry_at: u64) -> usize {
        let lost = self.in_flight.len();
        // What was going to be said on it, nobody will hear.
        self.in_flight.clear();
        self.unsent = 0;
        self.out.clear();
        self.written = 0;
        self.came.clear();
        self.turn = W::Turn::default();
        self.link = Link::Down { retry_at };
        lost
    }

    pub(super) fn has_more_to_write(&self) -> bool {
        self.written < self.out.len()
    }
}

pub(super) fn broken(error: &io::Error) -> Failure {
    Failure::Broken(error.kind())
}
