//! What the meta commands do (protocol.txt, "Meta Commands"). Flags take effect in the order given,
//! as in memcached: `t` before `T` tells the old time to live.

use windhover_core::memcache::Data;
use windhover_core::memcache::handler::{Reply, ReplyError};
use windhover_core::memcache::meta::{
    ArithmeticMode, FlagBuffer, MetaCode, MetaFlag, MetaFlags, MetaReply, MetaRequest, SetMode,
    decode_key, encode_key,
};
use windhover_core::memcache::response::Response;

use crate::handler::{CacheHandler, NON_NUMERIC, SHARE_FROM, no_room};
use crate::storage::{
    Arithmetic, ArithmeticError, Deadline, DeleteError, Digits, StoreError, StoreMode,
    StoreOptions, StoredItem, Time,
};

/// The longest key, as it stands on the line.
pub(crate) const MAX_KEY: usize = 250;
/// The same in base64.
const MAX_BASE64: usize = MAX_KEY.div_ceil(3) * 4;

/// A key as the server knows it.
pub(crate) struct Key<'a> {
    pub(crate) bytes: &'a [u8],
    binary: bool,
}

impl<'a> Key<'a> {
    /// `room` is for one that comes in base64. The connection has checked it.
    pub(crate) fn new(text: &'a [u8], base64: bool, room: &'a mut [u8; MAX_KEY]) -> Self {
        let bytes = if base64 { decode_key(text, room).unwrap_or_default() } else { text };
        Self { bytes, binary: base64 }
    }
}

/// When the time to live that a flag gives is over.
fn deadline(flag: MetaFlag<'_>, time: Time) -> Deadline {
    Deadline::of(flag.signed().unwrap_or_default(), time)
}

/// What a flag that was asked for is answered with.
enum Told {
    /// Nothing: it stands for something to be done.
    Nothing,
    Number(u64),
    /// The time to live of what has no end.
    Never,
}

impl Told {
    fn time_to_live(item: &StoredItem, time: Time) -> Self {
        item.expiry.remaining(time).map_or(Self::Never, |seconds| Self::Number(seconds.into()))
    }
}

/// Answers the flags in the order asked; `tell` is asked about those that need an item.
fn answer_flags(
    into: &mut FlagBuffer,
    asked: MetaFlags<'_>,
    key: &Key<'_>,
    mut tell: impl FnMut(MetaFlag<'_>) -> Told,
) {
    for flag in asked {
        match flag.letter {
            b'O' => {
                into.push_flag(flag);
            }
            b'k' if key.binary => {
                if let Some(text) = encode_key(key.bytes, &mut [0; MAX_BASE64]) {
                    into.push(b'k', text).push(b'b', b"");
                }
            }
            b'k' => {
                into.push(b'k', key.bytes);
            }
            letter => match tell(flag) {
                Told::Nothing => {}
                Told::Never => {
                    into.push(letter, b"-1");
                }
                Told::Number(number) => {
                    into.push_unsigned(letter, number);
                }
            },
        }
    }
}

impl CacheHandler {
    /// The answer of a command that tells nothing of an item.
    fn echo(
        &mut self,
        code: MetaCode,
        key: &Key<'_>,
        asked: MetaFlags<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        answer_flags(&mut self.flags, asked, key, |_| Told::Nothing);
        self.send(code, reply)
    }

    fn send(&self, code: MetaCode, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
        reply.send(&Response::Meta(MetaReply::new(code, self.flags.flags())))
    }

    /// `mg`
    pub(crate) fn meta_get(
        &mut self,
        request: &MetaRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let (asked, time) = (request.flags, Time::new(reply.now()));
        let mut room = [0; MAX_KEY];
        let key = Key::new(request.key, asked.base64(), &mut room);
        self.flags.clear();

        let (hash, mut storage) = self.cache.lock(key.bytes);
        let found = storage.find(hash, key.bytes, time);
        storage.counters.count_read(asked.has(b'T'), found.is_some());
        let created = found.is_none();
        let handle = found.or_else(|| {
            asked.get(b'N')?;
            let mut item = StoredItem::new(key.bytes, 0, Deadline::NEVER, &Data::new(b""));
            item.binary_key = key.binary;
            let how = StoreOptions { new_cas: asked.unsigned(b'E'), ..StoreOptions::default() };
            storage.store(hash, item, &how, time).ok()
        });
        let Some((handle, item)) = handle.and_then(|at| Some((at, storage.item_mut(at)?))) else {
            drop(storage);
            return self.echo(MetaCode::Miss, &key, asked, reply);
        };
        let key = Key { binary: item.binary_key, ..key };
        read(item, &key, asked, created, time, &mut self.flags);
        let flags = self.flags.flags();
        // Who has that version needs to be told of another one only.
        let wants_value = asked.has(b'v') && asked.unsigned(b'C') != Some(item.cas);
        let given = if !wants_value {
            reply.send(&Response::Meta(MetaReply::new(MetaCode::Done, flags)))
        } else if item.value().len() < SHARE_FROM {
            reply.meta_value(flags, item.value())
        } else {
            reply.meta_value(flags, &item.shared_value())
        };
        if !asked.has(b'u') {
            storage.mark_read(handle, time);
        }
        given
    }

    /// `ms`
    pub(crate) fn meta_set(
        &mut self,
        request: &MetaRequest<'_>,
        data: &Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let (asked, time) = (request.flags, Time::new(reply.now()));
        let mut room = [0; MAX_KEY];
        let key = Key::new(request.key, asked.base64(), &mut room);
        self.flags.clear();

        let expiry = asked.get(b'T').map_or(Deadline::NEVER, |flag| deadline(flag, time));
        let mut item = StoredItem::new(key.bytes, asked.client_flags(), expiry, data);
        item.binary_key = key.binary;
        let how = StoreOptions {
            mode: match asked.set_mode().unwrap_or_default() {
                SetMode::Set => StoreMode::Set,
                SetMode::Add => StoreMode::Add,
                SetMode::Replace => StoreMode::Replace,
                SetMode::Append => StoreMode::Append,
                SetMode::Prepend => StoreMode::Prepend,
            },
            cas: asked.unsigned(b'C'),
            invalidate: asked.has(b'I'),
            new_cas: asked.unsigned(b'E'),
            or_set: asked.get(b'N').map(|flag| deadline(flag, time)),
        };
        let (hash, mut storage) = self.cache.lock(key.bytes);
        let stored = storage.store(hash, item, &how, time);
        if stored == Err(StoreError::TooLarge) {
            // In every mode, as memcached does.
            storage.discard(hash, key.bytes, time);
        }
        let stored_item = stored.ok().and_then(|handle| storage.item(handle));
        let cas = stored_item.map_or(0, |item| item.cas);
        let length = stored_item.map_or(data.len(), |item| item.value().len());
        drop(storage);
        answer_flags(&mut self.flags, asked, &key, |flag| match flag.letter {
            b'c' => Told::Number(cas),
            b's' => Told::Number(length as u64),
            _ => Told::Nothing,
        });
        let code = match stored {
            Ok(_) => MetaCode::Done,
            Err(StoreError::NotStored) => MetaCode::NotStored,
            Err(StoreError::Exists) => MetaCode::Exists,
            Err(StoreError::NotFound) => MetaCode::NotFound,
            Err(error) => return reply.send(&no_room(error)),
        };
        self.send(code, reply)
    }

    /// `md`
    pub(crate) fn meta_delete(
        &mut self,
        request: &MetaRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let (asked, time) = (request.flags, Time::new(reply.now()));
        let mut room = [0; MAX_KEY];
        let key = Key::new(request.key, asked.base64(), &mut room);
        self.flags.clear();

        let (invalidate, empty) = (asked.has(b'I'), asked.has(b'x'));
        let (hash, mut storage) = self.cache.lock(key.bytes);
        let code = match storage.find_to_delete(hash, key.bytes, asked.unsigned(b'C'), time) {
            Err(DeleteError::NotFound) => MetaCode::NotFound,
            Err(DeleteError::Exists) => MetaCode::Exists,
            Ok(handle) => {
                if empty {
                    let expiry =
                        asked.get(b'T').map_or(Deadline::NEVER, |flag| deadline(flag, time));
                    storage.empty(handle, asked.client_flags(), expiry, time);
                }
                let new_cas = asked.unsigned(b'E');
                if invalidate {
                    let cas = new_cas.unwrap_or_else(|| storage.next_cas());
                    if let Some(item) = storage.item_mut(handle) {
                        item.expiry =
                            asked.get(b'T').map_or(item.expiry, |flag| deadline(flag, time));
                        item.cas = cas;
                        item.marks.stale = true;
                        item.marks.win_sent = false;
                    }
                } else if !empty {
                    storage.remove(handle);
                } else if let (Some(cas), Some(item)) = (new_cas, storage.item_mut(handle)) {
                    item.cas = cas;
                }
                MetaCode::Done
            }
        };
        drop(storage);
        self.echo(code, &key, asked, reply)
    }

    /// `ma`
    pub(crate) fn meta_arithmetic(
        &mut self,
        request: &MetaRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let (asked, time) = (request.flags, Time::new(reply.now()));
        let mut room = [0; MAX_KEY];
        let key = Key::new(request.key, asked.base64(), &mut room);
        self.flags.clear();

        let change = Arithmetic {
            decrement: asked.arithmetic_mode() == Some(ArithmeticMode::Decrement),
            delta: asked.unsigned(b'D').unwrap_or(1),
            cas: asked.unsigned(b'C'),
            new_cas: asked.unsigned(b'E'),
        };
        let (hash, mut storage) = self.cache.lock(key.bytes);
        let mut created = false;
        let changed = match storage.arithmetic(hash, key.bytes, &change, time) {
            Err(ArithmeticError::NotFound) if asked.has(b'N') => {
                created = true;
                let initial = asked.unsigned(b'J').unwrap_or_default();
                let text = Digits::of(initial);
                let value = Data::new(text.as_bytes());
                let mut item = StoredItem::new(key.bytes, 0, Deadline::NEVER, &value);
                item.binary_key = key.binary;
                let how = StoreOptions { new_cas: change.new_cas, ..StoreOptions::default() };
                match storage.store(hash, item, &how, time) {
                    Ok(handle) => Ok((handle, initial)),
                    Err(error) => return reply.send(&no_room(error)),
                }
            }
            changed => changed,
        };
        let (handle, number) = match changed {
            Ok(changed) => changed,
            Err(ArithmeticError::NonNumeric) => return reply.send(&NON_NUMERIC),
            Err(error) => {
                drop(storage);
                let code = match error {
                    ArithmeticError::Exists => MetaCode::Exists,
                    _ => MetaCode::NotFound,
                };
                return self.echo(code, &key, asked, reply);
            }
        };
        if let Some(item) = storage.item_mut(handle) {
            answer_flags(&mut self.flags, asked, &key, |flag| {
                match flag.letter {
                    b'T' => item.expiry = deadline(flag, time),
                    b'N' if created => item.expiry = deadline(flag, time),
                    b't' => return Told::time_to_live(item, time),
                    b'c' => return Told::Number(item.cas),
                    _ => {}
                }
                Told::Nothing
            });
        }
        drop(storage);
        if asked.has(b'v') {
            reply.meta_value(self.flags.flags(), Digits::of(number).as_bytes())
        } else {
            self.send(MetaCode::Done, reply)
        }
    }

    /// `me`: what memcached tells, in its words; there is one slab class.
    pub(crate) fn meta_debug(
        &self,
        text: &[u8],
        base64: bool,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let time = Time::new(reply.now());
        let mut room = [0; MAX_KEY];
        let key = Key::new(text, base64, &mut room);
        let (hash, mut storage) = self.cache.lock(key.bytes);
        storage.counters.cmd_meta += 1;
        let Some(item) =
            storage.find(hash, key.bytes, time).and_then(|handle| storage.item(handle))
        else {
            let no_flags = MetaFlags::new(b"");
            return reply.send(&Response::Meta(MetaReply::new(MetaCode::Miss, no_flags)));
        };
        let mut room = [0; MAX_BASE64];
        let name = if item.binary_key {
            encode_key(item.key(), &mut room).unwrap_or_default()
        } else {
            item.key()
        };
        let expires = item.expiry.remaining(time).map_or(-1, i64::from);
        let fields = format!(
            "exp={expires} la={} cas={} fetch={} cls=1 size={}",
            item.idle(time),
            item.cas,
            if item.marks.fetched { "yes" } else { "no" },
            item.size(),
        );
        reply.send(&Response::MetaDebug { key: name, fields: fields.as_bytes() })
    }
}

/// Does to an item what the flags of an `mg` ask for, and answers them.
fn read(
    item: &mut StoredItem,
    key: &Key<'_>,
    asked: MetaFlags<'_>,
    created: bool,
    time: Time,
    flags: &mut FlagBuffer,
) {
    let mut won = false;
    answer_flags(flags, asked, key, |flag| {
        Told::Number(match flag.letter {
            b's' => item.value().len() as u64,
            b'c' => item.cas,
            b'f' => item.flags.into(),
            b'l' => item.idle(time).into(),
            b'h' => item.marks.fetched.into(),
            b't' => return Told::time_to_live(item, time),
            b'T' => {
                item.expiry = deadline(flag, time);
                return Told::Nothing;
            }
            b'N' if created => {
                item.expiry = deadline(flag, time);
                won = true;
                return Told::Nothing;
            }
            b'R' => {
                let before = deadline(flag, time);
                let soon = before != Deadline::NEVER && item.expiry < before;
                won |= soon && !created && !item.marks.win_sent;
                return Told::Nothing;
            }
            _ => return Told::Nothing,
        })
    });
    if item.marks.win_sent {
        flags.push(b'Z', b"");
    }
    if item.marks.stale {
        flags.push(b'X', b"");
        won |= !item.marks.win_sent;
    }
    if won {
        flags.push(b'W', b"");
        item.marks.win_sent = true;
    }
}
