//! A connection of the cache's listener.

use std::sync::Arc;
use std::task::Context;

use bytes::BytesMut;
use windhover_core::Now;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::meta::{MetaCode, MetaReply};
use windhover_core::memcache::response::{Response, Value};
use windhover_core::memcache::{Dialect, Output, ServerConnection};

use super::Cache;
use super::commands::{Answer, Commands, MetaData};
use super::storage::Time;

/// Bytes of values that one answer puts into the buffer at a time, so that a `get` of many keys
/// is not held in memory whole.
const AT_A_TIME: usize = 256 * 1024;
/// A value at least this long is shared with the buffer in place of being copied into it.
const SHARE_FROM: usize = 4096;

/// A connection of the cache's listener.
#[derive(Debug)]
pub struct Client {
    memcache: ServerConnection,
    commands: Commands,
    /// The items found wait to be given, with their cas unique or without.
    giving: Option<bool>,
}

impl Client {
    /// A connection that was accepted at `now`.
    pub fn new(cache: Arc<Cache>, now: Now) -> Self {
        let (limits, timeouts) = (&cache.limits, &cache.settings.timeouts);
        let memcache = ServerConnection::new(Dialect::Memcached, limits, timeouts, now.instant);
        Self { memcache, commands: Commands::new(cache), giving: None }
    }

    fn give(&mut self, answer: &Answer) {
        match answer {
            Answer::Response(response) => self.memcache.respond(response),
            Answer::Items { with_cas } => self.give_items(*with_cas),
            Answer::Meta { code, data } => self.give_meta(*code, data),
            Answer::MetaDebug { key, fields } => {
                let fields = fields.as_bytes();
                self.memcache.respond(&Response::MetaDebug { key, fields });
            }
            Answer::Stats(stats) => {
                for (name, value) in stats {
                    let (name, value) = (name.as_bytes(), value.as_bytes());
                    self.memcache.respond(&Response::Stat { name, value });
                }
                self.memcache.respond(&Response::End);
            }
            Answer::Listing(lines) => {
                for line in lines {
                    self.memcache.respond(&Response::Listing(line));
                }
                self.memcache.respond(&Response::End);
            }
        }
    }

    /// Gives the items found, as many as may wait to be written; the rest when they are.
    fn give_items(&mut self, with_cas: bool) {
        let mut given = 0;
        while given < AT_A_TIME {
            let Some(item) = self.commands.found.pop_front() else {
                self.giving = None;
                self.memcache.respond(&Response::End);
                return;
            };
            let (key, flags, data) = (item.key(), item.flags, item.value());
            let cas = with_cas.then_some(item.cas);
            if data.len() < SHARE_FROM {
                self.memcache.respond(&Response::Value(Value { key, flags, cas, data }));
            } else {
                self.memcache.respond_value(key, flags, cas, &item.shared_value());
            }
            given += data.len();
        }
        self.giving = Some(with_cas);
        self.memcache.hold_requests();
    }

    fn give_meta(&mut self, code: MetaCode, data: &MetaData) {
        let flags = self.commands.flags.flags();
        match data {
            MetaData::None => self.memcache.respond(&Response::Meta(MetaReply::new(code, flags))),
            MetaData::Item(item) if item.value().len() >= SHARE_FROM => {
                self.memcache.respond_meta_value(flags, &item.shared_value());
            }
            MetaData::Item(item) => {
                let reply = MetaReply::value(flags, item.value());
                self.memcache.respond(&Response::Meta(reply));
            }
            MetaData::Number(number) => {
                let reply = MetaReply::value(flags, number.as_bytes());
                self.memcache.respond(&Response::Meta(reply));
            }
        }
    }
}

impl Endpoint for Client {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.memcache.read_buffer()
    }

    fn wants_read(&self) -> bool {
        self.memcache.wants_read()
    }

    fn end_of_stream(&mut self) {
        self.memcache.end_of_stream();
    }

    fn shut_down(&mut self) {
        self.memcache.shut_down();
    }

    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        let time = Time::new(now);
        loop {
            match self.memcache.poll_output(now.instant) {
                Output::Request { request, data, .. } => {
                    let answer = self.commands.answer(&request, &data, time);
                    self.give(&answer);
                }
                Output::TooLarge { request } => self.commands.refuse_value(&request, time),
                Output::Write => return Next::Write,
                Output::CloseWrite => return Next::CloseWrite,
                Output::Close => return Next::Close,
                Output::Idle(until) => match self.giving {
                    Some(with_cas) if self.memcache.unsent(&mut [&[]]) == 0 => {
                        self.give_items(with_cas);
                    }
                    _ => return Next::Idle(until),
                },
            }
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.memcache.unsent(into)
    }

    fn wrote(&mut self, n: usize) {
        self.memcache.wrote(n);
    }

    fn release(&mut self) {
        self.memcache.release();
        self.commands.release();
    }
}
