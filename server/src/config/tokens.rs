//! What flags and file say of tokens.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Quoted, Reader, write_set, written};
use super::queues::{number, positive, queue_name};
use crate::cli::ServeArgs;
use crate::tokens::{TokenPolicy, TokenQueues, TokenRate, TokenRules};

/// A token's table.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TokenTable {
    /// `rate`: records a second.
    pub rate: Option<f64>,
    /// `burst`: records at once.
    pub burst: Option<u64>,
    /// `queue-name`, `engage-queue` and `groups-queue`: queues of its own.
    pub queues: TokenQueues,
}

/// The names that a token's table may have.
const NAMES: &[&str] = &["rate", "burst", "queue-name", "engage-queue", "groups-queue"];

impl TokenTable {
    pub(super) fn read(table: &DeTable<'_>, read: &mut Reader<'_>) -> Self {
        let mut token = Self::default();
        for (key, value) in table {
            let name = written(key.get_ref());
            match &*name {
                "rate" => token.rate = positive(&name, value, read),
                "burst" => token.burst = number(&name, value, read),
                "queue-name" => token.queues.events = records_queue(&name, value, read),
                "engage-queue" => token.queues.engage = records_queue(&name, value, read),
                "groups-queue" => token.queues.groups = records_queue(&name, value, read),
                _ => read.unknown(key.span(), key.get_ref(), NAMES.iter().copied()),
            }
        }
        token
    }
}

/// The lines of its table.
impl fmt::Display for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_set(f, "rate", self.rate.map(|rate| format!("{rate:?}")))?;
        write_set(f, "burst", self.burst)?;
        write_set(f, "queue-name", self.queues.events.as_deref().map(Quoted))?;
        write_set(f, "engage-queue", self.queues.engage.as_deref().map(Quoted))?;
        write_set(f, "groups-queue", self.queues.groups.as_deref().map(Quoted))
    }
}

/// A queue that records are put to: none that follows another one, which others put to as well.
fn records_queue(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    read: &mut Reader<'_>,
) -> Option<String> {
    let queue = queue_name(name, value, read)?;
    if queue.contains('+') {
        let why = format!("`{name}`: `{queue}` is the name of a queue that follows another one");
        read.fault(value.span(), why);
        return None;
    }
    Some(queue)
}

/// What holds of tokens.
pub(crate) fn token_policy(args: &ServeArgs) -> TokenPolicy {
    let mut policy = TokenPolicy {
        known_only: args.known_tokens,
        rate: args.token_rate.map(|rate| TokenRate::new(rate, args.token_burst)),
        ..TokenPolicy::default()
    };
    for (token, table) in args.file.iter().flat_map(|file| &file.tokens) {
        let rate = table.rate.or(args.token_rate).map(|rate| {
            TokenRate::new(rate, table.burst.or(args.token_burst.filter(|_| table.rate.is_none())))
        });
        policy.tokens.insert(token.clone(), TokenRules { rate, queues: table.queues.clone() });
    }
    policy
}
