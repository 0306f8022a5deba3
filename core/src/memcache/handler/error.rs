//! What a handler cannot answer.

use core::fmt;

use crate::memcache::command::Command;
use crate::memcache::response::Kind;

/// Why a frame of a reply was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyError {
    /// The command cannot have such a frame in its reply. The peer gets `SERVER_ERROR` in place of the
    /// rest of the reply.
    Invalid {
        /// What was asked.
        command: Command,
        /// What was to be answered.
        frame: Kind,
    },
    /// The reply has ended already, or was left to somebody else.
    Ended,
    /// No request waits for a reply.
    NotAsked,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { command, frame } => write!(
                f,
                "{command:?} cannot be answered with {}: the table of commands says with what",
                frame.text()
            ),
            Self::Ended => f.write_str("the reply has ended: a request is answered once"),
            Self::NotAsked => f.write_str("no request waits for a reply"),
        }
    }
}

impl core::error::Error for ReplyError {}
