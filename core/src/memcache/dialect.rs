//! The dialects of the text protocol.

/// Which rules apply to a connection. They differ in commands, in case and in what follows an
/// error; the lines and data blocks are the same.
///
/// | | [`Memcached`](Self::Memcached) | the queue servers |
/// |---|---|---|
/// | verbs | lower case | any case |
/// | `noreply` | nothing is answered | not known: the answer is sent all the same |
/// | a request that cannot be taken | an error, then the next line | `CLIENT_ERROR`, then a disconnect |
/// | a key | any bytes but space and line end | a queue's name, in `get` with `/options` behind it |
///
/// Darner and siberite were written after kestrel and speak less and differently. Which commands
/// each has is in the [table](super::command::TABLE), how they read names and options in
/// [`QUEUE_RULES`]. As a server, [`ServerConnection`](super::ServerConnection) answers errors as
/// kestrel does in all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// memcached's own protocol (its `protocol.txt`).
    Memcached,
    /// The queue protocol of kestrel (its guide, "Memcache").
    Kestrel,
    /// The queue protocol as darner speaks it (its readme and grammar).
    Darner,
    /// The queue protocol as siberite speaks it (its readme).
    Siberite,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::Memcached, Self::Kestrel, Self::Darner, Self::Siberite];

    /// Whether it is a queue server's.
    pub const fn is_queue(self) -> bool {
        !matches!(self, Self::Memcached)
    }

    /// How its server reads names and options; `None` where it is no queue server's.
    pub const fn queue_rules(self) -> Option<&'static QueueRules> {
        match self {
            Self::Memcached => None,
            Self::Kestrel => Some(&KESTREL),
            Self::Darner => Some(&DARNER),
            Self::Siberite => Some(&SIBERITE),
        }
    }
}

/// How a queue server reads names and options: what darner and siberite changed or added.
///
/// ```
/// use windhover_core::memcache::{Dialect, QueueRules};
///
/// let rules = |dialect: Dialect| -> Option<&QueueRules> { dialect.queue_rules() };
/// // Siberite's consumer groups: `get events.mail` reads `events` for the group `mail`.
/// assert_eq!(rules(Dialect::Siberite).and_then(|rules| rules.group_separator), Some(b'.'));
/// assert_eq!(rules(Dialect::Kestrel).and_then(|rules| rules.group_separator), None);
/// assert_eq!(rules(Dialect::Memcached), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "a table's row: each is a column of its own")]
pub struct QueueRules {
    /// Whose rules they are.
    pub dialect: Dialect,
    /// Bytes that a name may not hold.
    pub reserved: &'static [u8],
    /// Whether a name may hold printable ASCII only.
    pub printable_names: bool,
    /// What stands between a queue and a consumer group (cursor) in the name to `get`.
    pub group_separator: Option<u8>,
    /// What `a+b` names.
    pub plus: &'static str,
    /// Whether options may be in any case.
    pub options_in_any_case: bool,
    /// Whether an option that is not known is ignored; else the request is refused.
    pub ignores_unknown_options: bool,
    /// Whether options may come in any order and twice; else `close` comes before `open`, and each
    /// once.
    pub options_in_any_order: bool,
    /// Whether `/peek/close` is taken, and means `/close`; else it is refused.
    pub closes_before_peek: bool,
    /// Whether the time behind `t=` may have a sign; below 0 it does not wait.
    pub signed_time: bool,
    /// Whether `set` knows the option `/sync`: the answer comes when the item is on disk.
    pub sync: bool,
    /// Whether items expire; else the exptime is read and ignored.
    pub expires: bool,
}

const KESTREL: QueueRules = QueueRules {
    dialect: Dialect::Kestrel,
    reserved: b"/~.",
    printable_names: false,
    group_separator: None,
    plus: "the fan-out queue `b` of `a`",
    options_in_any_case: false,
    ignores_unknown_options: true,
    options_in_any_order: true,
    closes_before_peek: false,
    signed_time: true,
    sync: false,
    expires: true,
};

const DARNER: QueueRules = QueueRules {
    dialect: Dialect::Darner,
    reserved: b"/",
    printable_names: true,
    group_separator: None,
    plus: "a queue of that name",
    options_in_any_case: true,
    ignores_unknown_options: false,
    options_in_any_order: true,
    closes_before_peek: true,
    signed_time: false,
    sync: true,
    expires: false,
};

const SIBERITE: QueueRules = QueueRules {
    dialect: Dialect::Siberite,
    reserved: b"/",
    printable_names: false,
    group_separator: Some(b'.'),
    plus: "in `set`, both queues",
    options_in_any_case: false,
    ignores_unknown_options: false,
    options_in_any_order: false,
    closes_before_peek: false,
    signed_time: false,
    sync: false,
    expires: false,
};

/// The queue servers side by side, after kestrel's guide and the readmes and grammars of darner and
/// siberite.
pub static QUEUE_RULES: [&QueueRules; 3] = [&KESTREL, &DARNER, &SIBERITE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_dialect_has_its_rules() {
        for dialect in Dialect::ALL {
            let rules = dialect.queue_rules();
            assert_eq!(rules.is_some(), dialect.is_queue());
            assert!(
                rules.is_none_or(|rules| {
                    rules.dialect == dialect && QUEUE_RULES.contains(&rules)
                })
            );
        }
    }
}
