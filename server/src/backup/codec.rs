//! How bytes are stored: compressed, and encrypted where there is a key.
//!
//! Without a key, what is stored is one frame of zstd, which `zstdcat` reads. With one, it is
//!
//! | bytes | |
//! |---|---|
//! | 8 | magic; the last byte is the format's number |
//! | 8 | the key's id, so that a wrong key is told from damage |
//! | 32 | a random number |
//! | | the frame in chunks of 64 KiB, each followed by 16 bytes by which any change is seen |
//!
//! The algorithm is ChaCha20-Poly1305 (RFC 8439). No key ever meets a nonce twice: each object has a key of its own,
//! derived (HKDF-SHA-256) from that in the file and the random number of 256 bits; and within the object the nonce
//! is the number of the chunk, with a mark on the last, so that none can be left out, moved or added. The object's
//! name is authenticated with each chunk: an object under another's name is refused.

use std::fmt;
use std::io::{self, Read as _};

use ring::{aead, digest};

use super::key::{self, BackupKey, to_hex};

const MAGIC: [u8; 8] = *b"WHBKUP\0\x01";
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const HEAD: usize = MAGIC.len() + key::ID + key::SALT;
/// How hard zstd tries.
const LEVEL: i32 = 3;
/// The length of most contents: that of a segment.
const LIKELY: u64 = 16 * 1024 * 1024;
/// What nothing that is stored comes near, when it is unpacked and its length is not known.
const LARGEST: u64 = 4 * 1024 * 1024 * 1024;

/// Why stored bytes cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// They are encrypted, and there is no key.
    NoKey,
    /// They are encrypted with another key.
    OtherKey,
    /// They are not encrypted, though there is a key: somebody else put them there.
    NotEncrypted,
    /// They are encrypted in the format of another version.
    Version(u8),
    /// They are not what was stored.
    Damaged(&'static str),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("it is encrypted: give the key by --key-file"),
            Self::OtherKey => {
                f.write_str("it is encrypted with another key than that of --key-file")
            }
            Self::NotEncrypted => f.write_str("it is not encrypted, and --key-file is given"),
            Self::Version(version) => write!(
                f,
                "it is encrypted in format {version}; this program reads format {}",
                MAGIC[7]
            ),
            Self::Damaged(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for CodecError {}

/// Turns content into what is stored, and back.
#[derive(Debug, Default)]
pub struct Codec {
    key: Option<BackupKey>,
}

impl Codec {
    /// With that key; without one nothing is encrypted.
    pub const fn new(key: Option<BackupKey>) -> Self {
        Self { key }
    }

    /// The hash of a content: SHA-256, or HMAC-SHA-256 where there is a key, which tells nothing to whoever has
    /// not got it.
    pub fn hash(&self, content: &[u8]) -> String {
        match &self.key {
            Some(key) => to_hex(&key.hash(content)),
            None => sha256(content),
        }
    }

    /// What is stored of a content under that name.
    ///
    /// # Errors
    /// Those of zstd and of the source of random numbers.
    pub fn encode(&self, name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
        let frame = zstd::bulk::compress(content, LEVEL)?;
        let Some(key) = &self.key else {
            return Ok(frame);
        };
        let mut salt = [0; key::SALT];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let failed = |_| io::Error::other("the encryption failed");
        let cipher = key.of_object(&salt).ok_or_else(|| io::Error::other("no key"))?;
        let mut stored = [&MAGIC, &key.id()[..], &salt].concat();
        let count = frame.len().div_ceil(CHUNK).max(1);
        stored.reserve(frame.len() + count * TAG);
        for at in 0..count {
            let chunk = frame.get(at * CHUNK..).unwrap_or_default();
            let begins = stored.len();
            stored.extend_from_slice(chunk.get(..CHUNK).unwrap_or(chunk));
            let nonce = nonce(at, at + 1 == count);
            let named = aead::Aad::from(name.as_bytes());
            let in_place = stored.get_mut(begins..).unwrap_or_default();
            let tag = cipher.seal_in_place_separate_tag(nonce, named, in_place).map_err(failed)?;
            stored.extend_from_slice(tag.as_ref());
        }
        Ok(stored)
    }

    /// The content of what is stored under that name; of that length, when it is known.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(
        &self,
        name: &str,
        stored: Vec<u8>,
        len: Option<u64>,
    ) -> Result<Vec<u8>, CodecError> {
        let is_encrypted = stored.get(..7) == MAGIC.get(..7);
        let frame = match &self.key {
            None if is_encrypted => return Err(CodecError::NoKey),
            None => stored,
            Some(_) if !is_encrypted => {
                // Whoever could cut or change an object must not have it taken for a plain one either.
                let is_plain = stored.starts_with(&zstd::zstd_safe::MAGICNUMBER.to_le_bytes());
                let damaged = CodecError::Damaged("it does not begin as what is encrypted does");
                return Err(if is_plain { CodecError::NotEncrypted } else { damaged });
            }
            Some(key) => decrypt(key, name, stored)?,
        };
        unpack(&frame, len)
    }
}

fn unpack(frame: &[u8], len: Option<u64>) -> Result<Vec<u8>, CodecError> {
    let damaged = CodecError::Damaged("it cannot be unpacked");
    // A length that is not true must not take memory.
    let likely = len.unwrap_or(0).min(LIKELY);
    let mut content = Vec::with_capacity(usize::try_from(likely).unwrap_or(0));
    // A byte more than there may be, to see that there is none.
    let most = len.unwrap_or(LARGEST).saturating_add(1);
    let decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(|_| damaged.clone())?;
    decoder.take(most).read_to_end(&mut content).map_err(|_| damaged)?;
    match len {
        Some(len) if content.len() as u64 != len => {
            Err(CodecError::Damaged("its content has another length"))
        }
        None if content.len() as u64 > LARGEST => {
            Err(CodecError::Damaged("its content is too large"))
        }
        _ => Ok(content),
    }
}

fn decrypt(key: &BackupKey, name: &str, mut stored: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    let damaged = CodecError::Damaged("it is not what was encrypted");
    let Some((head, _)) = stored.split_first_chunk::<HEAD>() else {
        return Err(damaged);
    };
    if head[7] != MAGIC[7] {
        return Err(CodecError::Version(head[7]));
    }
    if head[MAGIC.len()..MAGIC.len() + key::ID] != key.id() {
        return Err(CodecError::OtherKey);
    }
    let cipher = key.of_object(&head[HEAD - key::SALT..]).ok_or_else(|| damaged.clone())?;
    let mut frame = stored.split_off(HEAD);
    let count = frame.len().div_ceil(CHUNK + TAG);
    if count == 0 {
        return Err(damaged);
    }
    let mut to = 0;
    for at in 0..count {
        let from = at * (CHUNK + TAG);
        let until = frame.len().min(from + CHUNK + TAG);
        let chunk = frame.get_mut(from..until).ok_or_else(|| damaged.clone())?;
        let named = aead::Aad::from(name.as_bytes());
        let opened = cipher.open_in_place(nonce(at, at + 1 == count), named, chunk);
        let len = opened.map_err(|_| damaged.clone())?.len();
        frame.copy_within(from..from + len, to);
        to += len;
    }
    frame.truncate(to);
    Ok(frame)
}

/// The nonce of a chunk: its number, and whether it is the last.
fn nonce(at: usize, is_last: bool) -> aead::Nonce {
    let mut bytes = [0; aead::NONCE_LEN];
    bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
    bytes[11] = u8::from(is_last);
    aead::Nonce::assume_unique_for_key(bytes)
}

/// The SHA-256 of those bytes, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    to_hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(secret: u8) -> Codec {
        Codec::new(BackupKey::new([secret; 32]))
    }

    /// What cannot be compressed, so that there are several chunks.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for content in
            [vec![], b"short".to_vec(), noise(CHUNK - 20), noise(3 * CHUNK), vec![7; 999_999]]
        {
            for codec in [Codec::default(), keyed(1)] {
                let stored = codec.encode("name", &content).unwrap();
                for len in [None, Some(content.len() as u64)] {
                    assert_eq!(codec.decode("name", stored.clone(), len).as_ref(), Ok(&content));
                }
                for wrong in [content.len() as u64 + 1, (content.len() as u64).wrapping_sub(1)] {
                    assert!(codec.decode("name", stored.clone(), Some(wrong)).is_err());
                }
            }
        }
    }

    #[test]
    fn no_two_objects_are_encrypted_alike() {
        let codec = keyed(1);
        assert_ne!(codec.encode("name", b"same").unwrap(), codec.encode("name", b"same").unwrap());
    }

    #[test]
    fn every_change_of_what_is_encrypted_is_seen() {
        let codec = keyed(1);
        let stored = codec.encode("name", &noise(2 * CHUNK + 100)).unwrap();
        let decode = |stored: &[u8]| codec.decode("name", stored.to_vec(), None);
        assert!(decode(&stored).is_ok());
        let bits = (0..HEAD * 8).chain((HEAD * 8..stored.len() * 8).step_by(4093));
        for bit in bits {
            let mut changed = stored.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&changed).is_err(), "bit {bit}");
        }
        for cut in (0..stored.len()).step_by(CHUNK / 3).chain([HEAD + CHUNK + TAG]) {
            assert!(decode(&stored[..cut]).is_err(), "cut at {cut}");
        }
        // Chunks that change places, or are there twice.
        let (first, second) =
            (HEAD..HEAD + CHUNK + TAG, HEAD + CHUNK + TAG..HEAD + 2 * (CHUNK + TAG));
        let swapped =
            [&stored[..HEAD], &stored[second.clone()], &stored[first], &stored[second.end..]]
                .concat();
        assert!(decode(&swapped).is_err());
        let twice =
            [&stored[..second.end], &stored[second.clone()], &stored[second.end..]].concat();
        assert!(decode(&twice).is_err());
    }

    #[test]
    fn the_key_and_the_name_have_to_be_the_same() {
        let stored = keyed(1).encode("name", b"content").unwrap();
        let decode = |codec: Codec, name| codec.decode(name, stored.clone(), None);
        assert_eq!(decode(Codec::default(), "name"), Err(CodecError::NoKey));
        assert_eq!(decode(keyed(2), "name"), Err(CodecError::OtherKey));
        assert!(matches!(decode(keyed(1), "other"), Err(CodecError::Damaged(_))));
        let plain = Codec::default().encode("name", b"content").unwrap();
        assert_eq!(keyed(1).decode("name", plain, None), Err(CodecError::NotEncrypted));
    }
}
