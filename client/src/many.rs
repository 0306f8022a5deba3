//! Many keys at a time: each is told for itself.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use windhover_core::client::{Answer, Call, CallError, Item, Target};
use windhover_core::memcache::Keys;
use windhover_core::memcache::meta::{FlagBuffer, MetaCode, MetaRequest};
use windhover_core::memcache::request::{Barrier, Batch, Request};
use windhover_core::memcache::response::Kind;

use crate::{Client, Error, Store, Value};

/// What became of one key: its value, a miss, or an error of its server.
pub type Found = Result<Option<Value>, Error>;
/// What became of one key: it was stored, or an error.
pub type Stored = Result<(), Error>;
/// What became of one key: whether there was something to delete, or an error.
pub type Deleted = Result<bool, Error>;
/// What became of one request of a batch: whether it found something to do, or an error.
type Quiet = Result<bool, Error>;

/// So many keys are asked for with one command.
const KEYS_MOST: usize = 100;

/// What became of the keys that were asked for together, by their places among them.
#[derive(Default)]
struct Group {
    items: Vec<Item>,
    failed: Vec<(usize, Error)>,
    /// Why nothing is known of the others; without it they are misses.
    error: Option<Error>,
}

impl Client {
    /// The values of many keys, in their order: for each its value, a miss, or an error. Servers are
    /// asked at the same time; one that fails spoils nothing but its own keys, and what it had
    /// answered before it failed counts.
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Found> {
        let mut found: Vec<Option<Found>> = keys.iter().map(|_| None).collect();
        let (groups, refused) = self.by_server(keys);
        for (at, error) in refused {
            set(&mut found, at, Err(error));
        }
        let calls: Vec<_> = groups.iter().map(|group| self.get_group(keys, group)).collect();
        for (group, outcome) in groups.iter().zip(join(calls).await) {
            let Group { items, failed, error } = outcome;
            for (index, error) in failed {
                if let Some(&at) = group.get(index) {
                    set(&mut found, at, Err(error));
                }
            }
            for item in items {
                if let Some(&at) = group.get(item.index) {
                    set(&mut found, at, self.value(item).map(Some));
                }
            }
            let Some(error) = error else {
                continue;
            };
            for &at in group {
                if let Some(place @ None) = found.get_mut(at) {
                    *place = Some(Err(again(&error)));
                }
            }
        }
        let mut found: Vec<Found> =
            found.into_iter().map(|found| found.unwrap_or(Ok(None))).collect();
        answer_again(keys, &mut found);
        found
    }

    async fn get_group<K: AsRef<[u8]>>(&self, keys: &[K], group: &[usize]) -> Group {
        let keys: Vec<&[u8]> =
            group.iter().filter_map(|&at| keys.get(at)).map(AsRef::as_ref).collect();
        let get = Request::Get(Keys::new(&keys));
        let prepared = match self.prepare(&get, Bytes::new()) {
            Ok(prepared) => prepared,
            Err(error) => return Group { error: Some(error), ..Group::default() },
        };
        match self.submit(self.read(prepared), self.timeout).await.0 {
            Ok(Answer::Items(items)) => Group { items, ..Group::default() },
            Ok(_) => Group { error: Some(Error::Unexpected), ..Group::default() },
            Err(Error::Call { server, error: CallError::Unknown { server: id, why, found } }) => {
                let error = CallError::Unknown { server: id, why, found: Vec::new() };
                let error = Some(Error::Call { server, error });
                Group { items: found, error, ..Group::default() }
            }
            Err(Error::Call { server, error: CallError::Keys { server: id, found, failed } }) => {
                let failed = failed.into_iter();
                let failed =
                    failed.map(|(at, error)| (at, Error::of_key(server.clone(), id, error)));
                Group { items: found, failed: failed.collect(), error: None }
            }
            Err(error) => Group { error: Some(error), ..Group::default() },
        }
    }

    /// Stores many values, in quiet mode (memcached from 1.6 on).
    pub async fn set_many<K: AsRef<[u8]>>(&self, items: &[(K, Store)]) -> Vec<Stored> {
        let keys: Vec<&[u8]> = items.iter().map(|(key, _)| key.as_ref()).collect();
        self.quietly(&keys, |batch, at, key| {
            let Some((_, store)) = items.get(at) else {
                return Ok(());
            };
            let (data, flags) = self.packing.pack(store.data.clone(), store.flags)?;
            let mut line = FlagBuffer::new();
            line.push_unsigned(b'F', u64::from(flags))
                .push_signed(b'T', self.exptime(store.expires)?);
            let set = Request::MetaSet(MetaRequest::new(key, line.flags()));
            Ok(batch.push(&set, data)?)
        })
        .await
        .into_iter()
        .map(|done| match done {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NotDone { reply: Kind::Meta(MetaCode::NotFound) }),
            Err(error) => Err(error),
        })
        .collect()
    }

    /// Deletes many items, in quiet mode (memcached from 1.6 on): for each whether there was one.
    pub async fn delete_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Deleted> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        self.quietly(&keys, |batch, _, key| {
            let line = FlagBuffer::new();
            let delete = Request::MetaDelete(MetaRequest::new(key, line.flags()));
            Ok(batch.push(&delete, Bytes::new())?)
        })
        .await
    }

    /// One batch for each server, all at the same time.
    async fn quietly(
        &self,
        keys: &[&[u8]],
        push: impl Fn(&mut Batch, usize, &[u8]) -> Result<(), Error>,
    ) -> Vec<Quiet> {
        let mut done: Vec<Option<Quiet>> = keys.iter().map(|_| None).collect();
        let mut sent = Vec::new();
        let mut calls = Vec::new();
        let (groups, refused) = self.by_server(keys);
        for (at, error) in refused {
            set(&mut done, at, Err(error));
        }
        for group in groups {
            let mut batch = Batch::new(self.hub.dialect, &self.hub.limits);
            let mut members = Vec::new();
            for at in group {
                let Some(key) = keys.get(at) else {
                    continue;
                };
                match push(&mut batch, at, key) {
                    Ok(()) => members.push(at),
                    Err(error) => set(&mut done, at, Err(error)),
                }
            }
            let target = members
                .first()
                .and_then(|&at| keys.get(at))
                .and_then(|key| self.hub.lock().cluster.owner(key).map(Target::Server));
            match batch.close(Barrier::MetaNoop) {
                Ok(_) if members.is_empty() => {}
                Ok(prepared) => {
                    let mut call = Call::write(prepared);
                    call.target = target.unwrap_or(Target::Key);
                    calls.push(self.submit(call, self.timeout));
                    sent.push(members);
                }
                Err(error) => {
                    for at in members {
                        set(&mut done, at, Err(error.into()));
                    }
                }
            }
        }
        for (members, (outcome, _)) in sent.into_iter().zip(join(calls).await) {
            told(&mut done, &members, outcome);
        }
        done.into_iter().map(|done| done.unwrap_or(Err(Error::Unexpected))).collect()
    }

    /// The places of the keys, those of one server together, in groups of bounded size; and the keys
    /// that cannot be sent.
    pub(crate) fn by_server<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
    ) -> (Vec<Vec<usize>>, Vec<(usize, Error)>) {
        let mut refused = Vec::new();
        let state = self.hub.lock();
        let mut owners: Vec<(Option<_>, Vec<usize>)> = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            if let Err(error) = Error::check_key(key.as_ref(), &self.hub.limits) {
                refused.push((at, error));
                continue;
            }
            let owner = state.cluster.owner(key.as_ref());
            match owners.iter_mut().find(|(known, _)| *known == owner) {
                Some((_, group)) => group.push(at),
                None => owners.push((owner, vec![at])),
            }
        }
        let groups = owners.into_iter().flat_map(|(_, group)| {
            group.chunks(KEYS_MOST).map(<[usize]>::to_vec).collect::<Vec<_>>()
        });
        (groups.collect(), refused)
    }
}

/// A key that stands among the keys twice is there twice, also where its server answers it once.
fn answer_again<K: AsRef<[u8]>>(keys: &[K], found: &mut [Found]) {
    if found.iter().all(|found| matches!(found, Ok(Some(_)))) {
        return;
    }
    let mut values = HashMap::new();
    for (key, found) in keys.iter().zip(found.iter()) {
        if let Ok(Some(value)) = found {
            values.insert(key.as_ref(), value.clone());
        }
    }
    for (key, found) in keys.iter().zip(found) {
        if let Some(value) = values.get(key.as_ref()) {
            *found = Ok(Some(value.clone()));
        }
    }
}

fn set<T>(done: &mut [Option<T>], at: usize, what: T) {
    if let Some(place) = done.get_mut(at) {
        *place = Some(what);
    }
}

/// What the answer to a batch says of each of its requests.
fn told(done: &mut [Option<Quiet>], members: &[usize], outcome: Result<Answer, Error>) {
    let batch = match outcome {
        Ok(Answer::Batch(batch)) => batch,
        other => {
            let error = other.err().unwrap_or(Error::Unexpected);
            for &at in members {
                set(done, at, Err(again(&error)));
            }
            return;
        }
    };
    for (index, answer) in &batch.replies {
        if let Some(&at) = members.get(*index) {
            let what = match answer.code {
                MetaCode::Done => Ok(true),
                MetaCode::NotFound => Ok(false),
                code @ (MetaCode::NotStored | MetaCode::Exists) => {
                    Err(Error::NotDone { reply: Kind::Meta(code) })
                }
                _ => Err(Error::Unexpected),
            };
            set(done, at, what);
        }
    }
    for &at in members {
        if let Some(None) = done.get(at) {
            // Success is what is hidden; an error names no request, and may be this one's.
            let what = match batch.errors.first() {
                None => Ok(true),
                Some(refusal) => Err(Error::InBatch(refusal.clone())),
            };
            set(done, at, what);
        }
    }
}

/// The same error for another key.
fn again(error: &Error) -> Error {
    match error {
        Error::Key { key, error } => Error::Key { key: key.clone(), error: *error },
        Error::Request(error) => Error::Request(*error),
        Error::Call { server, error } => {
            Error::Call { server: server.clone(), error: error.clone() }
        }
        _ => Error::Unexpected,
    }
}

/// Waits for all of them, at the same time.
pub(crate) async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let all = std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    });
    pin!(all).await;
    done.into_iter().flatten().collect()
}
