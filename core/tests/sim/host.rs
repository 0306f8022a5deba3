//! A server: its store, its sessions, and the state that it is in.

use std::collections::BTreeMap;

use windhover_core::client::ConnectionId;
use windhover_core::memcache::request::Request;
use windhover_core::memcache::{Dialect, Output};
use windhover_core::{Instant, Now};

use crate::cache::{Cache, uid_of, word};
use crate::dice::Dice;
use crate::log::{Did, Log};
use crate::queue::Queues;
use crate::session::{Answer, Habit, Session};

#[derive(Debug)]
pub(crate) enum Store {
    Cache(Cache),
    Queues(Queues),
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    /// Connections are accepted and bytes taken, by its kernel; nobody reads them.
    Stopped,
    /// Nobody listens.
    Down,
    /// No packet comes through, either way.
    Dark,
}

/// What a session says to its client.
#[derive(Debug)]
pub(crate) enum Said {
    Bytes(Vec<u8>),
    /// It says nothing more.
    End,
    Reset,
}

/// What is wrong with the servers, so that the checks have something to find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sabotage {
    #[default]
    None,
    /// A reply is left out now and then: the next one comes in its place.
    SkipsReplies,
    /// Every store is carried out twice.
    DoesTwice,
    /// Values that were replaced are still told.
    TellsOldValues,
    /// Items are confirmed and not kept.
    LosesItems,
    /// What is set aside for a connection that has gone is not put back.
    KeepsWhatIsOpen,
    /// The client is woken late.
    WakesLate,
    /// A server that is up again is never told so.
    StaysDown,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) number: usize,
    pub(crate) mode: Mode,
    pub(crate) store: Store,
    pub(crate) sessions: BTreeMap<ConnectionId, Session>,
    /// So many of a hundred requests that change something are refused.
    pub(crate) busy: usize,
    /// So many of a hundred sessions have a bad habit.
    pub(crate) sick: usize,
    /// Whether clients have to say who they are.
    pub(crate) locked: bool,
    sabotage: Sabotage,
}

impl Host {
    pub(crate) fn new(number: usize, dialect: Dialect, locked: bool, sabotage: Sabotage) -> Self {
        let store = if dialect.is_queue() {
            Store::Queues(Queues::new(sabotage))
        } else {
            Store::Cache(Cache::new(sabotage))
        };
        let sessions = BTreeMap::new();
        Self { number, mode: Mode::Up, store, sessions, busy: 0, sick: 0, locked, sabotage }
    }

    fn dialect(&self) -> Dialect {
        match self.store {
            Store::Cache(_) => Dialect::Memcached,
            Store::Queues(_) => Dialect::Kestrel,
        }
    }

    pub(crate) fn accept(&mut self, session: ConnectionId, dice: &mut Dice, now: Instant) {
        let habit = if dice.chance(self.sick) {
            dice.pick(&[Habit::Mute, Habit::Garbage, Habit::Reset, Habit::HalfClose])
        } else {
            Habit::Sound
        };
        let mut it = Session::new(self.dialect(), habit, dice.below(120), now);
        if self.locked {
            it.connection.require_authentication();
        }
        self.sessions.insert(session, it);
    }

    /// The client has closed the connection.
    pub(crate) fn peer_left(&mut self, session: ConnectionId, log: &mut Log, now: Instant) {
        if self.sessions.remove(&session).is_some()
            && let Store::Queues(queues) = &mut self.store
        {
            queues.session_ends(session, log, now);
        }
    }

    /// It was killed. A cache loses everything, a queue has its journal.
    pub(crate) fn die(&mut self, log: &mut Log, now: Instant) -> Vec<ConnectionId> {
        let sessions: Vec<_> = std::mem::take(&mut self.sessions).into_keys().collect();
        match &mut self.store {
            Store::Cache(cache) => cache.lose_all(self.number, log, now),
            Store::Queues(queues) => {
                for &session in &sessions {
                    queues.session_ends(session, log, now);
                }
            }
        }
        sessions
    }

    /// Bytes have come, or time has passed: what the sessions say to it.
    pub(crate) fn receive(
        &mut self,
        session: ConnectionId,
        bytes: &[u8],
        log: &mut Log,
        dice: &mut Dice,
        now: Instant,
    ) -> Vec<(ConnectionId, Said)> {
        let mut said = Vec::new();
        if let Some(it) = self.sessions.get_mut(&session).filter(|it| !it.over) {
            it.connection.receive(bytes);
            self.run(session, log, dice, now, &mut said);
        }
        self.wake(log, dice, now, &mut said);
        said
    }

    pub(crate) fn wake(
        &mut self,
        log: &mut Log,
        dice: &mut Dice,
        now: Instant,
        said: &mut Vec<(ConnectionId, Said)>,
    ) {
        loop {
            let woken = match &mut self.store {
                Store::Queues(queues) => queues.wake(log, now),
                Store::Cache(_) => return,
            };
            if woken.is_empty() {
                return;
            }
            for it in woken {
                if let Some(session) = self.sessions.get_mut(&it.session) {
                    session.give(&it.answer);
                    self.run(it.session, log, dice, now, said);
                }
            }
        }
    }

    fn run(
        &mut self,
        number: ConnectionId,
        log: &mut Log,
        dice: &mut Dice,
        now: Instant,
        said: &mut Vec<(ConnectionId, Said)>,
    ) {
        while let Some(session) = self.sessions.get_mut(&number) {
            match session.connection.poll_output(Now { instant: now, ..Now::default() }) {
                Output::Request { request, data, .. } => {
                    log.asked(self.number, now);
                    let value = || data.chunks().flatten().copied().collect::<Vec<u8>>();
                    let answer = if dice.chance(self.busy) && changes(&request) {
                        if let Some(uid) = uid_of(&value()) {
                            log.note(uid, Did::Refused, now);
                        }
                        Answer::Line(word(Did::Refused))
                    } else {
                        if self.sabotage == Sabotage::DoesTwice
                            && changes(&request)
                            && let Some(uid) = uid_of(&value())
                        {
                            log.note(uid, Did::Stored, now);
                        }
                        match &mut self.store {
                            Store::Cache(it) => it.answer(self.number, &request, &data, log, now),
                            Store::Queues(it) => it.answer(number, &request, &data, log, now),
                        }
                    };
                    session.give(&answer);
                }
                // The connection refuses it itself.
                Output::TooLarge { .. } => {}
                Output::Write => {
                    let mut bytes = session.take_output();
                    if self.sabotage == Sabotage::SkipsReplies && dice.chance(10) {
                        skip_reply(&mut bytes);
                    }
                    show_habit(session, number, bytes, dice, said);
                }
                Output::CloseWrite | Output::Close => {
                    session.over = true;
                    said.push((number, Said::End));
                    return;
                }
                Output::Idle(_) => return,
            }
            if self.sessions.get(&number).is_none_or(|it| it.over) {
                return;
            }
        }
    }
}

/// Whether a request changes something, and carries a number in its value.
fn changes(request: &Request<'_>) -> bool {
    matches!(request, Request::Set(_) | Request::Add(_) | Request::Cas { .. })
}

/// Leaves out a reply of one line.
fn skip_reply(bytes: &mut Vec<u8>) {
    let line = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if !bytes.starts_with(b"VA") && !bytes.starts_with(b"END") {
        bytes.drain(..line);
    }
}

/// Says the bytes, or what the session's habit makes of them.
fn show_habit(
    session: &mut Session,
    number: ConnectionId,
    mut bytes: Vec<u8>,
    dice: &mut Dice,
    said: &mut Vec<(ConnectionId, Said)>,
) {
    let sound = session.habit == Habit::Sound || bytes.len() <= session.sound_for;
    if sound {
        session.sound_for = session.sound_for.saturating_sub(bytes.len());
        said.push((number, Said::Bytes(bytes)));
        return;
    }
    // Garbage comes in place of a reply: within one, nobody could tell.
    let sound = if session.habit == Habit::Garbage { 0 } else { session.sound_for };
    bytes.truncate(sound);
    session.sound_for = 0;
    if session.habit == Habit::Garbage {
        bytes.extend_from_slice(dice.pick(&[
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"VALUE nobody 0 4\r\nwhat\r\nEND\r\n",
            b"\0\xff\xfe\r\n",
            b"VALUE k1 0 99999999999\r\n",
            b"VA 3\r\nabcde\r\n",
            b"\r\n\r\n\r\n",
        ]));
    }
    if !bytes.is_empty() {
        said.push((number, Said::Bytes(bytes)));
    }
    match session.habit {
        Habit::Reset => {
            session.over = true;
            said.push((number, Said::Reset));
        }
        Habit::HalfClose => {
            said.push((number, Said::End));
            session.habit = Habit::Mute;
        }
        Habit::Garbage => session.habit = Habit::Mute,
        Habit::Mute | Habit::Sound => {}
    }
}
