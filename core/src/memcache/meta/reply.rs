//! Replies to meta commands.

use super::MetaFlags;

/// The return code of a meta command (protocol.txt, "Meta Get", "Meta Set", "Meta Delete", "Meta
/// Arithmetic").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetaCode {
    /// `VA <datalen>`: it worked, and a data block follows.
    Value,
    /// `HD`: it worked; flags only.
    Done,
    /// `EN`: a miss of `mg` and `me`.
    Miss,
    /// `NS`: not stored, though nothing is wrong.
    NotStored,
    /// `EX`: the item's cas unique is another.
    Exists,
    /// `NF`: a miss of `ms`, `md` and `ma`.
    NotFound,
}

impl MetaCode {
    /// Every code.
    pub const ALL: [Self; 6] =
        [Self::Value, Self::Done, Self::Miss, Self::NotStored, Self::Exists, Self::NotFound];

    /// The code of these two letters.
    #[inline]
    pub(crate) const fn of_text(text: [u8; 2]) -> Option<Self> {
        match &text {
            b"VA" => Some(Self::Value),
            b"HD" => Some(Self::Done),
            b"EN" => Some(Self::Miss),
            b"NS" => Some(Self::NotStored),
            b"EX" => Some(Self::Exists),
            b"NF" => Some(Self::NotFound),
            _ => None,
        }
    }

    /// Its two letters.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Value => "VA",
            Self::Done => "HD",
            Self::Miss => "EN",
            Self::NotStored => "NS",
            Self::Exists => "EX",
            Self::NotFound => "NF",
        }
    }
}

/// The reply to a meta command.
///
/// The flags are those that were asked for, in that order, with their tokens. Flags that were not
/// asked for come last: `W` (the client has won the right to recache), `X` (the item is stale), `Z`
/// (another client has won).
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaReply};
/// use windhover_core::memcache::response::{self, Response};
///
/// let mut out = BytesMut::new();
/// response::encode(&Response::Meta(MetaReply::value(MetaFlags::new(b"t60"), b"hello")), &mut out);
/// response::encode(
///     &Response::Meta(MetaReply::new(MetaCode::Miss, MetaFlags::default())),
///     &mut out,
/// );
/// assert_eq!(&out[..], b"VA 5 t60\r\nhello\r\nEN\r\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaReply<'a> {
    /// What came of it.
    pub code: MetaCode,
    /// What was asked for.
    pub flags: MetaFlags<'a>,
    /// The value without its `\r\n`; empty with any code but [`MetaCode::Value`].
    pub data: &'a [u8],
}

impl<'a> MetaReply<'a> {
    /// A reply without a value.
    pub const fn new(code: MetaCode, flags: MetaFlags<'a>) -> Self {
        Self { code, flags, data: &[] }
    }

    /// A reply with a value: `VA`.
    pub const fn value(flags: MetaFlags<'a>, data: &'a [u8]) -> Self {
        Self { code: MetaCode::Value, flags, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written() {
        for code in MetaCode::ALL {
            let text = code.text().as_bytes().try_into().unwrap();
            assert_eq!(MetaCode::of_text(text), Some(code));
        }
        assert_eq!(MetaCode::of_text(*b"MN"), None);
    }
}
