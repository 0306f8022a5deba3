//! A small memcached over a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::memcache::meta::MetaCode;
use windhover_core::memcache::request::{Request, StoreRequest};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Keys};

use crate::host::Sabotage;
use crate::log::{Did, Log, Uid};
use crate::session::Answer;

/// What it holds.
#[derive(Debug)]
pub(crate) struct Cache {
    items: BTreeMap<Vec<u8>, (Uid, Bytes)>,
    numbers: BTreeMap<Vec<u8>, u64>,
    sabotage: Sabotage,
}

/// The number that a value carries: `key#number#filler`.
pub(crate) fn uid_of(value: &[u8]) -> Option<Uid> {
    let text = value.split(|&byte| byte == b'#').nth(1)?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The number of a key that the log follows: `k17`.
pub(crate) fn key_number(key: &[u8]) -> Option<u32> {
    std::str::from_utf8(key.strip_prefix(b"k")?).ok()?.parse().ok()
}

fn own_uid(key: &[u8]) -> Option<Uid> {
    std::str::from_utf8(key.strip_prefix(b"d")?).ok()?.parse().ok()
}

impl Cache {
    pub(crate) fn new(sabotage: Sabotage) -> Self {
        Self { items: BTreeMap::new(), numbers: BTreeMap::new(), sabotage }
    }

    /// It was killed: all is lost.
    pub(crate) fn lose_all(&mut self, host: usize, log: &mut Log, now: Instant) {
        for key in std::mem::take(&mut self.items).into_keys() {
            if let Some(key) = key_number(&key) {
                log.holds(host, key, None, now);
            }
        }
        self.numbers.clear();
    }

    pub(crate) fn answer(
        &mut self,
        host: usize,
        request: &Request<'_>,
        data: &Data<'_>,
        log: &mut Log,
        now: Instant,
    ) -> Answer {
        let line = Answer::Line;
        match request {
            Request::Get(keys) => self.get(keys, false),
            Request::Gets(keys) => self.get(keys, true),
            Request::Set(store) => line(word(self.store(host, store, data, log, now))),
            Request::Add(store) => {
                let taken = self.items.contains_key(store.key);
                line(self.store_unless(taken, Did::NotStored, host, store, data, log, now))
            }
            Request::Cas { store, unique } => {
                let known = self.items.get(store.key).map(|(uid, _)| *uid);
                let refused = if known.is_none() { Did::NotFound } else { Did::Exists };
                let refuse = known != Some(*unique);
                line(self.store_unless(refuse, refused, host, store, data, log, now))
            }
            Request::Delete { key, .. } => {
                let did = self.delete(host, key, log, now);
                if let Some(uid) = own_uid(key) {
                    log.note(uid, did, now);
                }
                line(word(did))
            }
            Request::Incr { key, delta, .. } => {
                let number = self.numbers.entry(key.to_vec()).or_default();
                *number = number.wrapping_add(*delta);
                log.note(*delta, Did::Number(*number), now);
                line(Response::Number(*number))
            }
            Request::MetaGet(meta) => {
                let found = self.items.get(meta.key);
                if let Some(uid) = meta.flags.unsigned(b'O')
                    && !meta.flags.quiet()
                {
                    log.note(uid, Did::Peeked, now);
                }
                let code = if found.is_some() { MetaCode::Value } else { MetaCode::Miss };
                Answer::meta(code, meta, found.map(|(_, value)| value.clone()))
            }
            Request::MetaSet(meta) => {
                let did = self.store(host, &StoreRequest::new(meta.key), data, log, now);
                debug_assert_eq!(did, Did::Stored);
                Answer::meta(MetaCode::Done, meta, None)
            }
            Request::MetaDelete(meta) => {
                let did = self.delete(host, meta.key, log, now);
                if let Some(uid) = meta.flags.unsigned(b'O')
                    && !meta.flags.quiet()
                {
                    log.note(uid, did, now);
                }
                let deleted = did == Did::Deleted;
                let code = if deleted { MetaCode::Done } else { MetaCode::NotFound };
                Answer::meta(code, meta, None)
            }
            Request::MetaNoop => line(Response::MetaNoop),
            Request::Version => line(Response::Version(b"1.6.sim")),
            Request::Authenticate { password, .. } => line(if *password == b"secret" {
                Response::Stored
            } else {
                Response::ClientError(b"authentication failure")
            }),
            _ => line(Response::Error(b"")),
        }
    }

    fn get(&self, keys: &Keys<'_>, with_cas: bool) -> Answer {
        let found = keys.clone().filter_map(|key| {
            let (uid, value) = self.items.get(key)?;
            Some((key.to_vec(), with_cas.then_some(*uid), value.clone()))
        });
        Answer::Values(found.collect())
    }

    fn store(
        &mut self,
        host: usize,
        store: &StoreRequest<'_>,
        data: &Data<'_>,
        log: &mut Log,
        now: Instant,
    ) -> Did {
        let value: Vec<u8> = data.chunks().flatten().copied().collect();
        let uid = uid_of(&value).expect("the load numbers its values");
        log.note(uid, Did::Stored, now);
        if let Some(key) = key_number(store.key) {
            log.holds(host, key, Some(uid), now);
        }
        if self.sabotage != Sabotage::TellsOldValues || !self.items.contains_key(store.key) {
            self.items.insert(store.key.to_vec(), (uid, value.into()));
        }
        Did::Stored
    }

    #[expect(clippy::too_many_arguments, reason = "what a store needs, and when not")]
    fn store_unless(
        &mut self,
        refuse: bool,
        refused: Did,
        host: usize,
        item: &StoreRequest<'_>,
        data: &Data<'_>,
        log: &mut Log,
        now: Instant,
    ) -> Response<'static> {
        if !refuse {
            return word(self.store(host, item, data, log, now));
        }
        let value: Vec<u8> = data.chunks().flatten().copied().collect();
        log.note(uid_of(&value).expect("the load numbers its values"), refused, now);
        word(refused)
    }

    fn delete(&mut self, host: usize, key: &[u8], log: &mut Log, now: Instant) -> Did {
        if self.items.remove(key).is_none() {
            return Did::NotFound;
        }
        if let Some(key) = key_number(key) {
            log.holds(host, key, None, now);
        }
        Did::Deleted
    }
}

/// The word for what was done.
pub(crate) fn word(did: Did) -> Response<'static> {
    match did {
        Did::Stored => Response::Stored,
        Did::NotStored => Response::NotStored,
        Did::Exists => Response::Exists,
        Did::NotFound => Response::NotFound,
        Did::Deleted => Response::Deleted,
        Did::Number(number) => Response::Number(number),
        Did::Refused => Response::ServerError(b"busy"),
        _ => Response::End,
    }
}
