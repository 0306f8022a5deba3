//! The one table of meta flags.

use crate::memcache::command::Command;

/// What a flag's token has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenRule {
    /// No token; one that is there all the same is ignored.
    None,
    /// Any text.
    Text,
    /// Any text of up to 31 bytes.
    Opaque,
    /// A number of seconds, as an exptime is written.
    Seconds,
    /// An unsigned number of 32 bits.
    Unsigned32,
    /// An unsigned number of 64 bits.
    Unsigned64,
    /// A letter; what follows it is ignored.
    Mode,
}

/// A row of the table of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagRow {
    /// The letter.
    pub letter: u8,
    /// What its token has to be in a request.
    pub token: TokenRule,
    /// The commands that it means something to. The others take it all the same, as memcached
    /// does, and check its token.
    pub commands: &'static [Command],
    /// Whether the reply carries it.
    pub answered: bool,
    /// Whether memcached 1.6.18 does not know it yet.
    pub newer: bool,
    /// What it does.
    pub meaning: &'static str,
}

/// The row of a letter that may stand in a request.
///
/// ```
/// use windhover_core::memcache::command::Command;
/// use windhover_core::memcache::meta::{FlagRow, TokenRule, flag_row};
///
/// let Some(FlagRow { token, commands, answered, .. }) = flag_row(b'O') else {
///     panic!("`O` is the opaque");
/// };
/// assert_eq!((*token, *answered), (TokenRule::Opaque, true));
/// assert!(commands.contains(&Command::MetaGet));
/// assert_eq!(flag_row(b'!'), None);
/// ```
pub fn flag_row(letter: u8) -> Option<&'static FlagRow> {
    FLAGS.iter().find(|row| row.letter == letter && !row.commands.is_empty())
}

/// What the token of a letter has to be, where the letter may stand in a request: the table turned
/// round, for the parser.
#[inline]
pub(crate) fn token_rule(letter: u8) -> Option<TokenRule> {
    static RULES: [Option<TokenRule>; 128] = {
        let mut rules = [None; 128];
        let mut at = 0;
        while at < FLAGS.len() {
            let row = &FLAGS[at];
            if !row.commands.is_empty() {
                rules[row.letter as usize] = Some(row.token);
            }
            at += 1;
        }
        rules
    };
    *RULES.get(usize::from(letter))?
}

const fn flag(
    letter: u8,
    token: TokenRule,
    commands: &'static [Command],
    meaning: &'static str,
) -> FlagRow {
    FlagRow { letter, token, commands, answered: false, newer: false, meaning }
}

const fn answered(row: FlagRow) -> FlagRow {
    FlagRow { answered: true, ..row }
}

const fn newer(row: FlagRow) -> FlagRow {
    FlagRow { newer: true, ..row }
}

use Command::{MetaArithmetic as A, MetaDebug as E, MetaDelete as D, MetaGet as G, MetaSet as S};
use TokenRule as T;

/// Every flag (protocol.txt, "Meta Get" to "Meta Arithmetic"); the frequent ones first.
#[rustfmt::skip]
pub static FLAGS: &[FlagRow] = &[
    flag(b'v', T::None, &[G, A], "the value, in a data block"),
    answered(flag(b't', T::None, &[G, A], "remaining time to live in seconds; -1 never expires")),
    answered(flag(b'f', T::None, &[G], "the client's flags")),
    answered(flag(b'c', T::None, &[G, S, A], "the item's cas unique")),
    answered(flag(b'k', T::None, &[G, S, D, A], "the key, as base64 and with `b` where it is binary")),
    answered(flag(b'O', T::Opaque, &[G, S, D, A], "opaque: sent back as it is")),
    flag(b'q', T::None, &[G, S, D, A], "quiet: the expected answer is not sent"),
    flag(b'T', T::Seconds, &[G, S, D, A], "time to live to set; for `md` with `I` only"),
    flag(b'F', T::Unsigned32, &[S], "the client's flags to store"),
    answered(flag(b's', T::None, &[G, S], "the value's length")),
    answered(flag(b'h', T::None, &[G], "whether the item was hit before, as 0 or 1")),
    answered(flag(b'l', T::None, &[G], "seconds since the last access")),
    flag(b'u', T::None, &[G], "leaves the item's place in the LRU and its access time as they are"),
    flag(b'b', T::None, &[G, S, D, A, E], "the key is base64 of a binary key"),
    flag(b'N', T::Seconds, &[G, S, A], "vivify: creates the item on a miss, with this time to live; `ms` in append mode: newer than 1.6.18"),
    flag(b'R', T::Seconds, &[G], "recache: one client wins (`W`) when less than this time to live remains"),
    flag(b'C', T::Unsigned64, &[G, S, D, A], "compare: only where the cas unique is this one; `mg` leaves the value out where it is, newer than 1.6.18"),
    newer(flag(b'E', T::Unsigned64, &[G, S, D, A], "the cas unique that the item gets")),
    flag(b'I', T::None, &[S, D], "invalidate: `md` marks the item stale, `ms` stores an older cas unique as stale"),
    newer(flag(b'x', T::None, &[D], "removes the value and leaves the item")),
    flag(b'M', T::Mode, &[S, A], "mode: `ms` E add, A append, P prepend, R replace, S set; `ma` I or + increment, D or - decrement"),
    flag(b'D', T::Unsigned64, &[A], "delta; 1 without it"),
    flag(b'J', T::Unsigned64, &[A], "initial value of a vivified item; 0 without it"),
    flag(b'P', T::Text, &[G, S, D, A], "for a proxy: ignored"),
    flag(b'L', T::Text, &[G, S, D, A], "for a proxy: ignored"),
    answered(flag(b'W', T::None, &[], "in replies: this client has won the right to recache")),
    answered(flag(b'X', T::None, &[], "in replies: the item is stale")),
    answered(flag(b'Z', T::None, &[], "in replies: another client has won already")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_one_row() {
        for (at, row) in FLAGS.iter().enumerate() {
            assert!(FLAGS[at + 1..].iter().all(|other| other.letter != row.letter));
            let rule = flag_row(row.letter).map(|row| row.token);
            assert_eq!(rule.is_some(), !b"WXZ".contains(&row.letter));
            assert_eq!(token_rule(row.letter), rule);
            assert!((b'@'..127).contains(&row.letter), "a bit of 64 stands for it");
        }
    }
}
