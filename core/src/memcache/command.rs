//! The one table of commands: verb, dialect, arguments, data block, legal replies.
//!
//! Parsing dispatches from it and encoding takes its verbs from it. A new command is a row here,
//! a variant of [`Request`](super::request::Request) and, where its arguments have a shape that no other
//! command has, a function in `request/parse.rs` and one in `request/encode.rs`.

use super::Dialect;
use super::response::Kind;

/// A command by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// `get`
    Get,
    /// `gets`
    Gets,
    /// `set`
    Set,
    /// `delete`
    Delete,
    /// `version`
    Version,
    /// `verbosity`
    Verbosity,
    /// `stats`
    Stats,
    /// `flush_all`
    FlushAll,
    /// `quit`
    Quit,
    /// kestrel's `flush`
    Flush,
    /// kestrel's `flush_expired`
    FlushExpired,
    /// kestrel's `flush_all_expired`
    FlushAllExpired,
    /// kestrel's `shutdown`
    Shutdown,
    /// kestrel's `reload`
    Reload,
    /// kestrel's `status`
    Status,
}

/// The arguments that follow a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arguments {
    /// None; what stands there all the same is ignored, as by both servers.
    None,
    /// `<key>+`
    Keys,
    /// `<key> <flags> <exptime> <bytes> [noreply]`
    Store,
    /// `<key> [0] [noreply]`
    Delete,
    /// `<level> [noreply]`
    Verbosity,
    /// `[delay] [noreply]`
    Delay,
    /// `[word…]`
    Words,
    /// `<queue>[/option…]`
    QueueRead,
    /// `<queue> <flags> <exptime> <bytes>`
    QueueStore,
    /// `<queue>`
    Queue,
    /// `[word]`
    OptionalWord,
}

/// One row of the table: what there is to know about a command in a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The command.
    pub command: Command,
    /// How it is written, in lower case.
    pub verb: &'static str,
    /// The dialect that has it in this form.
    pub dialect: Dialect,
    /// What follows the verb.
    pub arguments: Arguments,
    /// Whether a data block follows the line.
    pub data: bool,
    /// The frames that may answer it. The three error lines may answer anything.
    pub replies: &'static [Kind],
}

impl Row {
    /// Whether a frame of that kind may be (part of) the answer.
    pub fn allows(&self, reply: Kind) -> bool {
        reply.is_error() || self.replies.contains(&reply)
    }
}

/// The row of a command, where the dialect has it.
pub fn row(command: Command, dialect: Dialect) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.command == command && row.dialect == dialect)
}

/// The row of a verb as it stands on the line: lower case in memcached's dialect, any in kestrel's.
pub fn find(verb: &[u8], dialect: Dialect) -> Option<&'static Row> {
    TABLE.iter().find(|row| {
        row.dialect == dialect
            && match dialect {
                Dialect::Memcached => row.verb.as_bytes() == verb,
                Dialect::Kestrel => row.verb.as_bytes().eq_ignore_ascii_case(verb),
            }
    })
}

use Arguments as A;
use Command as C;
use Dialect::{Kestrel, Memcached};
use Kind as K;

const fn line(
    verb: &'static str,
    command: Command,
    dialect: Dialect,
    arguments: Arguments,
    replies: &'static [Kind],
) -> Row {
    Row { command, verb, dialect, arguments, data: false, replies }
}

const fn with_data(row: Row) -> Row {
    Row { data: true, ..row }
}

/// Every command; the search is from the top, so the frequent ones come first.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    line("get", C::Get, Memcached, A::Keys, &[K::Value, K::End]),
    with_data(line("set", C::Set, Memcached, A::Store, &[K::Stored, K::NotStored])),
    line("get", C::Get, Kestrel, A::QueueRead, &[K::Value, K::End]),
    with_data(line("set", C::Set, Kestrel, A::QueueStore, &[K::Stored, K::NotStored])),
    line("gets", C::Gets, Memcached, A::Keys, &[K::Value, K::End]),
    line("delete", C::Delete, Memcached, A::Delete, &[K::Deleted, K::NotFound]),
    line("version", C::Version, Memcached, A::None, &[K::Version]),
    line("stats", C::Stats, Memcached, A::Words, &[K::Stat, K::End, K::Reset, K::Ok]),
    line("flush_all", C::FlushAll, Memcached, A::Delay, &[K::Ok]),
    line("verbosity", C::Verbosity, Memcached, A::Verbosity, &[K::Ok]),
    line("quit", C::Quit, Memcached, A::None, &[]),
    line("gets", C::Gets, Kestrel, A::QueueRead, &[K::Value, K::End]),
    line("delete", C::Delete, Kestrel, A::Queue, &[K::Deleted, K::End]),
    line("flush", C::Flush, Kestrel, A::Queue, &[K::End]),
    line("flush_all", C::FlushAll, Kestrel, A::None, &[K::Line]),
    line("flush_expired", C::FlushExpired, Kestrel, A::Queue, &[K::Number]),
    line("flush_all_expired", C::FlushAllExpired, Kestrel, A::None, &[K::Number]),
    line("stats", C::Stats, Kestrel, A::Words, &[K::Stat, K::End]),
    line("version", C::Version, Kestrel, A::None, &[K::Version]),
    line("status", C::Status, Kestrel, A::OptionalWord, &[K::Line, K::End]),
    line("reload", C::Reload, Kestrel, A::None, &[K::Line]),
    line("shutdown", C::Shutdown, Kestrel, A::None, &[]),
    line("quit", C::Quit, Kestrel, A::None, &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_has_one_row_in_a_dialect_and_is_in_lower_case() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.verb, row.verb.to_ascii_lowercase());
            assert_eq!(find(row.verb.as_bytes(), row.dialect), Some(row));
            assert_eq!(super::row(row.command, row.dialect), Some(row));
            for other in &TABLE[at + 1..] {
                assert!(row.dialect != other.dialect || row.verb != other.verb);
            }
        }
    }

    #[test]
    fn case_matters_to_memcached_alone() {
        assert_eq!(find(b"GET", Memcached), None);
        assert_eq!(find(b"GeT", Kestrel).map(|row| row.command), Some(C::Get));
        assert_eq!(find(b"flush", Memcached), None);
    }

    #[test]
    fn errors_may_answer_anything() {
        for row in TABLE {
            assert!(row.allows(K::ServerError));
            assert!(!row.data || row.allows(K::Stored));
        }
        assert!(!row(C::Get, Memcached).is_some_and(|row| row.allows(K::Stored)));
    }
}
