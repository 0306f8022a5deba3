//! Flags of meta commands, by name.

use std::time::{Duration, SystemTime};

use windhover_core::memcache::Dialect;
use windhover_core::memcache::meta::{ArithmeticMode, FlagBuffer, SetMode};

use crate::{Expires, ExpiresError};

/// Flags, as they stand on the line so far; or why they cannot.
#[derive(Clone, Debug, Default)]
struct Line {
    flags: FlagBuffer,
    error: Option<ExpiresError>,
}

impl Line {
    fn expires(&mut self, letter: u8, expires: Expires) {
        match expires.exptime(Dialect::Memcached, SystemTime::now()) {
            Ok(exptime) => drop(self.flags.push_signed(letter, exptime)),
            Err(error) => self.error = Some(error),
        }
    }
}

/// What all of them have.
macro_rules! common {
    ($name:ident) => {
        impl $name {
            /// No flags.
            pub fn new() -> Self {
                Self::default()
            }

            /// The key is base64 of a binary one (`b`).
            pub fn base64_key(self) -> Self {
                self.bare(b'b')
            }

            /// The reply carries these bytes, 31 at most (`O`).
            pub fn opaque(mut self, opaque: impl AsRef<[u8]>) -> Self {
                self.0.flags.push(b'O', opaque.as_ref());
                self
            }

            /// The item gets this cas unique (`E`).
            pub fn new_cas(self, cas: u64) -> Self {
                self.number(b'E', cas)
            }

            /// As they stand on the line.
            pub(crate) fn line(self) -> Result<Vec<u8>, ExpiresError> {
                match self.0.error {
                    Some(error) => Err(error),
                    None => Ok(self.0.flags.flags().text().to_vec()),
                }
            }

            fn bare(mut self, letter: u8) -> Self {
                self.0.flags.push(letter, b"");
                self
            }

            fn number(mut self, letter: u8, number: u64) -> Self {
                self.0.flags.push_unsigned(letter, number);
                self
            }

            fn expiry(mut self, letter: u8, expires: Expires) -> Self {
                self.0.expires(letter, expires);
                self
            }
        }

        /// As they stand on the line.
        impl From<&[u8]> for $name {
            fn from(line: &[u8]) -> Self {
                let mut flags = Self::new();
                if let Some((letter, rest)) = line.split_first() {
                    flags.0.flags.push(*letter, rest);
                }
                flags
            }
        }

        /// As they stand on the line.
        impl<const N: usize> From<&[u8; N]> for $name {
            fn from(line: &[u8; N]) -> Self {
                Self::from(&line[..])
            }
        }

        /// As they stand on the line.
        impl From<&String> for $name {
            fn from(line: &String) -> Self {
                Self::from(line.as_bytes())
            }
        }

        /// As they stand on the line.
        impl From<String> for $name {
            fn from(line: String) -> Self {
                Self::from(line.as_bytes())
            }
        }

        /// As they stand on the line.
        impl From<&str> for $name {
            fn from(line: &str) -> Self {
                Self::from(line.as_bytes())
            }
        }
    };
}

/// Flags of [`meta_get`](crate::Client::meta_get) (`mg`).
///
/// ```
/// use std::time::Duration;
/// use windhover_client::GetFlags;
///
/// let minute = Duration::from_secs(60);
/// // What is not there is made an empty item for a minute, and this client told that it is the first.
/// let flags = GetFlags::new().value().cas().vivify(minute);
/// # drop(flags);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GetFlags(Line);

/// Flags of [`meta_set`](crate::Client::meta_set) (`ms`).
///
/// ```
/// use std::time::Duration;
/// use windhover_client::{Client, Error, SetFlags, SetMode};
///
/// /// Takes a lock for ten seconds; the cas unique to give it back with, unless somebody has it.
/// async fn lock(client: &Client) -> Result<Option<u64>, Error> {
///     let flags = SetFlags::new().mode(SetMode::Add).expires(Duration::from_secs(10)).cas();
///     Ok(client.meta_set("lock", "me", flags).await?.cas())
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SetFlags(Line);

/// Flags of [`meta_delete`](crate::Client::meta_delete) (`md`).
///
/// ```
/// use windhover_client::{Client, DeleteFlags, Error, MetaCode};
///
/// /// Gives a lock back, unless it has expired and somebody else has it.
/// async fn unlock(client: &Client, cas: u64) -> Result<bool, Error> {
///     let deleted = client.meta_delete("lock", DeleteFlags::new().compare_cas(cas)).await?;
///     Ok(deleted.code == MetaCode::Done)
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DeleteFlags(Line);

/// Flags of [`meta_arithmetic`](crate::Client::meta_arithmetic) (`ma`).
///
/// ```
/// use std::time::Duration;
/// use windhover_client::{ArithmeticFlags, Client, Error};
///
/// /// How many requests somebody has made in this minute, this one included.
/// async fn count(client: &Client, who: &str) -> Result<u64, Error> {
///     let flags = ArithmeticFlags::new().vivify(Duration::from_secs(60)).initial(1).value();
///     let count = client.meta_arithmetic(who, flags).await?;
///     let text = String::from_utf8_lossy(&count.value.to_vec()).into_owned();
///     Ok(text.trim_end().parse().unwrap_or_default())
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ArithmeticFlags(Line);

common!(GetFlags);
common!(SetFlags);
common!(DeleteFlags);
common!(ArithmeticFlags);

impl GetFlags {
    /// The reply has the value (`v`).
    pub fn value(self) -> Self {
        self.bare(b'v')
    }

    /// The reply has the flags that the item was stored with (`f`).
    pub fn client_flags(self) -> Self {
        self.bare(b'f')
    }

    /// The reply has the cas unique (`c`).
    pub fn cas(self) -> Self {
        self.bare(b'c')
    }

    /// The reply has the seconds until the item expires (`t`).
    pub fn ttl(self) -> Self {
        self.bare(b't')
    }

    /// The reply has the value's size (`s`).
    pub fn size(self) -> Self {
        self.bare(b's')
    }

    /// The reply says whether the item was asked for before (`h`).
    pub fn hit_before(self) -> Self {
        self.bare(b'h')
    }

    /// The reply has the seconds since the item was asked for (`l`).
    pub fn last_access(self) -> Self {
        self.bare(b'l')
    }

    /// The server does not count it as an access (`u`).
    pub fn no_bump(self) -> Self {
        self.bare(b'u')
    }

    /// The item gets a new time to expire (`T`).
    pub fn touch(self, expires: impl Into<Expires>) -> Self {
        self.expiry(b'T', expires.into())
    }

    /// A miss becomes an empty item with that time to expire, and the first who asks is told to have won
    /// (`N`).
    pub fn vivify(self, expires: impl Into<Expires>) -> Self {
        self.expiry(b'N', expires.into())
    }

    /// The first who asks when the item has no longer than this to live is told to have won (`R`); in
    /// whole seconds, rounded up.
    pub fn recache(self, left: Duration) -> Self {
        let seconds = left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0));
        self.number(b'R', seconds)
    }
}

impl SetFlags {
    /// The item's flags (`F`).
    pub fn client_flags(self, flags: u32) -> Self {
        self.number(b'F', u64::from(flags))
    }

    /// The item's time to expire (`T`).
    pub fn expires(self, expires: impl Into<Expires>) -> Self {
        self.expiry(b'T', expires.into())
    }

    /// Only where the item has this cas unique (`C`).
    pub fn compare_cas(self, cas: u64) -> Self {
        self.number(b'C', cas)
    }

    /// Where the item has a newer cas unique than is compared, it is stored and marked stale (`I`).
    pub fn invalidate(self) -> Self {
        self.bare(b'I')
    }

    /// How it is stored (`M`).
    pub fn mode(mut self, mode: SetMode) -> Self {
        self.0.flags.push(b'M', &[mode.letter()]);
        self
    }

    /// The reply has the cas unique (`c`).
    pub fn cas(self) -> Self {
        self.bare(b'c')
    }
}

impl DeleteFlags {
    /// Only where the item has this cas unique (`C`).
    pub fn compare_cas(self, cas: u64) -> Self {
        self.number(b'C', cas)
    }

    /// The item is marked stale, and stays (`I`).
    pub fn invalidate(self) -> Self {
        self.bare(b'I')
    }

    /// The time to expire of an item that is marked stale (`T`).
    pub fn expires(self, expires: impl Into<Expires>) -> Self {
        self.expiry(b'T', expires.into())
    }

    /// The item stays, without its value (`x`); newer than memcached 1.6.18.
    pub fn keep_item(self) -> Self {
        self.bare(b'x')
    }
}

impl ArithmeticFlags {
    /// By how much (`D`); 1 without it.
    pub fn delta(self, delta: u64) -> Self {
        self.number(b'D', delta)
    }

    /// Adds or subtracts (`M`).
    pub fn mode(mut self, mode: ArithmeticMode) -> Self {
        self.0.flags.push(b'M', &[mode.letter()]);
        self
    }

    /// A miss becomes a number with that time to expire (`N`): [`initial`](Self::initial), or 0.
    pub fn vivify(self, expires: impl Into<Expires>) -> Self {
        self.expiry(b'N', expires.into())
    }

    /// What a miss becomes (`J`).
    pub fn initial(self, number: u64) -> Self {
        self.number(b'J', number)
    }

    /// The item gets a new time to expire (`T`).
    pub fn touch(self, expires: impl Into<Expires>) -> Self {
        self.expiry(b'T', expires.into())
    }

    /// Only where the item has this cas unique (`C`).
    pub fn compare_cas(self, cas: u64) -> Self {
        self.number(b'C', cas)
    }

    /// The reply has the number (`v`).
    pub fn value(self) -> Self {
        self.bare(b'v')
    }

    /// The reply has the seconds until the item expires (`t`).
    pub fn ttl(self) -> Self {
        self.bare(b't')
    }

    /// The reply has the cas unique (`c`).
    pub fn cas(self) -> Self {
        self.bare(b'c')
    }
}
