//! The calls of a run, and what is remembered of each.

use std::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::client::{Call, ReservationId, Retry, ServerId};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
use windhover_core::memcache::request::{Barrier, Batch, Prepared, Request, StoreRequest};
use windhover_core::memcache::{Dialect, Keys, Limits};

use crate::dice::Dice;
use crate::log::Uid;

/// What a call asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// These keys, by number.
    Get(Vec<u32>),
    /// One key, by a meta get with an opaque.
    MetaGet(u32),
    /// A value is stored under a key: always, or under a condition.
    Store,
    Delete,
    Incr,
    /// Meta requests: the numbers of the values stored, and keys that are asked for.
    Batch {
        stored: Vec<Uid>,
        asked: Vec<(usize, u32)>,
    },
    Version,
    Enqueue,
    Reserve,
    Take,
    Peek,
    /// The item of a reservation is confirmed, or put back.
    Confirm {
        item: Uid,
    },
    Abort,
}

/// A call that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) asked: Asked,
    pub(crate) uid: Uid,
    pub(crate) retry: Retry,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) reservation: Option<ReservationId>,
}

/// Draws calls.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) dialect: Dialect,
    next_uid: Uid,
    /// How many different keys there are.
    keys: usize,
    /// Whether values of more than 64 KiB occur.
    large: bool,
}

impl Load {
    pub(crate) fn new(dialect: Dialect, dice: &mut Dice) -> Self {
        Self { dialect, next_uid: 0, keys: 1 + dice.below(12), large: dice.chance(3) }
    }

    pub(crate) fn uid(&mut self) -> Uid {
        self.next_uid += 1;
        self.next_uid
    }

    fn key(&self, dice: &mut Dice) -> u32 {
        u32::try_from(dice.below(self.keys)).unwrap()
    }

    pub(crate) fn prepare(&self, request: &Request<'_>, data: Bytes) -> Prepared {
        Prepared::new(request, data, self.dialect, &Limits::default()).unwrap()
    }

    fn value(&self, key: &str, uid: Uid, dice: &mut Dice) -> Bytes {
        let filler = match dice.below(40) {
            0 if self.large => 70_000 + dice.below(70_000),
            1..=4 => dice.below(3000),
            _ => dice.below(20),
        };
        let mut value = format!("{key}#{uid}#").into_bytes();
        value.resize(value.len() + filler, b'x');
        value.into()
    }

    /// The next call.
    pub(crate) fn draw(&mut self, dice: &mut Dice) -> (Call, Asked, Uid) {
        let uid = self.uid();
        let (mut call, asked) = if self.dialect.is_queue() {
            self.draw_for_queues(uid, dice)
        } else {
            self.draw_for_caches(uid, dice)
        };
        if dice.chance(20) {
            call.retry = dice.pick(&[Retry::Never, Retry::IfNotSent, Retry::AtLeastOnce]);
        }
        if dice.chance(20) {
            call.failover = !call.failover;
        }
        (call, asked, uid)
    }

    fn draw_for_caches(&mut self, uid: Uid, dice: &mut Dice) -> (Call, Asked) {
        let number = self.key(dice);
        let key = format!("k{number}");
        let nothing = Bytes::new();
        match dice.below(12) {
            0..=2 => {
                let numbers: Vec<_> = (0..=dice.below(3)).map(|_| self.key(dice)).collect();
                let names: Vec<_> = numbers.iter().map(|n| format!("k{n}")).collect();
                let names: Vec<_> = names.iter().map(String::as_bytes).collect();
                let keys = Keys::new(&names);
                let request =
                    if dice.chance(50) { Request::Get(keys) } else { Request::Gets(keys) };
                let mut call = Call::read(self.prepare(&request, nothing));
                call.hedged = dice.chance(50);
                (call, Asked::Get(numbers))
            }
            3 => {
                let flags = format!("v k O{uid}");
                let get = MetaRequest::new(key.as_bytes(), MetaFlags::new(flags.as_bytes()));
                let mut call = Call::read(self.prepare(&Request::MetaGet(get), nothing));
                call.hedged = dice.chance(50);
                (call, Asked::MetaGet(number))
            }
            4..=6 => {
                let store = StoreRequest::new(key.as_bytes());
                let request = match dice.below(6) {
                    0 => Request::Add(store),
                    1 => Request::Cas { store, unique: dice.roll() % (uid + 1) },
                    _ => Request::Set(store),
                };
                let value = self.value(&key, uid, dice);
                (Call::write(self.prepare(&request, value)), Asked::Store)
            }
            7 => {
                let key = format!("d{uid}");
                let request = Request::Delete { key: key.as_bytes(), noreply: false };
                (Call::write(self.prepare(&request, nothing)), Asked::Delete)
            }
            8 => {
                let flags = format!("O{uid}");
                let delete = MetaRequest::new(key.as_bytes(), MetaFlags::new(flags.as_bytes()));
                (Call::write(self.prepare(&Request::MetaDelete(delete), nothing)), Asked::Delete)
            }
            9 => {
                let request = Request::Incr { key: b"counter", delta: uid, noreply: false };
                (Call::write(self.prepare(&request, nothing)), Asked::Incr)
            }
            _ => self.draw_batch(dice),
        }
    }

    fn draw_batch(&mut self, dice: &mut Dice) -> (Call, Asked) {
        let mut batch = Batch::new(self.dialect, &Limits::default());
        let (mut stored, mut asked) = (Vec::new(), Vec::new());
        for index in 0..=dice.below(4) {
            let number = self.key(dice);
            let key = format!("k{number}");
            if dice.chance(50) {
                let uid = self.uid();
                let set = MetaRequest::new(key.as_bytes(), MetaFlags::new(b""));
                batch.push(&Request::MetaSet(set), self.value(&key, uid, dice)).unwrap();
                stored.push(uid);
            } else {
                let get = MetaRequest::new(key.as_bytes(), MetaFlags::new(b"v"));
                batch.push(&Request::MetaGet(get), Bytes::new()).unwrap();
                asked.push((index, number));
            }
        }
        let barrier = if dice.chance(50) { Barrier::MetaNoop } else { Barrier::Version };
        let prepared = batch.close(barrier).unwrap();
        let call = if stored.is_empty() { Call::read(prepared) } else { Call::write(prepared) };
        (call, Asked::Batch { stored, asked })
    }

    fn draw_for_queues(&mut self, uid: Uid, dice: &mut Dice) -> (Call, Asked) {
        let queue = dice.pick(&["jobs", "mail"]);
        if dice.chance(50) {
            let value = self.value(queue, uid, dice);
            let request = Request::Set(StoreRequest::new(queue.as_bytes()));
            return (Call::enqueue(self.prepare(&request, value)), Asked::Enqueue);
        }
        let (mode, asked) = match dice.below(8) {
            0 => (ReadMode::Peek, Asked::Peek),
            1 => (ReadMode::Remove, Asked::Take),
            _ => (ReadMode::Open, Asked::Reserve),
        };
        let mut read = QueueRead::new(queue.as_bytes(), mode);
        if dice.chance(50) {
            read = read.wait(dice.micros(1000, 80_000));
        }
        (Call::reserve(self.prepare(&Request::QueueRead(read), Bytes::new())), asked)
    }

    /// What becomes of an item that was set aside.
    pub(crate) fn settle(
        &mut self,
        queue: &[u8],
        item: Uid,
        reservation: ReservationId,
        dice: &mut Dice,
    ) -> (Call, Asked, Uid) {
        let confirms = dice.chance(70);
        let mode = if confirms { ReadMode::Close } else { ReadMode::Abort };
        let read = QueueRead::new(queue, mode);
        let prepared = self.prepare(&Request::QueueRead(read), Bytes::new());
        let asked = if confirms { Asked::Confirm { item } } else { Asked::Abort };
        (Call::on_reservation(prepared, reservation), asked, self.uid())
    }

    /// A question to one server.
    pub(crate) fn version(&mut self, server: ServerId) -> (Call, Asked, Uid) {
        let prepared = self.prepare(&Request::Version, Bytes::new());
        (Call::to(prepared, server), Asked::Version, self.uid())
    }

    /// How long the caller will wait.
    pub(crate) fn timeout(dice: &mut Dice) -> Duration {
        match dice.below(10) {
            0 => Duration::ZERO,
            1 => dice.micros(1, 500),
            2..=4 => dice.micros(500, 20_000),
            _ => dice.micros(20_000, 400_000),
        }
    }
}
