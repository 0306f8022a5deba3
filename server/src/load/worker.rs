//! One thread of a run: many connections, and the requests that are due on them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::connection::{Answered, Broken, Connection, Link, broken};
use super::failure::Failure;
use super::plan::{Pace, Plan, Schedule};
use super::process::own_time;
use super::record::Tally;
use super::recording::{Recording, Told};
use super::wait;
use super::workload::Workload;

/// What is read at a time.
const BLOCK: usize = 256 * 1024;
/// A wait that is shorter is one to the nanosecond: those of `mio` are rounded up to a millisecond.
const NEAR: Duration = Duration::from_millis(2);
/// In an open loop an answer that may come so soon after the last request is waited for by asking: to be woken takes
/// as long as such an answer, and would count as its time.
const SOON: u64 = 100_000;
/// What is left of the wait for the next request is spent by asking: the system wakes a thread some 50 µs late, which
/// would count as the time of an answer.
const EARLY: u64 = 60_000;
/// So many writes are done before it is looked whether something has come: the time of an answer is that of its
/// reading, and must not be that of many writes.
const WRITES: usize = 4;
/// Between two looks at what takes too long.
const LOOK: u64 = 20_000_000;
/// The first wait of a connection that cannot be made again; the next are twice as long each, up to a second.
const RETRY: u64 = 10_000_000;
const MAX_RETRY: u64 = 1_000_000_000;

/// One thread of a run.
#[derive(Debug)]
pub(super) struct Worker<W: Workload> {
    plan: Plan,
    thread: usize,
    workload: W,
    poll: Poll,
    events: Events,
    block: Box<[u8]>,
    connections: Vec<Connection<W>>,
    /// Those that can be given a request.
    free: VecDeque<usize>,
    /// Those that have something to write.
    dirty: Vec<usize>,
    /// Those that were read, and whether their stream was found at its end.
    received: Vec<(usize, Result<bool, Failure>)>,
    /// Requests that have no answer.
    outstanding: usize,
    up: usize,
    /// Since when there has been no connection.
    down_since: u64,
    tally: Tally,
    epoch: Instant,
    looked: u64,
    is_interrupted: Arc<AtomicBool>,
    recording: Option<Recording>,
}

impl<W: Workload> Worker<W> {
    /// Makes this thread's share of the connections.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub(super) fn connect(
        plan: Plan,
        thread: usize,
        mut workload: W,
        is_interrupted: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        workload.seed(thread as u64 + 1);
        let count = (plan.connections + plan.threads - 1 - thread) / plan.threads;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let stream = std::net::TcpStream::connect_timeout(&plan.address, plan.timeout)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            register(&poll, &mut stream, number)?;
            connections.push(Connection::new(stream));
        }
        let up = connections.len();
        Ok(Self {
            plan,
            thread,
            workload,
            poll,
            events: Events::with_capacity(1024),
            block: vec![0; BLOCK].into(),
            connections,
            free: VecDeque::with_capacity(up),
            dirty: Vec::with_capacity(up),
            received: Vec::with_capacity(up),
            outstanding: 0,
            up,
            down_since: 0,
            tally: Tally::new(W::COUNTS.len()),
            epoch: Instant::now(),
            looked: 0,
            is_interrupted,
            recording: None,
        })
    }

    /// One request on each connection, until each is answered or failed.
    ///
    /// # Errors
    /// When the system has no more events; never for the sake of the server, which [`Worker::take_tally`] tells of.
    pub(super) fn each_once(&mut self) -> io::Result<()> {
        for index in 0..self.connections.len() {
            self.ask(index, None);
        }
        self.flush()?;
        while self.outstanding > 0 && !self.is_interrupted() {
            self.turn(Duration::from_nanos(LOOK))?;
        }
        Ok(())
    }

    /// What has become of all requests since this was asked last.
    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::replace(&mut self.tally, Tally::new(W::COUNTS.len()))
    }

    /// The run, which begins at `begin`. What it was is told to `to`.
    ///
    /// # Errors
    /// When the system has no more events.
    pub(super) fn run(&mut self, begin: Instant, to: Sender<Told>) -> io::Result<()> {
        wait::be_punctual();
        std::thread::sleep(begin.saturating_duration_since(Instant::now()));
        let cpu_before = own_time();
        self.epoch = begin;
        self.looked = 0;
        self.down_since = 0;
        let from = nanos(self.plan.warm_up);
        let end = from + nanos(self.plan.duration);
        self.recording = Some(Recording::new(to, from, end, self.plan.parts()));
        for index in 0..self.connections.len() {
            self.offer(index);
        }
        let is_gone = match self.plan.pace {
            Pace::Max => self.run_closed(end)?,
            Pace::Rate(rate) => self.run_open(rate, end)?,
        };
        self.fail_all(if is_gone { Failure::Closed } else { Failure::Interrupted });
        if let Some(recording) = self.recording.take() {
            let cpu =
                own_time().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
            recording.close(Told::Done { tally: self.take_tally(), cpu, is_gone });
        }
        Ok(())
    }

    /// Whether the server is gone.
    fn run_closed(&mut self, end: u64) -> io::Result<bool> {
        loop {
            let now = self.now();
            if now < end {
                while let Some(index) = self.next_free() {
                    for _ in 0..self.plan.pipeline {
                        self.ask(index, None);
                    }
                }
            } else if self.outstanding == 0 {
                return Ok(false);
            }
            self.flush()?;
            if self.is_interrupted() || self.is_gone(now) {
                return Ok(!self.is_interrupted());
            }
            let left = if now < end { end - now } else { LOOK };
            self.turn(Duration::from_nanos(left.min(LOOK)))?;
        }
    }

    /// Whether the server is gone.
    fn run_open(&mut self, rate: f64, end: u64) -> io::Result<bool> {
        let mut schedule = Schedule::new(rate, self.plan.threads, self.thread);
        let timeout = nanos(self.plan.timeout);
        let mut asked_at = 0;
        loop {
            let now = self.now();
            let mut due = schedule.due();
            while due <= now && due < end {
                if now - due > timeout {
                    // Whoever waits for it has given up.
                    self.fail(Failure::NotSent(self.plan.timeout), 1, now);
                } else if let Some(index) = self.next_free() {
                    self.ask(index, Some(due));
                    self.offer(index);
                    asked_at = now;
                } else {
                    break;
                }
                schedule.advance();
                due = schedule.due();
            }
            self.flush()?;
            if due >= end && self.outstanding == 0 {
                return Ok(false);
            }
            if self.is_interrupted() || self.is_gone(now) {
                let is_interrupted = self.is_interrupted();
                // Those that are due by now, and were not sent.
                while !is_interrupted && schedule.due() < end.min(now) {
                    self.fail(Failure::NotSent(self.plan.timeout), 1, now);
                    schedule.advance();
                }
                return Ok(!is_interrupted);
            }
            let until = if self.outstanding > 0 && now - asked_at < SOON {
                0
            } else if due < end && !self.free.is_empty() {
                due.saturating_sub(now).saturating_sub(EARLY)
            } else {
                LOOK
            };
            self.turn(Duration::from_nanos(until.min(LOOK)))?;
        }
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }

    /// Whether there has been no connection for as long as anything may take.
    fn is_gone(&self, now: u64) -> bool {
        self.up == 0 && now.saturating_sub(self.down_since) > nanos(self.plan.timeout)
    }

    fn now(&self) -> u64 {
        nanos(self.epoch.elapsed())
    }

    fn ask(&mut self, index: usize, due: Option<u64>) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.ask(&mut self.workload, due);
        self.outstanding += 1;
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(index);
        }
    }

    /// Lets a connection be given a request, if it can.
    fn offer(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let most = match self.plan.pace {
            Pace::Max => 1,
            Pace::Rate(_) => self.plan.pipeline,
        };
        if !connection.is_free && connection.is_up() && connection.in_flight() < most {
            connection.is_free = true;
            self.free.push_back(index);
        }
    }

    fn next_free(&mut self) -> Option<usize> {
        loop {
            let index = self.free.pop_front()?;
            let connection = self.connections.get_mut(index)?;
            connection.is_free = false;
            // It may have broken in the meantime.
            if connection.is_up() {
                return Some(index);
            }
        }
    }

    /// Writes all that is to be written, and reads what comes meanwhile.
    fn flush(&mut self) -> io::Result<()> {
        let epoch = self.epoch;
        let mut dirty = std::mem::take(&mut self.dirty);
        for (number, index) in dirty.drain(..).enumerate() {
            if number % WRITES == WRITES - 1 {
                self.read(Duration::ZERO)?;
            }
            let Some(connection) = self.connections.get_mut(index) else { continue };
            connection.is_dirty = false;
            if let Err(why) = connection.flush(|| nanos(epoch.elapsed())) {
                self.give_up(index, Some(why));
            }
        }
        // Its memory is used again; what was added in the meantime stays.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
        Ok(())
    }

    /// Waits for something to happen, and does what there is to do then.
    fn turn(&mut self, at_most: Duration) -> io::Result<()> {
        if at_most >= NEAR {
            self.read(at_most.saturating_sub(NEAR / 2))?;
        } else {
            if !at_most.is_zero() {
                wait::until_ready(&self.poll, at_most)?;
            }
            self.read(Duration::ZERO)?;
        }
        self.flush()?;
        let now = self.now();
        if let Some(recording) = &mut self.recording {
            recording.rotate(now);
        }
        if now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            self.look(now);
        }
        Ok(())
    }

    /// Waits for something to happen, and reads all that came before it looks at any of it: an answer's time is that
    /// of its reading.
    fn read(&mut self, at_most: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut received = std::mem::take(&mut self.received);
        let epoch = self.epoch;
        for event in &events {
            let index = event.token().0;
            let Some(connection) = self.connections.get_mut(index) else { continue };
            if matches!(connection.link, Link::Connecting { .. }) {
                self.connected(index);
                continue;
            }
            let at_end = event.is_read_closed() || event.is_error();
            if event.is_readable() || at_end {
                let now = || nanos(epoch.elapsed());
                received.push((index, connection.receive(&mut self.block, at_end, now)));
            }
            if event.is_writable() && connection.has_more_to_write() && !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(index);
            }
        }
        self.events = events;
        for (index, is_at_end) in received.drain(..) {
            self.received(index, is_at_end);
        }
        self.received = received;
        Ok(())
    }

    /// Takes note of the answers that were read.
    fn received(&mut self, index: usize, is_at_end: Result<bool, Failure>) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let (recording, failures) = (&mut self.recording, &mut self.tally.failures);
        let (mut answered, mut good) = (0, 0);
        let each = |answer: Answered<W::Asked>| {
            answered += 1;
            let is_good = answer.refused.is_none();
            good += u64::from(is_good);
            if let Some(recording) = recording {
                recording.answered(&answer.request, answer.at, is_good);
            }
            if let Some(why) = answer.refused {
                failures.add(why, 1);
            }
        };
        let answers = connection.answers(&self.workload, &mut self.tally.counts, each);
        let goes_on = answers.and_then(|()| connection.goes_on(is_at_end));
        self.outstanding -= answered;
        self.tally.good += good;
        match goes_on {
            Ok(()) => self.offer(index),
            Err(Broken::Done) => self.give_up(index, None),
            Err(Broken::Because(why)) => self.give_up(index, Some(why)),
        }
    }

    /// Has a connection made again; those of its requests that have no answer have failed.
    fn give_up(&mut self, index: usize, why: Option<Failure>) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_up() {
            self.up -= 1;
            self.down_since = now;
        }
        let lost = connection.give_up(now);
        self.outstanding -= lost;
        match (lost, why) {
            (0, Some(why)) => self.tally.connections.add(why, 1),
            (0, None) => {}
            (lost, why) => {
                self.fail(why.unwrap_or(Failure::Closed), 1, now);
                self.fail(Failure::Behind, lost as u64 - 1, now);
            }
        }
        self.connect_again(index, now);
    }

    fn fail(&mut self, why: Failure, count: u64, now: u64) {
        if count == 0 {
            return;
        }
        self.tally.fail(why, count);
        if let Some(recording) = &mut self.recording {
            recording.failed(count, now);
        }
    }

    fn fail_all(&mut self, why: Failure) {
        let now = self.now();
        let lost: usize = self.connections.iter_mut().map(|it| it.give_up(u64::MAX)).sum();
        self.outstanding = 0;
        self.fail(why, lost as u64, now);
    }

    fn connect_again(&mut self, index: usize, now: u64) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let made = TcpStream::connect(self.plan.address).and_then(|mut stream| {
            register(&self.poll, &mut stream, index)?;
            Ok(stream)
        });
        match made {
            Ok(stream) => connection.link = Link::Connecting { stream, since: now },
            Err(error) => self.connect_failed(index, broken(&error), now),
        }
    }

    fn connect_failed(&mut self, index: usize, why: Failure, now: u64) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let wait = RETRY << connection.failed_tries.min(20);
        connection.failed_tries += 1;
        connection.give_up(now + wait.min(MAX_RETRY));
        self.tally.connections.add(why, 1);
    }

    /// Something happened to a connection that is being made.
    fn connected(&mut self, index: usize) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Link::Connecting { stream, .. } = &connection.link else { return };
        let failed = match stream.take_error() {
            Ok(None) => match stream.peer_addr() {
                Ok(_) => stream.set_nodelay(true).err(),
                // Not yet.
                Err(error) if error.kind() == ErrorKind::NotConnected => return,
                Err(error) => Some(error),
            },
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = failed {
            return self.connect_failed(index, broken(&error), now);
        }
        let link = std::mem::replace(&mut connection.link, Link::Down { retry_at: now });
        if let Link::Connecting { stream, .. } = link {
            connection.link = Link::Up(stream);
            connection.failed_tries = 0;
            self.up += 1;
            self.tally.made_again += 1;
            self.offer(index);
        }
    }

    /// Looks for what takes too long.
    fn look(&mut self, now: u64) {
        let timeout = nanos(self.plan.timeout);
        for index in 0..self.connections.len() {
            let Some(connection) = self.connections.get(index) else { continue };
            match &connection.link {
                Link::Up(_) => {
                    if connection
                        .waits_since()
                        .is_some_and(|sent| now.saturating_sub(sent) > timeout)
                    {
                        self.give_up(index, Some(Failure::TimedOut(self.plan.timeout)));
                    }
                }
                Link::Connecting { since, .. } => {
                    if now.saturating_sub(*since) > timeout {
                        self.connect_failed(index, Failure::TimedOut(self.plan.timeout), now);
                    }
                }
                Link::Down { retry_at } => {
                    if now >= *retry_at {
                        self.connect_again(index, now);
                    }
                }
            }
        }
    }
}

fn register(poll: &Poll, stream: &mut TcpStream, index: usize) -> io::Result<()> {
    poll.registry().register(stream, Token(index), Interest::READABLE | Interest::WRITABLE)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
