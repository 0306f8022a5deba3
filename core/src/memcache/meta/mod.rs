//! Meta commands: a two-letter verb, one key and flags of one letter each (protocol.txt, "Meta
//! Commands").
//!
//! Flags are read from the line when they are asked for: nothing is copied and nothing allocated.
//! [`FLAGS`] says which flags there are, what token each takes and which commands know it.

mod base64;
mod buffer;
mod check;
mod flags;
mod reply;
mod table;

pub(crate) use base64::decodes;
pub use base64::{decode_key, encode_key};
pub use buffer::FlagBuffer;
pub use check::FlagFault;
pub(crate) use check::{Checked, Refusal, check};
pub use flags::{Iter, MetaFlag, MetaFlags};
pub use reply::{MetaCode, MetaReply};
pub(crate) use table::token_rule;
pub use table::{FLAGS, FlagRow, TokenRule, flag_row};

/// What `mg`, `ms`, `md` and `ma` carry: a key and flags.
///
/// ```
/// use windhover_core::memcache::Limits;
/// use windhover_core::memcache::request::{self, Request};
/// use windhover_core::memcache::{Dialect, Parsed};
///
/// let input = b"mg greeting v t O7 N30\r\n";
/// let Ok(Parsed::Complete { message, .. }) =
///     request::parse(input, Dialect::Memcached, &Limits::default())
/// else {
///     unreachable!()
/// };
/// let Request::MetaGet(get) = message.request else { unreachable!() };
/// assert_eq!(get.key, b"greeting");
/// assert!(get.flags.has(b'v') && !get.flags.quiet());
/// assert_eq!(get.flags.signed(b'N'), Some(30));
/// assert_eq!(get.flags.opaque(), Some(&b"7"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaRequest<'a> {
    /// The key as it stands on the line: base64 where the flag `b` is there, else the key itself.
    /// [`decode_key`] gives the bytes that are meant.
    pub key: &'a [u8],
    /// The flags, in the order given.
    pub flags: MetaFlags<'a>,
}

impl<'a> MetaRequest<'a> {
    /// A request to be encoded.
    pub const fn new(key: &'a [u8], flags: MetaFlags<'a>) -> Self {
        Self { key, flags }
    }
}

/// How `ms` stores (flag `M`).
///
/// ```
/// use windhover_core::memcache::meta::{MetaFlags, SetMode};
///
/// assert_eq!(MetaFlags::new(b"T60 MA").set_mode(), Some(SetMode::Append));
/// assert_eq!(SetMode::Append.letter(), b'A');
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SetMode {
    /// `S`, and without the flag: whatever was there.
    #[default]
    Set,
    /// `E`: only where nothing was there.
    Add,
    /// `R`: only where something was there.
    Replace,
    /// `A`: behind what was there.
    Append,
    /// `P`: before what was there.
    Prepend,
}

impl SetMode {
    /// Its letter, as an `M` token.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Set => b'S',
            Self::Add => b'E',
            Self::Replace => b'R',
            Self::Append => b'A',
            Self::Prepend => b'P',
        }
    }

    /// The mode that an `M` token names with its first letter.
    pub const fn of_token(token: &[u8]) -> Option<Self> {
        match token {
            [b'S', ..] => Some(Self::Set),
            [b'E', ..] => Some(Self::Add),
            [b'R', ..] => Some(Self::Replace),
            [b'A', ..] => Some(Self::Append),
            [b'P', ..] => Some(Self::Prepend),
            _ => None,
        }
    }
}

/// What `ma` does (flag `M`).
///
/// ```
/// use windhover_core::memcache::meta::{ArithmeticMode, MetaFlags};
///
/// let decrement = Some(ArithmeticMode::Decrement);
/// assert_eq!(MetaFlags::new(b"D5 M-").arithmetic_mode(), decrement);
/// assert_eq!(MetaFlags::new(b"D5 MD").arithmetic_mode(), decrement);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ArithmeticMode {
    /// `I` or `+`, and without the flag: adds, and wraps at 64 bits.
    #[default]
    Increment,
    /// `D` or `-`: subtracts, and stops at 0.
    Decrement,
}

impl ArithmeticMode {
    /// Its letter, as an `M` token.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Increment => b'I',
            Self::Decrement => b'D',
        }
    }

    /// The mode that an `M` token names with its first letter.
    pub const fn of_token(token: &[u8]) -> Option<Self> {
        match token {
            [b'I' | b'+', ..] => Some(Self::Increment),
            [b'D' | b'-', ..] => Some(Self::Decrement),
            _ => None,
        }
    }
}
