//! What a client could not make sense of.

use core::fmt;

/// Why bytes from a server are no response. What follows them cannot be matched to a request any
/// more: the connection has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The line has no end within `limits.line`.
    LineTooLong,
    /// The line ends without `\r`, as no server writes such a one.
    BareNewline,
    /// A `VALUE` line is not `VALUE <key> <flags> <bytes> [<cas>]` with decimal numbers in range.
    BadValueLine,
    /// A `VA` line is not `VA <datalen> <flag>*`, or a `ME` line has no key.
    BadMetaLine,
    /// The declared length of a value is above `limits.value`.
    ValueTooLarge {
        /// The length declared.
        length: u64,
    },
    /// The flags of a value do not fit 32 bits.
    FlagsTooLarge {
        /// The flags.
        flags: u64,
    },
    /// A value does not end in `\r\n` at its declared length.
    BadDataBlock,
    /// The line is no response of the dialect.
    UnknownLine,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong => f.write_str("a response line has no end within the limit"),
            Self::BareNewline => f.write_str("a response line ends in LF without CR"),
            Self::BadValueLine => f.write_str(
                "a VALUE line was not 'VALUE <key> <flags> <bytes> [<cas>]' with decimal numbers",
            ),
            Self::BadMetaLine => f.write_str(
                "a VA line was not 'VA <datalen> <flag>*' with a decimal length, or a ME line had no key",
            ),
            Self::ValueTooLarge { length } => write!(
                f,
                "a value of {length} bytes is announced, above the limit: raise `Limits::value`"
            ),
            Self::FlagsTooLarge { flags } => {
                write!(f, "a value has the flags {flags}, which do not fit 32 bits")
            }
            Self::BadDataBlock => {
                f.write_str("a value does not end in CR LF at its declared length")
            }
            Self::UnknownLine => f.write_str(
                "a line is no response: is the peer a memcache server, of this dialect?",
            ),
        }
    }
}

impl core::error::Error for ResponseError {}
