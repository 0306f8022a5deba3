//! A small kestrel: queues that survive a restart, items that are set aside for a session.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::client::ConnectionId;
use windhover_core::memcache::Data;
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;

use crate::cache::uid_of;
use crate::host::Sabotage;
use crate::log::{Did, Log, Uid};
use crate::session::Answer;

/// An item of a queue.
type Item = (Uid, Bytes);

/// A read that waits for an item.
#[derive(Debug)]
struct Waiting {
    session: ConnectionId,
    queue: Vec<u8>,
    mode: ReadMode,
    until: Instant,
}

/// What a read that waited came to.
#[derive(Debug)]
pub(crate) struct Woken {
    pub(crate) session: ConnectionId,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) struct Queues {
    items: BTreeMap<Vec<u8>, VecDeque<Item>>,
    /// What is set aside, by session and queue.
    open: BTreeMap<(ConnectionId, Vec<u8>), Item>,
    waiting: Vec<Waiting>,
    sabotage: Sabotage,
}

/// So many items are in a queue at most.
const MAX_ITEMS: usize = 20;

impl Queues {
    pub(crate) fn new(sabotage: Sabotage) -> Self {
        let (items, open) = (BTreeMap::new(), BTreeMap::new());
        Self { items, open, waiting: Vec::new(), sabotage }
    }

    /// What is set aside, and for which connection.
    pub(crate) fn open_items(&self) -> Vec<(u64, Uid)> {
        self.open.iter().map(|(place, item)| (place.0.number(), item.0)).collect()
    }

    pub(crate) fn next_wait(&self) -> Option<Instant> {
        self.waiting.iter().map(|it| it.until).min()
    }

    pub(crate) fn answer(
        &mut self,
        session: ConnectionId,
        request: &Request<'_>,
        data: &Data<'_>,
        log: &mut Log,
        now: Instant,
    ) -> Answer {
        match request {
            Request::Set(store) => {
                let value: Vec<u8> = data.chunks().flatten().copied().collect();
                let uid = uid_of(&value).expect("the load numbers its items");
                let queue = self.items.entry(store.key.to_vec()).or_default();
                if queue.len() >= MAX_ITEMS {
                    log.note(uid, Did::NotStored, now);
                    return Answer::Line(Response::NotStored);
                }
                if self.sabotage != Sabotage::LosesItems {
                    log.note(uid, Did::Stored, now);
                    queue.push_back((uid, value.into()));
                }
                Answer::Line(Response::Stored)
            }
            Request::QueueRead(read) => self.read(session, read, log, now),
            Request::Version => Answer::Line(Response::Version(b"2.4.sim")),
            _ => Answer::Fatal,
        }
    }

    fn read(
        &mut self,
        session: ConnectionId,
        read: &QueueRead<'_>,
        log: &mut Log,
        now: Instant,
    ) -> Answer {
        let place = (session, read.queue.to_vec());
        if read.mode.closes() {
            if let Some(item) = self.open.remove(&place) {
                log.note(item.0, Did::Confirmed, now);
            }
        } else if read.mode == ReadMode::Abort {
            self.put_back(&place, log, now);
        }
        if !read.mode.fetches() {
            return Answer::Line(Response::End);
        }
        if read.mode.opens() && self.open.contains_key(&place) {
            return Answer::Fatal;
        }
        match self.fetch(session, read.queue, read.mode, log, now) {
            Some(answer) => answer,
            None => match read.timeout {
                Some(wait) if !wait.is_zero() => {
                    let (queue, mode) = (read.queue.to_vec(), read.mode);
                    self.waiting.push(Waiting { session, queue, mode, until: now + wait });
                    Answer::Later
                }
                _ => Answer::Line(Response::End),
            },
        }
    }

    fn fetch(
        &mut self,
        session: ConnectionId,
        queue: &[u8],
        mode: ReadMode,
        log: &mut Log,
        now: Instant,
    ) -> Option<Answer> {
        let items = self.items.get_mut(queue)?;
        let item = match mode {
            ReadMode::Peek => {
                let item = items.front()?.clone();
                log.note(item.0, Did::Peeked, now);
                item
            }
            ReadMode::Remove => {
                let item = items.pop_front()?;
                log.note(item.0, Did::Taken, now);
                item
            }
            _ => {
                let item = items.pop_front()?;
                log.note(item.0, Did::Opened, now);
                self.open.insert((session, queue.to_vec()), item.clone());
                item
            }
        };
        Some(Answer::Values(vec![(queue.to_vec(), None, item.1)]))
    }

    fn put_back(&mut self, place: &(ConnectionId, Vec<u8>), log: &mut Log, now: Instant) {
        if let Some(item) = self.open.remove(place) {
            log.note(item.0, Did::Returned, now);
            self.items.entry(place.1.clone()).or_default().push_front(item);
        }
    }

    /// A session is over: what is set aside for it goes back.
    pub(crate) fn session_ends(&mut self, session: ConnectionId, log: &mut Log, now: Instant) {
        self.waiting.retain(|it| it.session != session);
        if self.sabotage == Sabotage::KeepsWhatIsOpen {
            return;
        }
        let places: Vec<_> = self.open.keys().filter(|it| it.0 == session).cloned().collect();
        for place in places {
            self.put_back(&place, log, now);
        }
    }

    /// Reads that waited and have an answer now.
    pub(crate) fn wake(&mut self, log: &mut Log, now: Instant) -> Vec<Woken> {
        let mut woken = Vec::new();
        for it in std::mem::take(&mut self.waiting) {
            match self.fetch(it.session, &it.queue, it.mode, log, now) {
                Some(answer) => woken.push(Woken { session: it.session, answer }),
                None if it.until <= now => {
                    let answer = Answer::Line(Response::End);
                    woken.push(Woken { session: it.session, answer });
                }
                None => self.waiting.push(it),
            }
        }
        woken
    }
}
