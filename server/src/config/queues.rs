//! The bounds of queues: those of flags for all, those of a queue's table for it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use windhover_core::queue::{Config, Fsync, FsyncError, QueueConfig, check_name};

use super::file::{Quoted, Reader, write_set, written};
use crate::cli::ServeArgs;
use crate::dead_letters::{DEAD_LETTERS, DeadLetters};

/// A queue's table: what is not there is as for all queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueTable {
    /// `max-queue-items`.
    pub max_queue_items: Option<u64>,
    /// `max-queue-bytes`.
    pub max_queue_bytes: Option<u64>,
    /// `max-item-bytes`.
    pub max_item_bytes: Option<u64>,
    /// `max-item-age`; zero is no bound.
    pub max_item_age: Option<Duration>,
    /// `max-open-reads`.
    pub max_open_reads: Option<u64>,
    /// `discard-old`.
    pub discard_old: Option<bool>,
    /// `open-timeout`; zero is no bound.
    pub open_timeout: Option<Duration>,
    /// `max-queue-age`; zero is no bound.
    pub max_queue_age: Option<Duration>,
    /// `move-expired-to`.
    pub move_expired_to: Option<String>,
    /// `fanout-only`.
    pub fanout_only: Option<bool>,
    /// `fsync`.
    pub fsync: Option<Fsync>,
}

/// The names that a queue's table may have.
pub(super) const NAMES: &[&str] = &[
    "max-queue-items",
    "max-queue-bytes",
    "max-item-bytes",
    "max-item-age",
    "max-open-reads",
    "discard-old",
    "open-timeout",
    "max-queue-age",
    "move-expired-to",
    "fanout-only",
    "fsync",
];

impl QueueTable {
    /// Whether a queue of that name may have a table.
    pub(super) fn check_name(queue: &str) -> Result<(), String> {
        if queue == DEAD_LETTERS {
            return Err("the queue is the server's own; `dead-letter-bytes` bounds it".to_owned());
        }
        check_name(queue.as_bytes()).map_err(|why| why.to_string())
    }

    pub(super) fn read(table: &DeTable<'_>, read: &mut Reader<'_>) -> Self {
        let mut queue = Self::default();
        for (key, value) in table {
            let name = written(key.get_ref());
            match &*name {
                "max-queue-items" => queue.max_queue_items = number(&name, value, read),
                "max-queue-bytes" => queue.max_queue_bytes = number(&name, value, read),
                "max-item-bytes" => queue.max_item_bytes = number(&name, value, read),
                "max-item-age" => queue.max_item_age = seconds(&name, value, read),
                "max-open-reads" => queue.max_open_reads = number(&name, value, read),
                "discard-old" => queue.discard_old = switch(&name, value, read),
                "open-timeout" => queue.open_timeout = seconds(&name, value, read),
                "max-queue-age" => queue.max_queue_age = seconds(&name, value, read),
                "move-expired-to" => queue.move_expired_to = queue_name(&name, value, read),
                "fanout-only" => queue.fanout_only = switch(&name, value, read),
                "fsync" => queue.fsync = fsync(&name, value, read),
                _ => read.unknown(key.span(), key.get_ref(), NAMES.iter().copied()),
            }
        }
        queue
    }

    /// Sets what the table says.
    fn apply(&self, bounds: &mut QueueConfig) {
        let keep = |value: Option<u64>, bound: &mut u64| *bound = value.unwrap_or(*bound);
        keep(self.max_queue_items, &mut bounds.max_items);
        keep(self.max_queue_bytes, &mut bounds.max_bytes);
        keep(self.max_item_bytes, &mut bounds.max_item_bytes);
        if let Some(age) = self.max_item_age {
            bounds.max_age = Some(age).filter(|age| !age.is_zero());
        }
        if let Some(most) = self.max_open_reads {
            bounds.max_open_reads = usize::try_from(most).unwrap_or(usize::MAX);
        }
        bounds.discard_old = self.discard_old.unwrap_or(bounds.discard_old);
        bounds.fanout_only = self.fanout_only.unwrap_or(bounds.fanout_only);
        bounds.fsync = self.fsync.unwrap_or(bounds.fsync);
        if let Some(timeout) = self.open_timeout {
            bounds.open_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        if let Some(age) = self.max_queue_age {
            bounds.max_queue_age = Some(age).filter(|age| !age.is_zero());
        }
        if let Some(other) = &self.move_expired_to {
            bounds.move_expired_to = Some(other.clone().into());
        }
    }
}

/// The lines of its table.
impl fmt::Display for QueueTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always with a point, or an exponent.
        let seconds = |time: Option<Duration>| time.map(|time| format!("{:?}", time.as_secs_f64()));
        write_set(f, "max-queue-items", self.max_queue_items)?;
        write_set(f, "max-queue-bytes", self.max_queue_bytes)?;
        write_set(f, "max-item-bytes", self.max_item_bytes)?;
        write_set(f, "max-item-age", seconds(self.max_item_age))?;
        write_set(f, "max-open-reads", self.max_open_reads)?;
        write_set(f, "discard-old", self.discard_old)?;
        write_set(f, "open-timeout", seconds(self.open_timeout))?;
        write_set(f, "max-queue-age", seconds(self.max_queue_age))?;
        write_set(f, "move-expired-to", self.move_expired_to.as_deref().map(Quoted))?;
        write_set(f, "fanout-only", self.fanout_only)?;
        write_set(f, "fsync", self.fsync.map(|fsync| format!("\"{fsync}\"")))
    }
}

pub(super) fn number(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    read: &mut Reader<'_>,
) -> Option<u64> {
    let found = value.get_ref().as_integer();
    let number = found.and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
    if number.is_none() {
        read.wrong_type(name, value, "a whole number that is not negative");
    }
    number
}

/// The name of a queue that items can be put to.
pub(super) fn queue_name(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    read: &mut Reader<'_>,
) -> Option<String> {
    let Some(queue) = value.get_ref().as_str() else {
        read.wrong_type(name, value, "a queue's name");
        return None;
    };
    if let Err(why) = QueueTable::check_name(queue) {
        read.fault(value.span(), format!("`{name}`: {why}"));
        return None;
    }
    Some(queue.to_owned())
}

fn fsync(name: &str, value: &Spanned<DeValue<'_>>, read: &mut Reader<'_>) -> Option<Fsync> {
    let Some(text) = value.get_ref().as_str() else {
        read.wrong_type(name, value, "`always`, `never` or `interval=MS`, as text");
        return None;
    };
    let fsync = text.parse();
    fsync.map_err(|why: FsyncError| read.fault(value.span(), format!("`{name}`: {why}"))).ok()
}

fn switch(name: &str, value: &Spanned<DeValue<'_>>, read: &mut Reader<'_>) -> Option<bool> {
    let switch = value.get_ref().as_bool();
    if switch.is_none() {
        read.wrong_type(name, value, "`true` or `false`");
    }
    switch
}

/// A time of up to ten years.
fn seconds(name: &str, value: &Spanned<DeValue<'_>>, read: &mut Reader<'_>) -> Option<Duration> {
    let text = match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => "",
    };
    let seconds = text.parse().ok().filter(|s: &f64| (0.0..=315_360_000.0).contains(s));
    if seconds.is_none() {
        read.wrong_type(name, value, "a number of seconds up to 315360000, ten years");
    }
    seconds.map(Duration::from_secs_f64)
}

/// A number that is positive, whole or not.
pub(super) fn positive(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    read: &mut Reader<'_>,
) -> Option<f64> {
    let text = match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => "",
    };
    let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    if number.is_none() {
        read.wrong_type(name, value, "a positive number");
    }
    number
}

/// What flags and file say of the queues.
pub(crate) fn engine_config(args: &ServeArgs) -> Config {
    let mut config = Config::default();
    let all = &mut config.queue;
    all.max_items = args.max_queue_items.unwrap_or(u64::MAX);
    all.max_bytes = args.max_queue_bytes;
    all.max_item_bytes = args.max_item_bytes;
    all.max_age = args.max_item_age.filter(|age| !age.is_zero());
    all.max_open_reads = usize::try_from(args.max_open_reads).unwrap_or(usize::MAX);
    all.discard_old = args.discard_old;
    all.fsync = args.fsync;
    all.open_timeout = args.open_timeout.filter(|timeout| !timeout.is_zero());
    config.max_queues = usize::try_from(args.max_queues).unwrap_or(usize::MAX);
    let own = [&*args.queue_name, &args.engage_queue, &args.groups_queue, DEAD_LETTERS];
    let of_tokens = args.file.iter().flat_map(|file| file.tokens.values());
    let of_tokens = of_tokens.flat_map(|table| table.queues.names());
    let own: BTreeSet<&str> = own.into_iter().chain(of_tokens).collect();
    config.own_queues = own.into_iter().map(|name| name.to_owned().into()).collect();
    config.queue_memory = args.queue_memory;
    config.compact_from = args.segment_bytes.saturating_mul(4);
    if let Some(most) = args.max_journal_bytes {
        // Two segments for what is written of items that go and of those that are moved.
        config.max_journal_bytes = most.saturating_sub(args.segment_bytes.saturating_mul(2));
    }
    config.max_children = usize::try_from(args.max_children).unwrap_or(usize::MAX);
    if let Some(file) = &args.file {
        add_tables(&mut config, &file.queues);
        for (alias, named) in &file.aliases {
            let named = named.iter().map(|name| name.clone().into()).collect();
            config.aliases.insert(alias.clone().into(), named);
        }
    }
    let mut letters = DeadLetters::bounds(args.dead_letter_bytes);
    letters.fsync = args.fsync;
    config.queues.insert(DEAD_LETTERS.into(), letters);
    config
}

fn add_tables(config: &mut Config, tables: &BTreeMap<String, QueueTable>) {
    // A parent stands before those that follow it, which have what it has.
    for (name, table) in tables {
        let mut bounds = config.of(name.as_bytes()).clone();
        table.apply(&mut bounds);
        config.queues.insert(name.clone().into(), bounds);
    }
}
