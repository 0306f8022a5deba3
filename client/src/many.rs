//! Many keys at a time, read: each is told for itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use windhover_core::client::{Answer, Item, KeyError, ServerId};
use windhover_core::memcache::Keys;
use windhover_core::memcache::request::{Prepared, Request};

use crate::hub::Reply;
use crate::{Client, Error, ErrorKind, Value, ValueError};

/// What became of one key: its value, a miss, or an error of its server.
pub type Found = Result<Option<Value>, Error>;

/// So many keys are asked for with one command.
const MAX_KEYS: usize = 100;

/// What became of the keys that were asked for together, by their places among them.
#[derive(Default)]
struct Group {
    items: Vec<Item>,
    /// Whose items they are.
    server: Option<ServerId>,
    failed: Vec<(usize, Error)>,
    /// Why nothing is known of the others; without it they are misses.
    error: Option<Error>,
}

impl Client {
    /// The values of many keys, in their order: for each its value, a miss, or an error. Servers are
    /// asked at the same time; one that fails spoils nothing but its own keys, and what it had
    /// answered before it failed counts.
    ///
    /// Values of at most 512 bytes may share memory, 4 KiB at most, which is kept until the last of them is
    /// dropped. Who keeps a few of many for long copies those (`Bytes::copy_from_slice(&value.data)`).
    ///
    /// ```
    /// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
    /// for (key, found) in ["a", "b"].iter().zip(client.get_many(["a", "b"]).await) {
    ///     println!("{key}: {:?}", found?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Found> {
        self.read_many(keys, false).await
    }

    /// The same, each value with its cas unique.
    pub async fn gets_many<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Found> {
        self.read_many(keys, true).await
    }

    async fn read_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        with_cas: bool,
    ) -> Vec<Found> {
        let given: Vec<K> = keys.into_iter().collect();
        let prefixed: Vec<Cow<'_, [u8]>>;
        let keys: Vec<&[u8]> = if self.has_prefix() {
            prefixed = given.iter().map(|key| self.key(key.as_ref())).collect();
            prefixed.iter().map(AsRef::as_ref).collect()
        } else {
            given.iter().map(AsRef::as_ref).collect()
        };
        let keys = &keys[..];
        // To encode the request checks its keys: they are told apart only where one is refused.
        if keys.len() <= MAX_KEYS
            && self.has_one_server()
            && let Ok(prepared) = self.prepare_group(keys, with_cas)
        {
            let group = self.get_group(keys, prepared).await;
            if group.failed.is_empty() && group.error.is_none() {
                return self.all_found(keys, group);
            }
            let all: Vec<usize> = (0..keys.len()).collect();
            return self.put_together(keys, &[all], vec![group], Vec::new());
        }
        let (groups, refused) = self.by_server(keys);
        let calls = groups.iter().map(|group| self.get_some(keys, group, with_cas)).collect();
        let outcomes = join(calls).await;
        self.put_together(keys, &groups, outcomes, refused)
    }

    fn has_one_server(&self) -> bool {
        self.hub.lock().cluster.servers().nth(1).is_none()
    }

    /// What one server has of keys that were all asked for, and answered, in one call.
    fn all_found(&self, keys: &[&[u8]], group: Group) -> Vec<Found> {
        let Group { items, server, .. } = group;
        let read = |item: Item| {
            let at = item.index;
            self.value(item).map(Some).map_err(|error: ValueError| {
                let key = keys.get(at).copied().unwrap_or_default();
                self.error_at(server, error.into()).with_key(key)
            })
        };
        let is_whole = items.len() == keys.len();
        if is_whole && items.iter().enumerate().all(|(at, item)| item.index == at) {
            // In the memory of the items.
            return items.into_iter().map(read).collect();
        }
        let mut found: Vec<Found> = Vec::with_capacity(keys.len());
        for item in items {
            let at = item.index;
            let value = read(item);
            // Mostly the next one: servers answer in the order in which they are asked.
            found.resize_with(found.len().max(at), || Ok(None));
            match found.get_mut(at) {
                Some(place) => *place = value,
                None => found.push(value),
            }
        }
        found.resize_with(keys.len(), || Ok(None));
        answer_again(keys, &mut found);
        found
    }

    /// What several calls have brought, for each key.
    fn put_together(
        &self,
        keys: &[&[u8]],
        groups: &[Vec<usize>],
        outcomes: Vec<Group>,
        refused: Vec<(usize, Error)>,
    ) -> Vec<Found> {
        let mut found: Vec<Option<Found>> = keys.iter().map(|_| None).collect();
        for (at, error) in refused {
            set(&mut found, at, Err(error));
        }
        for (group, outcome) in groups.iter().zip(outcomes) {
            let Group { items, server, failed, error } = outcome;
            for (index, error) in failed {
                if let Some(&at) = group.get(index) {
                    set(&mut found, at, Err(error));
                }
            }
            for item in items {
                let Some((&at, key)) =
                    group.get(item.index).and_then(|at| Some((at, keys.get(*at)?)))
                else {
                    continue;
                };
                let told = |error: ValueError| self.error_at(server, error.into()).with_key(key);
                set(&mut found, at, self.value(item).map(Some).map_err(told));
            }
            let Some(error) = error else {
                continue;
            };
            for &at in group {
                if let (Some(place @ None), Some(key)) = (found.get_mut(at), keys.get(at)) {
                    *place = Some(Err(error.clone().with_key(key)));
                }
            }
        }
        let mut found: Vec<Found> =
            found.into_iter().map(|found| found.unwrap_or(Ok(None))).collect();
        answer_again(keys, &mut found);
        found
    }

    async fn get_some(&self, keys: &[&[u8]], group: &[usize], with_cas: bool) -> Group {
        let keys: Vec<&[u8]> = group.iter().filter_map(|&at| keys.get(at).copied()).collect();
        match self.prepare_group(&keys, with_cas) {
            Ok(prepared) => self.get_group(&keys, prepared).await,
            Err(error) => Group { error: Some(error), ..Group::default() },
        }
    }

    fn prepare_group(&self, keys: &[&[u8]], with_cas: bool) -> Result<Prepared, Error> {
        let asked = Keys::new(keys);
        let get = if with_cas { Request::Gets(asked) } else { Request::Get(asked) };
        self.prepare(&get, Bytes::new())
    }

    async fn get_group(&self, keys: &[&[u8]], prepared: Prepared) -> Group {
        let Reply { outcome, server, .. } = self.submit(self.read(prepared), self.timeout).await;
        let mut error = match outcome {
            Ok(Answer::Items(items)) => {
                return Group { items: items.into(), server, ..Group::default() };
            }
            Ok(other) => self.error_at(server, ErrorKind::unexpected(&other)),
            Err(error) => error,
        };
        let Some((id, failed)) = error.take_failed() else {
            let server = error.server_id();
            return Group {
                items: error.take_found(),
                server,
                error: Some(error),
                ..Group::default()
            };
        };
        let name = error.server().cloned();
        let of_key = |(at, error): (usize, KeyError)| {
            let key = keys.get(at).copied().unwrap_or_default();
            let error = Error::from(ErrorKind::of_key(id, error)).with_server(name.clone());
            (at, error.with_key(key))
        };
        let failed = failed.into_iter().map(of_key).collect();
        Group { items: error.take_found(), server: Some(id), failed, error: None }
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
                None => {
                    let mut group = Vec::with_capacity(keys.len().min(MAX_KEYS));
                    group.push(at);
                    owners.push((owner, group));
                }
            }
        }
        let mut groups = Vec::with_capacity(owners.len());
        for (_, mut group) in owners {
            while group.len() > MAX_KEYS {
                let rest = group.split_off(MAX_KEYS);
                groups.push(std::mem::replace(&mut group, rest));
            }
            groups.push(group);
        }
        (groups, refused)
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

pub(crate) fn set<T>(done: &mut [Option<T>], at: usize, what: T) {
    if let Some(place) = done.get_mut(at) {
        *place = Some(what);
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
