//! The key that backups are encrypted with, and what is derived from it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ring::{aead, hkdf, hmac};

use crate::private;

/// What keys are derived for. A number at the end, so that another use never gets the same one.
const OBJECT: &[u8] = b"windhover backup object 1";
const CONTENT_HASH: &[u8] = b"windhover backup content hash 1";
const KEY_ID: &[u8] = b"windhover backup key id 1";

/// Bytes of a key's id.
pub(super) const ID: usize = 8;
/// Bytes of the random number that an object's key is derived with.
pub(super) const SALT: usize = 32;

/// Why there is no key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not 64 hexadecimal digits.
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::NoKey { path } => write!(
                f,
                "{}: a key is 64 hexadecimal digits, as `openssl rand -hex 32` writes them",
                path.display()
            ),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NoKey { .. } => None,
        }
    }
}

/// A key.
pub struct BackupKey {
    secret: [u8; 32],
    content: hmac::Key,
    id: [u8; ID],
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The length of what is derived, where it is no key of an algorithm's.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl BackupKey {
    /// The key in a file: 64 hexadecimal digits. The log says so when others can read it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
        private::warn_of_readers(
            path,
            "other users can read the key of the backups: `chmod 600` it",
        );
        let no_key = || KeyError::NoKey { path: path.to_owned() };
        let secret = from_hex(text.trim()).ok_or_else(no_key)?;
        Self::new(secret).ok_or_else(no_key)
    }

    /// That key. `None` never: what is derived has lengths that can be.
    pub fn new(secret: [u8; 32]) -> Option<Self> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&secret);
        let content = extracted.expand(&[CONTENT_HASH], hmac::HMAC_SHA256).ok()?.into();
        let mut id = [0; ID];
        extracted.expand(&[KEY_ID], Length(ID)).ok()?.fill(&mut id).ok()?;
        Some(Self { secret, content, id })
    }

    /// Tells the key from another, and nothing of it.
    pub(super) const fn id(&self) -> [u8; ID] {
        self.id
    }

    /// The keyed hash of a content.
    pub(super) fn hash(&self, content: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.content, content).as_ref());
        hash
    }

    /// The key of the one object that has that random number.
    pub(super) fn of_object(&self, salt: &[u8]) -> Option<aead::LessSafeKey> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.secret);
        let derived = extracted.expand(&[OBJECT], &aead::CHACHA20_POLY1305).ok()?;
        Some(aead::LessSafeKey::new(derived.into()))
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let both = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| both)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// As hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_digits() {
        let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
        assert_eq!(from_hex(&digits).map(|key| to_hex(&key)), Some(digits.to_lowercase()));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"+1".repeat(32)]
        {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn another_key_has_another_id_and_other_hashes() {
        let [one, other] = [[1; 32], [2; 32]].map(|secret| BackupKey::new(secret).unwrap());
        assert_ne!(one.id(), other.id());
        assert_ne!(one.hash(b"content"), other.hash(b"content"));
    }
}
