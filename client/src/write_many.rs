//! Many keys at a time, written: each is told for itself.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use windhover_core::client::{Answer, BatchAnswer, Call, CallError, ServerId, Target};
use windhover_core::memcache::meta::{FlagBuffer, MetaCode, MetaRequest};
use windhover_core::memcache::request::{self, Barrier, Batch, Request};
use windhover_core::memcache::response::Kind;
use windhover_core::memcache::{End, Reason};

use crate::hub::Reply;
use crate::many::{join, set};
use crate::{Client, Error, ErrorKind, Store};

/// What became of one key: it was stored, or an error.
pub type Stored = Result<(), Error>;
/// What became of one key: whether there was something to delete, or an error.
pub type Deleted = Result<bool, Error>;

/// Whether a client sends meta commands of its own accord: to write many keys at a time.
///
/// ```
/// use windhover_client::{Client, MetaCommands};
///
/// // Behind a proxy that knows no meta commands, and is not to be asked.
/// let builder = Client::builder().server("10.0.0.1:22121").meta(MetaCommands::Never);
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetaCommands {
    /// To servers that know them: each is asked once, with `mn`.
    #[default]
    Detect,
    /// To every server: all of them are memcached from 1.6 on.
    Always,
    /// To none.
    Never,
}

/// What is done to one key.
enum Write {
    Set { data: Bytes, flags: u32, exptime: i64 },
    Delete,
}

/// What became of one key: whether there was something to do, or an error.
type Written = Result<bool, Error>;

impl Client {
    /// Stores many values: in one batch of meta commands for each server that knows them (memcached
    /// from 1.6 on), else with a `set` each ([`MetaCommands`]).
    ///
    /// ```
    /// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
    /// let numbers = [("one", 1), ("two", 2)];
    /// for stored in client.set_many(numbers).await {
    ///     stored?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_many<K: AsRef<[u8]>, S: Into<Store>>(
        &self,
        items: impl IntoIterator<Item = (K, S)>,
    ) -> Vec<Stored> {
        let (keys, writes): (Vec<K>, Vec<_>) =
            items.into_iter().map(|(key, store)| (key, self.write_of(store.into()))).unzip();
        let keys: Vec<Cow<'_, [u8]>> = keys.iter().map(|key| self.key(key.as_ref())).collect();
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        let written = self.write_many(&keys, writes).await;
        // There is always something to do.
        let stored = |(written, key): (Written, &&[u8])| match written {
            Ok(true) => Ok(()),
            Ok(false) => {
                let reply = Kind::Meta(MetaCode::NotFound);
                Err(self.error_at(self.owner_of(key), ErrorKind::NotDone { reply }).with_key(key))
            }
            Err(error) => Err(error),
        };
        written.into_iter().zip(&keys).map(stored).collect()
    }

    /// Deletes many items, in the same way: for each whether there was one.
    pub async fn delete_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Deleted> {
        let keys: Vec<K> = keys.into_iter().collect();
        let keys: Vec<Cow<'_, [u8]>> = keys.iter().map(|key| self.key(key.as_ref())).collect();
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        let writes = keys.iter().map(|_| Ok(Write::Delete)).collect();
        self.write_many(&keys, writes).await
    }

    fn write_of(&self, store: Store) -> Result<Write, Error> {
        let (data, flags) = self.packing.pack(store.data, store.flags)?;
        Ok(Write::Set { data, flags, exptime: self.exptime(store.expires)? })
    }

    fn owner_of(&self, key: &[u8]) -> Option<ServerId> {
        self.hub.lock().cluster.owner(key)
    }

    async fn write_many(&self, keys: &[&[u8]], writes: Vec<Result<Write, Error>>) -> Vec<Written> {
        let mut done: Vec<Option<Written>> = keys.iter().map(|_| None).collect();
        let (groups, refused) = self.by_server(keys);
        for (at, error) in refused {
            set(&mut done, at, Err(error));
        }
        let mut writes: Vec<Option<Result<Write, Error>>> = writes.into_iter().map(Some).collect();
        let mut calls = Vec::new();
        for group in groups {
            let mut members = Vec::new();
            for at in group {
                match (keys.get(at), writes.get_mut(at).and_then(Option::take)) {
                    (Some(key), Some(Ok(write))) => members.push((at, *key, write)),
                    (Some(key), Some(Err(error))) => set(&mut done, at, Err(error.with_key(key))),
                    _ => {}
                }
            }
            calls.push(self.write_group(members));
        }
        for (at, written) in join(calls).await.into_iter().flatten() {
            set(&mut done, at, written);
        }
        let unanswered = || Err(ErrorKind::lacks("nothing").into());
        done.into_iter().map(|done| done.unwrap_or_else(unanswered)).collect()
    }

    /// Writes keys of one server.
    async fn write_group(&self, members: Vec<(usize, &[u8], Write)>) -> Vec<(usize, Written)> {
        let Some((_, first, _)) = members.first() else {
            return Vec::new();
        };
        let until = Instant::now() + self.timeout;
        let server = self.owner_of(first);
        let knows_meta = match server {
            Some(server) => self.knows_meta(server).await,
            None => Ok(true),
        };
        let rest = self.with_timeout(until.saturating_duration_since(Instant::now()));
        match knows_meta {
            Ok(true) => rest.write_batch(server, members).await,
            Ok(false) => rest.write_each(members).await,
            Err(error) => members
                .into_iter()
                .map(|(at, key, _)| (at, Err(error.clone().with_key(key))))
                .collect(),
        }
    }

    /// Whether a server knows meta commands. A value behind one that it does not know would be taken for
    /// commands: it is asked first.
    async fn knows_meta(&self, server: ServerId) -> Result<bool, Error> {
        match self.hub.meta {
            MetaCommands::Always => return Ok(true),
            MetaCommands::Never => return Ok(false),
            MetaCommands::Detect => {}
        }
        if let Some(knows) = self.hub.lock().knows_meta.get(&server) {
            return Ok(*knows);
        }
        let knows = match self.to_server(server, &Request::MetaNoop).await {
            Ok(_) => true,
            Err(error) => match error.kind() {
                ErrorKind::Call(CallError::Refused { refusal, .. })
                    if refusal.kind == Kind::Error =>
                {
                    false
                }
                // Some proxies close the connection where they do not know a command.
                ErrorKind::Call(CallError::Unknown { why: Reason::End(end), .. })
                    if !matches!(end, End::Stalled | End::WriteStalled | End::Abandoned) =>
                {
                    false
                }
                _ => return Err(error),
            },
        };
        self.hub.lock().knows_meta.insert(server, knows);
        Ok(knows)
    }

    /// One command for each key, all at the same time.
    async fn write_each(&self, members: Vec<(usize, &[u8], Write)>) -> Vec<(usize, Written)> {
        let calls = members.into_iter().map(|(at, key, write)| async move {
            let (request, data) = match write {
                Write::Delete => (Request::Delete { key, noreply: false }, Bytes::new()),
                Write::Set { data, flags, exptime } => {
                    let mut line = request::StoreRequest::new(key);
                    (line.flags, line.exptime) = (flags, exptime);
                    (Request::Set(line), data)
                }
            };
            let written = |answer| match answer {
                Answer::Word(Kind::Stored | Kind::Deleted) => Ok(true),
                Answer::Word(Kind::NotFound) => Ok(false),
                Answer::Word(reply) => Err(ErrorKind::NotDone { reply }),
                other => Err(ErrorKind::unexpected(&other)),
            };
            (at, self.change(&request, data, written).await)
        });
        join(calls.collect()).await
    }

    /// One batch, in quiet mode.
    async fn write_batch(
        &self,
        server: Option<ServerId>,
        members: Vec<(usize, &[u8], Write)>,
    ) -> Vec<(usize, Written)> {
        let mut written = Vec::new();
        let mut sent = Vec::new();
        let mut batch = Batch::new(self.hub.dialect, &self.hub.limits);
        for (at, key, write) in members {
            let mut line = FlagBuffer::new();
            let pushed = match write {
                Write::Delete => {
                    let delete = Request::MetaDelete(MetaRequest::new(key, line.flags()));
                    batch.push(&delete, Bytes::new())
                }
                Write::Set { data, flags, exptime } => {
                    line.push_unsigned(b'F', u64::from(flags)).push_signed(b'T', exptime);
                    batch.push(&Request::MetaSet(MetaRequest::new(key, line.flags())), data)
                }
            };
            match pushed {
                Ok(()) => sent.push((at, key)),
                Err(error) => written.push((at, Err(Error::from(error).with_key(key)))),
            }
        }
        if sent.is_empty() {
            return written;
        }
        let outcome = match batch.close(Barrier::MetaNoop) {
            Ok(prepared) => {
                let mut call = Call::write(prepared);
                call.target = server.map_or(Target::Key, Target::Server);
                let Reply { outcome, server: by, .. } = self.submit(call, self.timeout).await;
                outcome.map(|answer| (answer, by))
            }
            Err(error) => Err(error.into()),
        };
        let error = match outcome {
            Ok((Answer::Batch(batch), by)) => {
                let name = self.server(by);
                let told =
                    told(sent.len(), &batch).into_iter().zip(sent).map(|(done, (at, key))| {
                        let told = |kind| Error::from(kind).with_server(name.clone()).with_key(key);
                        (at, done.map_err(told))
                    });
                written.extend(told);
                return written;
            }
            Ok((other, by)) => self.error_at(by, ErrorKind::unexpected(&other)),
            Err(error) => error,
        };
        self.note_refusal(server, &error);
        let of = |(at, key): (usize, &[u8])| (at, Err(error.clone().with_key(key)));
        written.extend(sent.into_iter().map(of));
        written
    }

    /// A server that knew meta commands, or was said to, knows none.
    fn note_refusal(&self, server: Option<ServerId>, error: &Error) {
        if let (Some(server), ErrorKind::Call(CallError::Refused { refusal, .. })) =
            (server, error.kind())
            && refusal.kind == Kind::Error
        {
            self.hub.lock().knows_meta.insert(server, false);
        }
    }
}

/// What the answer to a batch says of each of its so many requests.
fn told(count: usize, batch: &BatchAnswer) -> Vec<Result<bool, ErrorKind>> {
    let mut done: Vec<Option<_>> = (0..count).map(|_| None).collect();
    for (index, answer) in &batch.replies {
        let what = match answer.code {
            MetaCode::Done => Ok(true),
            MetaCode::NotFound => Ok(false),
            code @ (MetaCode::NotStored | MetaCode::Exists) => {
                Err(ErrorKind::NotDone { reply: Kind::Meta(code) })
            }
            code => Err(ErrorKind::unexpected_code(code)),
        };
        set(&mut done, *index, what);
    }
    // Success is what is hidden; an error names no request, and may be this one's.
    let hidden = || match batch.errors.first() {
        None => Ok(true),
        Some(refusal) => Err(ErrorKind::InBatch(refusal.clone())),
    };
    done.into_iter().map(|done| done.unwrap_or_else(hidden)).collect()
}
