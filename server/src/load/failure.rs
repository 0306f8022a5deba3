//! Why a request has no good answer.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use humantime::format_duration;

/// Of what a server says no more than this is kept: enough to know it again.
const MAX_WORDS: usize = 80;
/// Kinds that are told apart; a server that puts something new into each answer would fill the memory.
const MAX_KINDS: usize = 100;

/// Why a request has no good answer. Those of one kind are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// It was due, and no connection was free to send it, for as long as a request may take.
    NotSent(Duration),
    /// It was sent, and there was no answer for so long.
    TimedOut(Duration),
    /// The server closed its connection.
    Closed,
    /// Its connection broke.
    Broken(io::ErrorKind),
    /// It was sent behind another one whose connection had to be given up.
    Behind,
    /// The run was interrupted.
    Interrupted,
    /// An HTTP status that is no success.
    Status(u16),
    /// The server says that it does not do it: its words.
    Refused(String),
    /// Something that is no answer to it: how that begins.
    NotAnAnswer(String),
    /// Kinds beyond those that are told apart.
    Other,
}

impl Failure {
    pub(super) fn refused(words: &[u8]) -> Self {
        Self::Refused(brief(words))
    }

    pub(super) fn not_an_answer(came: &[u8]) -> Self {
        Self::NotAnAnswer(brief(came))
    }

    /// Whether nothing of it has left.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::NotSent(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(time) => {
                write!(f, "not sent within {}: no connection was free", format_duration(*time))
            }
            Self::TimedOut(time) => write!(f, "no answer within {}", format_duration(*time)),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Broken(kind) => write!(f, "the connection broke: {kind}"),
            Self::Behind => f.write_str("sent behind a request that failed"),
            Self::Interrupted => f.write_str("no answer before the run was interrupted"),
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Refused(words) => write!(f, "refused: `{words}`"),
            Self::NotAnAnswer(came) => write!(f, "not an answer: `{came}`"),
            Self::Other => f.write_str("of further kinds"),
        }
    }
}

/// Failures by their kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(BTreeMap<Failure, u64>);

impl Failures {
    pub(super) fn add(&mut self, failure: Failure, count: u64) {
        let is_known = self.0.contains_key(&failure) || self.0.len() < MAX_KINDS;
        let kind = if is_known { failure } else { Failure::Other };
        *self.0.entry(kind).or_default() += count;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (failure, count) in &other.0 {
            self.add(failure.clone(), *count);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of which nothing has left.
    pub(super) fn unsent(&self) -> u64 {
        self.0.iter().filter(|(failure, _)| failure.is_unsent()).map(|(_, count)| count).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Failure, u64)> {
        self.0.iter().map(|(failure, count)| (failure, *count))
    }
}

fn brief(bytes: &[u8]) -> String {
    bytes.get(..MAX_WORDS).unwrap_or(bytes).escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_something_new_each_time_does_not_fill_the_memory() {
        let mut failures = Failures::default();
        for number in 0..1000 {
            failures.add(Failure::refused(format!("no {number}").as_bytes()), 1);
        }
        assert_eq!(failures.total(), 1000);
        assert_eq!(failures.iter().count(), MAX_KINDS + 1);
    }

    #[test]
    fn words_are_printable_and_short() {
        let failure = Failure::refused(&[&b"\x1b[2J"[..], &[b'a'; 200]].concat());
        let text = failure.to_string();
        assert!(text.starts_with(r"refused: `\x1b[2Jaaa"), "{text}");
        assert!(text.len() < 120);
    }
}
