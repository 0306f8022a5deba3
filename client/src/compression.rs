//! Compressed values, as other clients understand them.

#[cfg(any(feature = "zlib", feature = "zstd"))]
use std::io::Read;

use bytes::Bytes;

use crate::ValueError;

/// The flag of a value that zlib has compressed: pymemcache's `FLAG_COMPRESSED`, pylibmc's
/// `PYLIBMC_FLAG_ZLIB`.
pub const FLAG_ZLIB: u32 = 1 << 3;
/// The flag of a value that zstd has compressed: of our own, far from those that other clients use.
pub const FLAG_ZSTD: u32 = 1 << 20;

/// Which values are compressed when they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// With zlib, those of so many bytes and more. Pymemcache and pylibmc read them.
    #[cfg(feature = "zlib")]
    Zlib {
        /// The shortest value that is compressed.
        from: usize,
    },
    /// With zstd, those of so many bytes and more. Only clients of this library read them.
    #[cfg(feature = "zstd")]
    Zstd {
        /// The shortest value that is compressed.
        from: usize,
    },
}

impl Compression {
    /// The value as it is stored, and its flags. One that does not get smaller is left as it is.
    #[cfg_attr(
        not(any(feature = "zlib", feature = "zstd")),
        expect(clippy::unnecessary_wraps, reason = "packing can fail")
    )]
    pub(crate) fn compress(self, value: Bytes, flags: u32) -> Result<(Bytes, u32), ValueError> {
        match self {
            #[cfg(feature = "zlib")]
            Self::Zlib { from } if value.len() >= from => smaller(value, zlib, flags, FLAG_ZLIB),
            #[cfg(feature = "zstd")]
            Self::Zstd { from } if value.len() >= from => {
                smaller(value, |value| zstd::bulk::compress(value, 0), flags, FLAG_ZSTD)
            }
            _ => Ok((value, flags)),
        }
    }
}

#[cfg(any(feature = "zlib", feature = "zstd"))]
fn smaller(
    value: Bytes,
    pack: impl FnOnce(&[u8]) -> std::io::Result<Vec<u8>>,
    flags: u32,
    flag: u32,
) -> Result<(Bytes, u32), ValueError> {
    let packed = pack(&value).map_err(|_| ValueError::Compress)?;
    if packed.len() < value.len() {
        Ok((Bytes::from(packed), flags | flag))
    } else {
        Ok((value, flags))
    }
}

#[cfg(feature = "zlib")]
fn zlib(value: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    flate2::read::ZlibEncoder::new(value, flate2::Compression::default())
        .read_to_end(&mut packed)?;
    Ok(packed)
}

/// The value as it was before it was compressed, of at most `most` bytes, and the flags that are
/// not ours.
pub(crate) fn decompress(
    value: Bytes,
    flags: u32,
    #[cfg_attr(not(any(feature = "zlib", feature = "zstd")), expect(unused))] most: usize,
) -> Result<(Bytes, u32), ValueError> {
    if flags & FLAG_ZLIB != 0 {
        #[cfg(feature = "zlib")]
        return Ok((unpack(flate2::read::ZlibDecoder::new(&value[..]), most)?, flags & !FLAG_ZLIB));
        #[cfg(not(feature = "zlib"))]
        return Err(ValueError::NotBuiltIn { feature: "zlib" });
    }
    if flags & FLAG_ZSTD != 0 {
        #[cfg(feature = "zstd")]
        {
            let reader =
                zstd::stream::read::Decoder::new(&value[..]).map_err(|_| ValueError::Decompress)?;
            return Ok((unpack(reader, most)?, flags & !FLAG_ZSTD));
        }
        #[cfg(not(feature = "zstd"))]
        return Err(ValueError::NotBuiltIn { feature: "zstd" });
    }
    Ok((value, flags))
}

/// Reads all of it, unless it is more than `most`: a small value can stand for a huge one.
#[cfg(any(feature = "zlib", feature = "zstd"))]
fn unpack(reader: impl Read, most: usize) -> Result<Bytes, ValueError> {
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut unpacked = Vec::new();
    reader.take(bound).read_to_end(&mut unpacked).map_err(|_| ValueError::Decompress)?;
    if unpacked.len() > most {
        return Err(ValueError::TooLarge);
    }
    Ok(Bytes::from(unpacked))
}

#[cfg(all(test, feature = "zlib"))]
mod tests {
    use super::*;

    const ZLIB: Compression = Compression::Zlib { from: 100 };

    #[test]
    fn what_gets_smaller_is_stored_smaller_and_comes_back() {
        let value = Bytes::from(vec![b'x'; 10_000]);
        let (packed, flags) = ZLIB.compress(value.clone(), 16).unwrap();
        assert!(packed.len() < 100);
        assert_eq!(flags, 16 | FLAG_ZLIB);
        assert_eq!(decompress(packed.clone(), flags, 10_000).unwrap(), (value, 16));
        assert!(matches!(decompress(packed, flags, 9_999), Err(ValueError::TooLarge)));
    }

    #[test]
    fn what_does_not_get_smaller_is_left_as_it_is() {
        let short = Bytes::from(vec![b'x'; 99]);
        assert_eq!(ZLIB.compress(short.clone(), 0).unwrap(), (short, 0));
        let noise: Bytes =
            (0..200_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        assert_eq!(ZLIB.compress(noise.clone(), 0).unwrap(), (noise, 0));
    }

    #[test]
    fn a_value_that_only_says_that_it_is_compressed_is_an_error() {
        let value = Bytes::from_static(b"plain");
        assert!(matches!(decompress(value, FLAG_ZLIB, 100), Err(ValueError::Decompress)));
    }
}
