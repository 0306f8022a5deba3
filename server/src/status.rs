//! What a server serves at the moment, as an operator says with kestrel's `status`.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a server serves (kestrel's guide, "Server status"). It is up at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerStatus {
    /// Everything.
    #[default]
    Up,
    /// Reads: queues are taken from, and nothing is put into them, flushed or deleted.
    ReadOnly,
    /// Only what ends reads that are open.
    Quiescent,
}

impl ServerStatus {
    /// Whether queues may be changed by more than reads.
    pub const fn allows_writes(self) -> bool {
        matches!(self, Self::Up)
    }

    /// Whether items may be read.
    pub const fn allows_reads(self) -> bool {
        !matches!(self, Self::Quiescent)
    }
}

impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "UP",
            Self::ReadOnly => "READONLY",
            Self::Quiescent => "QUIESCENT",
        })
    }
}

/// A word that is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerStatusError;

impl fmt::Display for ServerStatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the status is none of up, readonly and quiescent")
    }
}

impl std::error::Error for ServerStatusError {}

impl FromStr for ServerStatus {
    type Err = ServerStatusError;

    /// Takes a status in any case, as kestrel does.
    fn from_str(word: &str) -> Result<Self, ServerStatusError> {
        let all = [Self::Up, Self::ReadOnly, Self::Quiescent];
        let named = all.into_iter().find(|status| status.to_string().eq_ignore_ascii_case(word));
        named.ok_or(ServerStatusError)
    }
}

/// The status that all connections of a server look at.
#[derive(Debug, Default)]
pub struct StatusCell(AtomicU8);

impl StatusCell {
    /// What it is.
    pub fn get(&self) -> ServerStatus {
        match self.0.load(Ordering::Relaxed) {
            0 => ServerStatus::Up,
            1 => ServerStatus::ReadOnly,
            _ => ServerStatus::Quiescent,
        }
    }

    /// Sets it, for every connection's next request.
    pub fn set(&self, status: ServerStatus) {
        let number = match status {
            ServerStatus::Up => 0,
            ServerStatus::ReadOnly => 1,
            ServerStatus::Quiescent => 2,
        };
        self.0.store(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_was_set_last() {
        let cell = StatusCell::default();
        assert_eq!(cell.get(), ServerStatus::Up);
        for (word, status) in [
            ("ReadOnly", ServerStatus::ReadOnly),
            ("quiescent", ServerStatus::Quiescent),
            ("UP", ServerStatus::Up),
        ] {
            assert_eq!(word.parse(), Ok(status));
            cell.set(status);
            assert_eq!(cell.get(), status);
        }
        assert_eq!("dead".parse::<ServerStatus>(), Err(ServerStatusError));
    }
}
