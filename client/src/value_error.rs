//! Why a value cannot be used, or not be made.

use std::fmt;
use std::str::Utf8Error;
#[cfg(feature = "json")]
use std::sync::Arc;

use bytes::Bytes;
use windhover_core::memcache::Oversized;

use crate::error::Shown;

/// Why a value cannot be used, or not be made.
///
/// ```
/// use windhover_client::{
///     Client, Compression, ErrorKind, FLAG_ZLIB, Store, ValueError, block_on,
/// };
///
/// let builder = Client::builder().server("10.0.0.1:11211").compression(Compression::ReadOnly);
/// let (client, driver) = builder.build()?;
/// // Whoever reads it would take it for a compressed one.
/// let store = Store::from("hello").flags(FLAG_ZLIB | 1);
/// let error = block_on(client.set("greeting", store)).unwrap_err();
/// assert!(matches!(
///     error.kind(),
///     ErrorKind::Value(ValueError::FlagsReserved { bits: FLAG_ZLIB })
/// ));
/// # drop(driver);
/// # Ok::<(), windhover_client::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ValueError {
    /// Its flags say that it is compressed, and it does not decompress.
    Decompress,
    /// It is compressed in a way that this build does not know.
    NotBuiltIn {
        /// The cargo feature that knows it.
        feature: &'static str,
    },
    /// It is larger, decompressed, than
    /// [`Builder::largest_decompressed`](crate::Builder::largest_decompressed) allows.
    TooLarge {
        /// How many bytes it may have.
        limit: usize,
    },
    /// It is compressed, and something stands behind it, as `append` puts it there. Nothing is dropped
    /// in silence; [`Client::with_raw_values`](crate::Client::with_raw_values) reads all of it.
    DataBehind {
        /// How many bytes.
        length: usize,
    },
    /// It was not stored: it is larger than
    /// [`Builder::largest_decompressed`](crate::Builder::largest_decompressed), so that it could not be
    /// read again.
    TooLargeToCompress {
        /// How many bytes it has.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It was not stored: its flags have bits that say how a value is compressed, so that it would be
    /// read as another one ([`Builder::compression_flags`](crate::Builder::compression_flags)).
    FlagsReserved {
        /// These bits.
        bits: u32,
    },
    /// The server has it, and it is too large for this client. The connection goes on.
    Oversized(Oversized),
    /// It was not stored: it could not be compressed.
    Compress,
    /// It was to be text, and is no UTF-8.
    NotText(Utf8Error),
    /// It was to be a number, and is none of that type.
    NotNumber {
        /// The value.
        data: Bytes,
    },
    /// It is no JSON of that type.
    #[cfg(feature = "json")]
    Json(Arc<serde_json::Error>),
    /// It was not stored: it cannot be made JSON of.
    #[cfg(feature = "json")]
    ToJson(Arc<serde_json::Error>),
}

impl ValueError {
    /// Whether a value was not stored, for which nothing was sent.
    pub(crate) const fn is_of_storing(&self) -> bool {
        match self {
            Self::Compress | Self::TooLargeToCompress { .. } | Self::FlagsReserved { .. } => true,
            #[cfg(feature = "json")]
            Self::ToJson(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decompress => f.write_str(
                "the flags say that the value is compressed, and it does not decompress",
            ),
            Self::NotBuiltIn { feature } => {
                write!(f, "the value is compressed: build with the feature `{feature}` to read it")
            }
            Self::TooLarge { limit } => write!(
                f,
                "the value is larger than {limit} bytes once it is decompressed: raise \
                 `largest_decompressed`"
            ),
            Self::DataBehind { length } => write!(
                f,
                "the value is compressed, and {length} bytes stand behind it (was something \
                 appended?): read it with `Client::with_raw_values`"
            ),
            Self::TooLargeToCompress { length, limit } => write!(
                f,
                "the value has {length} bytes, of which no more than {limit} are decompressed \
                 again: raise `largest_decompressed`"
            ),
            Self::FlagsReserved { bits } => write!(
                f,
                "the flags {bits:#x} say how a value is compressed: choose others, or other bits \
                 with `compression_flags`"
            ),
            Self::Oversized(what) => what.fmt(f),
            Self::Compress => f.write_str("the value could not be compressed"),
            Self::NotText(_) => f.write_str("the value is no text in UTF-8"),
            Self::NotNumber { data } => {
                write!(f, "the value {} is no number of that type", Shown(data, 40))
            }
            #[cfg(feature = "json")]
            Self::Json(_) => f.write_str("the value is not the JSON that was expected"),
            #[cfg(feature = "json")]
            Self::ToJson(_) => f.write_str("the value cannot be made JSON of"),
        }
    }
}

impl std::error::Error for ValueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Oversized(what) => what.source(),
            Self::NotText(error) => Some(error),
            #[cfg(feature = "json")]
            Self::Json(error) | Self::ToJson(error) => Some(&**error),
            _ => None,
        }
    }
}
