//! The one table of commands: verb, dialects, arguments, data block, legal replies.
//!
//! Parsing dispatches from it and makes requests by it, encoding takes its verbs from it, and
//! `docs/commands.md` is drawn from it. A new command is a row of [`TABLE`] with the way from its
//! parsed line to its request, a [`Command`] and a variant of [`Request`]; and, where its arguments
//! have a shape that no other command has, one of [`Arguments`] with a parser. The compiler names
//! every match that wants an arm.

mod table;

use super::meta::MetaCode;
use super::request::{Message, Parse, Request, RequestError, RequestSpans};
use super::response::Kind;
use super::span::Scanner;
use super::{Dialect, Parsed};
use crate::swar;

pub use table::TABLE;

/// A command by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as the variants of `Request` and the verbs of the table")]
pub enum Command {
    Get,
    Gets,
    Gat,
    Gats,
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
    /// The `set` that authenticates.
    Authenticate,
    Delete,
    Incr,
    Decr,
    Touch,
    MetaGet,
    MetaSet,
    MetaDelete,
    MetaArithmetic,
    MetaDebug,
    MetaNoop,
    Version,
    Verbosity,
    Stats,
    FlushAll,
    CacheMemlimit,
    Slabs,
    Lru,
    LruCrawler,
    Watch,
    Extstore,
    RefreshCerts,
    Shutdown,
    Quit,
    Flush,
    FlushExpired,
    FlushAllExpired,
    Monitor,
    Confirm,
    DumpStats,
    DumpConfig,
    Roll,
    Reload,
    Status,
}

/// The arguments that follow a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arguments {
    /// None; what stands there all the same is ignored, as by the servers.
    None,
    /// `<key>+`
    Keys,
    /// `<exptime> <key>*`
    TouchKeys,
    /// `<key> <flags> <exptime> <bytes> [noreply]`
    Store,
    /// `<key> <flags> <exptime> <bytes> <cas unique> [noreply]`
    Cas,
    /// `<key> <flags> <exptime> <bytes>`, none of them looked at but the last
    Credentials,
    /// `<key> [0] [noreply]`
    Delete,
    /// `<key> <delta> [noreply]`
    Delta,
    /// `<key> <exptime> [noreply]`
    Touch,
    /// `<key> <flag>*`
    Meta,
    /// `<key> <datalen> <flag>*`
    MetaStore,
    /// `<key> [b]`
    MetaDebug,
    /// `<level> [noreply]`
    Verbosity,
    /// `[delay] [noreply]`
    Delay,
    /// `<megabytes> [noreply]`
    Megabytes,
    /// `[word…]`
    Words,
    /// `[word…] [noreply]`, handed on as it is
    Admin,
    /// `[graceful]`
    ShutdownMode,
    /// `<queue>[/option…]`
    QueueRead,
    /// `<queue> <flags> <exptime> <bytes>`
    QueueStore,
    /// `<queue>`
    Queue,
    /// `[queue…]`
    Queues,
    /// `<queue> <seconds> [max]`
    Monitor,
    /// `<queue> <count>`
    Confirm,
    /// `[word]`
    OptionalWord,
}

impl Arguments {
    /// How they are written.
    pub const fn form(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Keys => "<key>+",
            Self::TouchKeys => "<exptime> <key>*",
            Self::Store => "<key> <flags> <exptime> <bytes> [noreply]",
            Self::Cas => "<key> <flags> <exptime> <bytes> <cas unique> [noreply]",
            Self::Credentials => "<key> <flags> <exptime> <bytes>",
            Self::QueueStore => "<queue> <flags> <exptime> <bytes>",
            Self::Delete => "<key> [0] [noreply]",
            Self::Delta => "<key> <delta> [noreply]",
            Self::Touch => "<key> <exptime> [noreply]",
            Self::Meta => "<key> <flag>*",
            Self::MetaStore => "<key> <datalen> <flag>*",
            Self::MetaDebug => "<key> [b]",
            Self::Verbosity => "<level> [noreply]",
            Self::Delay => "[delay] [noreply]",
            Self::Megabytes => "<megabytes> [noreply]",
            Self::Words => "[word…]",
            Self::Admin => "[word…] [noreply]",
            Self::ShutdownMode => "[graceful]",
            Self::QueueRead => "<queue>[/option…]",
            Self::Queue => "<queue>",
            Self::Queues => "[queue…]",
            Self::Monitor => "<queue> <seconds> [max]",
            Self::Confirm => "<queue> <count>",
            Self::OptionalWord => "[word]",
        }
    }
}

/// How many frames a reply has, and which one ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyForm {
    /// One frame.
    One,
    /// Any number of `VALUE`, `STAT` or listing frames, then `END`; or one other frame.
    Many,
    /// As [`Many`](Self::Many) with a single `VALUE` at most, over and over, until an `END` that no
    /// `VALUE` precedes.
    Monitor,
    /// `OK`, then lines until the connection is closed; or one error.
    Endless,
    /// None: the connection is closed. An error may come all the same.
    Nothing,
}

/// One row of the table: what there is to know about a command in a dialect.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Row {
    /// The command.
    pub command: Command,
    /// How it is written, in lower case.
    pub verb: &'static str,
    /// The dialects that have it in this form.
    pub dialects: &'static [Dialect],
    /// What follows the verb: how it is parsed and encoded.
    pub arguments: Arguments,
    /// The verb's first eight bytes, as they are compared with a line's.
    pub(crate) head: u64,
    /// Parses what follows the verb.
    pub(crate) parse: Parse,
    /// Makes the request from what was parsed of its line, and that line.
    pub(crate) resolve: Resolve,
    /// Makes the whole message of the same, its data block and its length.
    pub(crate) complete: Complete,
    /// Whether a data block follows the line.
    pub data: bool,
    /// How its reply is built.
    pub form: ReplyForm,
    /// The frames that may answer it. The three error lines may answer anything.
    pub replies: &'static [Kind],
    /// They and the errors, as a set of [bits](Kind::bit).
    pub(crate) allowed: u32,
    /// The answers that the meta flag `q` hides, as memcached does.
    pub quiet: &'static [MetaCode],
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The section of protocol.txt, or of another server's documents, that it follows.
    pub source: &'static str,
}

/// Makes a request from what was parsed of its line, and that line.
pub(crate) type Resolve = for<'a> fn(&RequestSpans, &'a [u8]) -> Request<'a>;

/// Makes a message from what was parsed of its line, that line, its data block and the length of both.
pub(crate) type Complete = for<'a> fn(
    &RequestSpans,
    &'a [u8],
    &'a [u8],
    usize,
) -> Result<Parsed<Message<'a>>, RequestError>;

/// A row is the only one of its command in each of its dialects.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.command == other.command && self.dialects == other.dialects
    }
}

impl Eq for Row {}

impl Row {
    /// Whether a frame of that kind may be (part of) the answer.
    pub fn allows(&self, reply: Kind) -> bool {
        self.allowed & reply.bit() != 0
    }
}

/// The row of a command, where the dialect has it.
///
/// ```
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::command::{Arguments, Command, row};
///
/// // The same verb, and another form.
/// let arguments = |dialect| row(Command::Get, dialect).map(|row| row.arguments);
/// assert_eq!(arguments(Dialect::Memcached), Some(Arguments::Keys));
/// assert_eq!(arguments(Dialect::Kestrel), Some(Arguments::QueueRead));
/// ```
#[inline]
pub fn row(command: Command, dialect: Dialect) -> Option<&'static Row> {
    *BY_COMMAND.get(dialect as usize)?.get(command as usize)?
}

/// The row of a verb as it stands on the line: lower case in memcached's dialect, any in a queue's.
///
/// ```
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::command::{Arguments, Command, ReplyForm, Row, find};
/// use windhover_core::memcache::response::Kind;
///
/// let touch: Option<&Row> = find(b"touch", Dialect::Memcached);
/// let touch = touch.expect("memcached has it");
/// assert_eq!((touch.command, touch.arguments), (Command::Touch, Arguments::Touch));
/// assert_eq!((touch.form, touch.data), (ReplyForm::One, false));
/// assert!(touch.allows(Kind::Touched) && !touch.allows(Kind::Stored));
/// // Queues know nothing of it, and read verbs in any case.
/// assert_eq!(find(b"touch", Dialect::Kestrel), None);
/// assert!(find(b"FLUSH", Dialect::Kestrel).is_some());
/// ```
pub fn find(verb: &[u8], dialect: Dialect) -> Option<&'static Row> {
    let row = by_verb(swar::start(verb), verb.len(), dialect)?;
    let found = if dialect.is_queue() {
        row.verb.as_bytes().eq_ignore_ascii_case(verb)
    } else {
        row.verb.as_bytes() == verb
    };
    found.then_some(row)
}

/// The row of the first word of a line, which is read.
#[inline]
pub(crate) fn read_verb(line: &mut Scanner<'_>, dialect: Dialect) -> Option<&'static Row> {
    // A short verb is found and compared in the register that it was read into.
    if let Some(eight) = line.rest().first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let length = swar::unmarked(swar::equal(eight, b' '));
        if length < 8 {
            let head = swar::first_bytes(eight, length);
            let row = by_verb(head, length, dialect)
                .filter(|row| row.head == head && row.verb.len() == length);
            if row.is_some() {
                line.skip(length);
                return row;
            }
        }
    }
    // Before a verb, only queue servers take spaces.
    if line.rest().starts_with(b" ") && !dialect.is_queue() {
        return None;
    }
    let verb = line.word().unwrap_or_default();
    find(verb.of(line.text()), dialect)
}

/// The only row that may be of a verb of that length and with these first eight bytes.
#[inline]
fn by_verb(head: u64, length: usize, dialect: Dialect) -> Option<&'static Row> {
    *BY_VERB.get(dialect as usize)?.get(place(head, length))?
}

/// So many that no two verbs of a dialect meet in one place.
const PLACES: usize = 128;

/// Where in its index a verb stands; its case does not matter.
#[inline]
const fn place(head: u64, length: usize) -> usize {
    const FACTOR: u64 = 0x63ca_828d_d5f4_b3b3;
    // The highest bits of a product depend on all bits of its factors. So many places take seven.
    let [highest, ..] = ((head | LOWER_CASE) ^ length as u64).wrapping_mul(FACTOR).to_be_bytes();
    (highest >> 1) as usize
}

const LOWER_CASE: u64 = u64::from_le_bytes([0x20; 8]);

type Rows<const N: usize> = [[Option<&'static Row>; N]; Dialect::ALL.len()];

/// For each dialect the row of the verb whose place it is.
static BY_VERB: Rows<PLACES> = {
    let mut rows: Rows<PLACES> = [[None; PLACES]; Dialect::ALL.len()];
    let mut at = 0;
    while at < TABLE.len() {
        let row = &TABLE[at];
        let mut dialect = 0;
        while dialect < row.dialects.len() {
            let here = place(row.head, row.verb.len());
            let here = &mut rows[row.dialects[dialect] as usize][here];
            // Not a verb's, but the first `set`'s on a connection that asks for it.
            if !matches!(row.command, Command::Authenticate) {
                assert!(here.is_none(), "two verbs meet: choose another factor in `place`");
                *here = Some(row);
            }
            dialect += 1;
        }
        at += 1;
    }
    rows
};

/// How many commands there are.
const COMMANDS: usize = Command::Status as usize + 1;

/// For each dialect the row of each of its commands.
static BY_COMMAND: Rows<COMMANDS> = {
    let mut rows: Rows<COMMANDS> = [[None; COMMANDS]; Dialect::ALL.len()];
    let mut at = 0;
    while at < TABLE.len() {
        let row = &TABLE[at];
        let mut dialect = 0;
        while dialect < row.dialects.len() {
            let here = &mut rows[row.dialects[dialect] as usize][row.command as usize];
            assert!(here.is_none(), "a command has two rows in a dialect");
            *here = Some(row);
            dialect += 1;
        }
        at += 1;
    }
    rows
};

#[cfg(test)]
mod tests {
    use super::*;
    use Command as C;
    use Dialect::{Darner, Kestrel, Memcached, Siberite};
    use Kind as K;

    #[test]
    fn a_verb_has_one_row_in_a_dialect_and_is_in_lower_case() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.verb, row.verb.to_ascii_lowercase());
            assert!(!row.summary.is_empty() && !row.source.is_empty());
            for &dialect in row.dialects {
                assert_eq!(super::row(row.command, dialect), Some(row));
                if row.command == C::Authenticate {
                    continue;
                }
                assert_eq!(find(row.verb.as_bytes(), dialect), Some(row));
                for other in &TABLE[at + 1..] {
                    let same = row.verb == other.verb && other.dialects.contains(&dialect);
                    assert!(!same || other.command == C::Authenticate, "{row:?}");
                }
            }
        }
    }

    #[test]
    fn case_matters_to_memcached_alone() {
        assert_eq!(find(b"GET", Memcached), None);
        for dialect in [Kestrel, Darner, Siberite] {
            assert_eq!(find(b"GeT", dialect).map(|row| row.command), Some(C::Get));
        }
        assert_eq!(find(b"flush", Memcached), None);
    }

    #[test]
    fn a_dialect_has_its_own_commands() {
        for (verb, having) in [
            ("monitor", &[Kestrel][..]),
            ("quit", &[Memcached, Kestrel, Siberite]),
            ("delete", &[Memcached, Kestrel, Darner, Siberite]),
            ("mg", &[Memcached]),
            ("dump_config", &[Kestrel]),
        ] {
            for dialect in Dialect::ALL {
                let found = find(verb.as_bytes(), dialect).is_some();
                assert_eq!(found, having.contains(&dialect), "{verb} {dialect:?}");
            }
        }
    }

    #[test]
    fn errors_may_answer_anything() {
        for row in TABLE {
            assert!(row.allows(K::ServerError));
            let stored = row.allows(K::Stored) || row.allows(K::Meta(MetaCode::Done));
            assert!(!row.data || stored);
        }
        assert!(!row(C::Get, Memcached).is_some_and(|row| row.allows(K::Stored)));
    }

    #[test]
    fn a_reply_is_allowed_where_the_row_lists_it() {
        let all = TABLE.iter().flat_map(|row| row.replies).chain(&[K::Error]);
        for &kind in all {
            for row in TABLE {
                let listed = row.replies.contains(&kind);
                assert_eq!(row.allows(kind), listed || kind.is_error(), "{kind:?} to {}", row.verb);
            }
        }
    }

    #[test]
    fn what_is_hidden_may_be_answered() {
        for row in TABLE {
            assert!(row.quiet.iter().all(|&code| row.replies.contains(&K::Meta(code))));
        }
    }
}
