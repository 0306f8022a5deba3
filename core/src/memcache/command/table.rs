//! The rows.

use super::{Arguments, Command, Complete, ReplyForm, Resolve, Row};
use crate::memcache::Dialect::{self, Darner, Kestrel, Memcached, Siberite};
use crate::memcache::Parsed;
use crate::memcache::meta::MetaCode;
use crate::memcache::request::{self, Message, Request, shutdown_mode};
use crate::memcache::response::Kind;
use crate::swar;

use Arguments as A;
use Command as C;
use Kind as K;
use MetaCode as M;
use ReplyForm as R;

const CACHE: &[Dialect] = &[Memcached];
const QUEUES: &[Dialect] = &[Kestrel, Darner, Siberite];
const KESTREL: &[Dialect] = &[Kestrel];
const ALL: &[Dialect] = &[Memcached, Kestrel, Darner, Siberite];

const GUIDE: &str = "kestrel's guide, \"Memcache\"";

/// A command, and how its request is made of what was parsed of its line and that line: alone, and as a
/// whole message, in the place where that is wanted. (To move a request that was just made waits until it
/// has been written.)
macro_rules! made {
    ($command:expr, |$spans:tt, $line:tt| $request:expr) => {
        Made {
            command: $command,
            resolve: |$spans, $line| $request,
            complete: |$spans, $line, data, consumed| {
                let message = Message { request: $request, data };
                Ok(Parsed::Complete { message, consumed })
            },
        }
    };
}

/// What [`made`] gives.
struct Made {
    command: Command,
    resolve: Resolve,
    complete: Complete,
}

const fn line(
    verb: &'static str,
    Made { command, resolve, complete }: Made,
    dialects: &'static [Dialect],
    arguments: Arguments,
    form: ReplyForm,
    replies: &'static [Kind],
    (summary, source): (&'static str, &'static str),
) -> Row {
    Row {
        command,
        head: swar::start(verb.as_bytes()),
        parse: request::parser(arguments),
        resolve,
        complete,
        verb,
        dialects,
        arguments,
        data: false,
        form,
        replies,
        allowed: allowed(replies),
        quiet: &[],
        summary,
        source,
    }
}

/// The set of these and the errors.
const fn allowed(replies: &[Kind]) -> u32 {
    let mut set = K::Error.bit() | K::ClientError.bit() | K::ServerError.bit();
    let mut at = 0;
    while at < replies.len() {
        set |= replies[at].bit();
        at += 1;
    }
    set
}

const fn with_data(row: Row) -> Row {
    Row { data: true, ..row }
}

const fn quiet(row: Row, quiet: &'static [MetaCode]) -> Row {
    Row { quiet, ..row }
}

const STORED: &[Kind] = &[K::Stored, K::NotStored];

const fn store(verb: &'static str, made: Made, summary: &'static str) -> Row {
    with_data(line(verb, made, CACHE, A::Store, R::One, STORED, (summary, "Storage commands")))
}

const fn admin(
    verb: &'static str,
    command: Command,
    form: ReplyForm,
    replies: &'static [Kind],
    about: (&'static str, &'static str),
) -> Row {
    let made = made!(command, |spans, line| Request::Admin {
        command: spans.command(),
        arguments: spans.rest(line),
        noreply: spans.noreply(),
    });
    line(verb, made, CACHE, A::Admin, form, replies, about)
}

/// Every command. `s` is what was parsed of a line, `l` the line: together they make the request.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    line("get", made!(C::Get, |s, l| Request::Get(s.keys(l))),
        CACHE, A::Keys, R::Many, &[K::Value, K::End],
        ("fetches items", "Retrieval command")),
    store("set", made!(C::Set, |s, l| Request::Set(s.store(l))),
        "stores an item, whatever was there"),
    line("get", made!(C::Get, |s, l| Request::QueueRead(s.queue_read(l))),
        QUEUES, A::QueueRead, R::Many, &[K::Value, K::End],
        ("takes, opens, confirms, puts back or looks at an item", GUIDE)),
    with_data(line("set", made!(C::Set, |s, l| if s.has_option() { Request::SetSync(s.store(l)) } else { Request::Set(s.store(l)) }),
        QUEUES, A::QueueStore, R::One, STORED,
        ("appends an item to a queue", GUIDE))),
    quiet(line("mg", made!(C::MetaGet, |s, l| Request::MetaGet(s.meta(l))),
        CACHE, A::Meta, R::One,
        &[K::Meta(M::Value), K::Meta(M::Done), K::Meta(M::Miss)],
        ("fetches an item and what is known of it", "Meta Get")), &[M::Miss]),
    quiet(with_data(line("ms", made!(C::MetaSet, |s, l| Request::MetaSet(s.meta(l))),
        CACHE, A::MetaStore, R::One,
        &[K::Meta(M::Done), K::Meta(M::NotStored), K::Meta(M::Exists), K::Meta(M::NotFound)],
        ("stores an item", "Meta Set"))), &[M::Done]),
    quiet(line("md", made!(C::MetaDelete, |s, l| Request::MetaDelete(s.meta(l))),
        CACHE, A::Meta, R::One,
        &[K::Meta(M::Done), K::Meta(M::NotFound), K::Meta(M::Exists), K::Meta(M::NotStored)],
        ("deletes an item or marks it stale", "Meta Delete")), &[M::Done]),
    quiet(line("ma", made!(C::MetaArithmetic, |s, l| Request::MetaArithmetic(s.meta(l))),
        CACHE, A::Meta, R::One,
        &[K::Meta(M::Done), K::Meta(M::Value), K::Meta(M::NotFound), K::Meta(M::NotStored), K::Meta(M::Exists)],
        ("adds to a number or subtracts from it", "Meta Arithmetic")), &[M::Done, M::Value]),
    line("mn", made!(C::MetaNoop, |_, _| Request::MetaNoop),
        CACHE, A::None, R::One, &[K::MetaNoop],
        ("answers: a mark behind quiet requests", "Meta No-Op")),
    line("me", made!(C::MetaDebug, |s, l| Request::MetaDebug { key: s.key(l), base64: s.has_option() }),
        CACHE, A::MetaDebug, R::One, &[K::MetaDebug, K::Meta(M::Miss)],
        ("tells what is known of an item", "Meta Debug")),
    line("gets", made!(C::Gets, |s, l| Request::Gets(s.keys(l))),
        CACHE, A::Keys, R::Many, &[K::Value, K::End],
        ("fetches items with their cas uniques", "Retrieval command")),
    line("gat", made!(C::Gat, |s, l| Request::Gat { exptime: s.exptime(), keys: s.keys(l) }),
        CACHE, A::TouchKeys, R::Many, &[K::Value, K::End],
        ("fetches items and sets their exptime", "Get And Touch")),
    line("gats", made!(C::Gats, |s, l| Request::Gats { exptime: s.exptime(), keys: s.keys(l) }),
        CACHE, A::TouchKeys, R::Many, &[K::Value, K::End],
        ("fetches items with their cas uniques and sets their exptime", "Get And Touch")),
    store("add", made!(C::Add, |s, l| Request::Add(s.store(l))),
        "stores an item only where none was there"),
    store("replace", made!(C::Replace, |s, l| Request::Replace(s.store(l))),
        "stores an item only where one was there"),
    store("append", made!(C::Append, |s, l| Request::Append(s.store(l))),
        "puts data behind what is there"),
    store("prepend", made!(C::Prepend, |s, l| Request::Prepend(s.store(l))),
        "puts data before what is there"),
    with_data(line("cas", made!(C::Cas, |s, l| Request::Cas { store: s.store(l), unique: s.unsigned() }),
        CACHE, A::Cas, R::One,
        &[K::Stored, K::Exists, K::NotFound, K::NotStored],
        ("stores an item only where it has not changed", "Storage commands"))),
    with_data(line("set", made!(C::Authenticate, |s, l| Request::Authenticate { user: s.key(l), password: s.rest(l) }),
        ALL, A::Credentials, R::One, &[K::Stored],
        ("authenticates: the first `set` where the server asks for it; the block is `<user> <password>`", "Authentication"))),
    line("delete", made!(C::Delete, |s, l| Request::Delete { key: s.key(l), noreply: s.noreply() }),
        CACHE, A::Delete, R::One, &[K::Deleted, K::NotFound],
        ("deletes an item", "Deletion")),
    line("incr", made!(C::Incr, |s, l| Request::Incr { key: s.key(l), delta: s.unsigned(), noreply: s.noreply() }),
        CACHE, A::Delta, R::One, &[K::Number, K::NotFound],
        ("adds to a number", "Increment/Decrement")),
    line("decr", made!(C::Decr, |s, l| Request::Decr { key: s.key(l), delta: s.unsigned(), noreply: s.noreply() }),
        CACHE, A::Delta, R::One, &[K::Number, K::NotFound],
        ("subtracts from a number", "Increment/Decrement")),
    line("touch", made!(C::Touch, |s, l| Request::Touch { key: s.key(l), exptime: s.exptime(), noreply: s.noreply() }),
        CACHE, A::Touch, R::One, &[K::Touched, K::NotFound],
        ("sets an item's exptime", "Touch")),
    line("version", made!(C::Version, |_, _| Request::Version),
        CACHE, A::None, R::One, &[K::Version],
        ("tells the server's version", "Other commands")),
    line("stats", made!(C::Stats, |s, l| Request::Stats { arguments: s.rest(l) }),
        CACHE, A::Words, R::Many,
        &[K::Stat, K::Listing, K::End, K::Reset, K::Ok],
        ("tells statistics, by argument: none, `settings`, `items`, `sizes`, `slabs`, `conns`, `detail`, `cachedump`, `reset`", "Statistics")),
    line("flush_all", made!(C::FlushAll, |s, _| Request::FlushAll { delay: s.optional_exptime(), noreply: s.noreply() }),
        CACHE, A::Delay, R::One, &[K::Ok],
        ("invalidates every item, now or later", "Other commands")),
    line("verbosity", made!(C::Verbosity, |s, _| Request::Verbosity { level: s.unsigned_32(), noreply: s.noreply() }),
        CACHE, A::Verbosity, R::One, &[K::Ok],
        ("sets how much is logged", "Other commands")),
    line("quit", made!(C::Quit, |_, _| Request::Quit),
        CACHE, A::None, R::Nothing, &[],
        ("closes the connection", "Other commands")),
    line("shutdown", made!(C::Shutdown, |s, l| Request::Shutdown { mode: shutdown_mode(s.rest(l)) }),
        CACHE, A::ShutdownMode, R::Nothing, &[K::Line],
        ("stops the server, where that is allowed", "Other commands")),
    line("cache_memlimit", made!(C::CacheMemlimit, |s, _| Request::CacheMemlimit { megabytes: s.unsigned_32(), noreply: s.noreply() }),
        CACHE, A::Megabytes, R::One, &[K::Ok, K::Line],
        ("sets how much memory the cache may use", "Other commands")),
    admin("slabs", C::Slabs, R::One, &[K::Ok, K::Line],
        ("moves memory between slab classes", "Slabs Reassign; Slabs Automove")),
    admin("lru", C::Lru, R::One, &[K::Ok],
        ("tunes the LRU", "LRU Tuning")),
    admin("lru_crawler", C::LruCrawler, R::Many,
        &[K::Ok, K::Line, K::Listing, K::End, K::Meta(M::Miss)],
        ("controls the LRU crawler; `metadump` and `mgdump` list items", "LRU_Crawler")),
    admin("watch", C::Watch, R::Endless, &[K::Ok, K::Line, K::Listing],
        ("turns the connection into a stream of log lines", "Watchers")),
    admin("extstore", C::Extstore, R::One, &[K::Ok],
        ("tunes storage on disk", "not in protocol.txt")),
    admin("refresh_certs", C::RefreshCerts, R::One, &[K::Ok, K::Line],
        ("reads TLS certificates again", "not in protocol.txt")),
    line("gets", made!(C::Gets, |s, l| Request::QueueRead(s.queue_read(l))),
        QUEUES, A::QueueRead, R::Many, &[K::Value, K::End],
        ("the same as `get`", GUIDE)),
    line("delete", made!(C::Delete, |s, l| Request::Delete { key: s.key(l), noreply: s.noreply() }),
        QUEUES, A::Queue, R::One, &[K::Deleted, K::End],
        ("deletes a queue; kestrel before 2.4 and siberite answer `END`", GUIDE)),
    line("flush", made!(C::Flush, |s, l| Request::Flush { queue: s.key(l) }),
        QUEUES, A::Queue, R::One, &[K::End],
        ("drops a queue's items", GUIDE)),
    line("flush_all", made!(C::FlushAll, |s, _| Request::FlushAll { delay: s.optional_exptime(), noreply: s.noreply() }),
        QUEUES, A::None, R::One, &[K::Line],
        ("drops every queue's items", GUIDE)),
    line("stats", made!(C::Stats, |s, l| Request::Stats { arguments: s.rest(l) }),
        QUEUES, A::Words, R::Many, &[K::Stat, K::End],
        ("tells statistics", GUIDE)),
    line("version", made!(C::Version, |_, _| Request::Version),
        QUEUES, A::None, R::One, &[K::Version],
        ("tells the server's version", GUIDE)),
    line("flush_expired", made!(C::FlushExpired, |s, l| Request::FlushExpired { queue: s.key(l) }),
        KESTREL, A::Queue, R::One, &[K::Number],
        ("drops a queue's items that have expired", "kestrel 2.4")),
    line("flush_all_expired", made!(C::FlushAllExpired, |_, _| Request::FlushAllExpired),
        KESTREL, A::None, R::One, &[K::Number],
        ("drops every queue's items that have expired", "kestrel 2.4")),
    line("monitor", made!(C::Monitor, |s, l| Request::Monitor { queue: s.key(l), seconds: s.unsigned_32(), max: s.optional_max() }),
        KESTREL, A::Monitor, R::Monitor, &[K::Value, K::End],
        ("hands out items as they arrive, as open reads", GUIDE)),
    line("confirm", made!(C::Confirm, |s, l| Request::Confirm { queue: s.key(l), count: s.unsigned_32() }),
        KESTREL, A::Confirm, R::One, &[K::End],
        ("closes open reads", GUIDE)),
    line("dump_stats", made!(C::DumpStats, |s, l| Request::DumpStats { queues: s.keys(l) }),
        KESTREL, A::Queues, R::Many, &[K::Listing, K::End],
        ("tells statistics by queue, to people", GUIDE)),
    line("dump_config", made!(C::DumpConfig, |s, l| Request::DumpConfig { queues: s.keys(l) }),
        KESTREL, A::Queues, R::Many, &[K::Listing, K::End],
        ("tells the configuration by queue, to people", "kestrel's guide, \"Configuration\"")),
    line("status", made!(C::Status, |s, l| Request::Status { new: s.optional_key(l) }),
        KESTREL, A::OptionalWord, R::One, &[K::Line, K::End],
        ("tells or sets the server's status", "kestrel's guide, \"Server Status\"")),
    line("reload", made!(C::Reload, |_, _| Request::Reload),
        KESTREL, A::None, R::One, &[K::Line],
        ("reads the configuration again", GUIDE)),
    line("roll", made!(C::Roll, |s, l| Request::Roll { queue: s.key(l) }),
        KESTREL, A::Queue, R::One, &[K::End],
        ("begins a new journal file", "kestrel before 2.4")),
    line("shutdown", made!(C::Shutdown, |s, l| Request::Shutdown { mode: shutdown_mode(s.rest(l)) }),
        KESTREL, A::None, R::Nothing, &[],
        ("stops the server", GUIDE)),
    line("quit", made!(C::Quit, |_, _| Request::Quit),
        &[Kestrel, Siberite], A::None, R::Nothing, &[],
        ("closes the connection", GUIDE)),
];
