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

/// Which values are compressed when they are stored, and whether flags mean that one is.
///
/// ```
/// use windhover_client::{Client, Compression};
///
/// // What pymemcache has compressed is read; what this client stores is left as it is.
/// let builder = Client::builder().server("10.0.0.1:11211").compression(Compression::ReadOnly);
/// # drop(builder);
/// # #[cfg(feature = "zlib")]
/// let builder = Client::builder()
///     .server("10.0.0.1:11211")
///     // Both ways, from 1 KiB on.
///     .compression(Compression::Zlib { from: 1024 });
/// # #[cfg(feature = "zlib")]
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// None. All flags are the caller's, and a value is read as it was stored.
    #[default]
    None,
    /// None, but what others have compressed is decompressed when it is read.
    ReadOnly,
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

/// Which bits of a value's flags say how it is compressed: one bit each, or 0 where no value is
/// compressed so. The other flags are the caller's.
///
/// ```
/// use windhover_client::{Client, Compression, CompressionFlags, FLAG_ZLIB};
///
/// assert_eq!(CompressionFlags::default().zlib, FLAG_ZLIB);
/// // What a client has written that marks zlib with bit 1, and knows no zstd, is decompressed.
/// let builder = Client::builder()
///     .server("10.0.0.1:11211")
///     .compression(Compression::ReadOnly)
///     .compression_flags(CompressionFlags::new(1 << 1, 0));
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressionFlags {
    /// The bit of zlib.
    pub zlib: u32,
    /// The bit of zstd.
    pub zstd: u32,
}

impl CompressionFlags {
    /// These bits.
    pub const fn new(zlib: u32, zstd: u32) -> Self {
        Self { zlib, zstd }
    }
}

impl Default for CompressionFlags {
    /// [`FLAG_ZLIB`] and [`FLAG_ZSTD`].
    fn default() -> Self {
        Self::new(FLAG_ZLIB, FLAG_ZSTD)
    }
}

/// How a client makes stored values of its callers' values, and those of these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    pub(crate) compression: Compression,
    pub(crate) flags: CompressionFlags,
    /// The longest value that is compressed, and that a value may become once it is decompressed.
    pub(crate) largest: usize,
}

impl Default for Packing {
    fn default() -> Self {
        let (compression, flags) = (Compression::default(), CompressionFlags::default());
        Self { compression, flags, largest: 256 << 20 }
    }
}

impl Packing {
    /// The value as it is stored, and its flags. One that does not get smaller is left as it is.
    pub(crate) fn pack(&self, value: Bytes, flags: u32) -> Result<(Bytes, u32), ValueError> {
        if self.compression == Compression::None {
            return Ok((value, flags));
        }
        let reserved = flags & (self.flags.zlib | self.flags.zstd);
        if reserved != 0 {
            return Err(ValueError::FlagsReserved { bits: reserved });
        }
        if value.len() > self.largest {
            let (length, limit) = (value.len(), self.largest);
            return Err(ValueError::TooLargeToCompress { length, limit });
        }
        match self.compression {
            #[cfg(feature = "zlib")]
            Compression::Zlib { from } if value.len() >= from && self.flags.zlib != 0 => {
                smaller(value, zlib, flags, self.flags.zlib)
            }
            #[cfg(feature = "zstd")]
            Compression::Zstd { from } if value.len() >= from && self.flags.zstd != 0 => {
                smaller(value, |value| zstd::bulk::compress(value, 0), flags, self.flags.zstd)
            }
            _ => Ok((value, flags)),
        }
    }

    /// The value as it was before it was compressed, and the flags that are the caller's.
    pub(crate) fn unpack(&self, value: Bytes, flags: u32) -> Result<(Bytes, u32), ValueError> {
        if self.compression == Compression::None {
            return Ok((value, flags));
        }
        if flags & self.flags.zlib != 0 {
            #[cfg(feature = "zlib")]
            {
                let mut reader = flate2::bufread::ZlibDecoder::new(&value[..]);
                let unpacked = read_all(&mut reader, self.largest)?;
                ends(reader.get_ref())?;
                return Ok((unpacked, flags & !self.flags.zlib));
            }
            #[cfg(not(feature = "zlib"))]
            return Err(ValueError::NotBuiltIn { feature: "zlib" });
        }
        if flags & self.flags.zstd != 0 {
            #[cfg(feature = "zstd")]
            {
                let reader = zstd::stream::read::Decoder::with_buffer(&value[..]);
                let mut reader = reader.map_err(|_| ValueError::Decompress)?.single_frame();
                let unpacked = read_all(&mut reader, self.largest)?;
                ends(reader.get_ref())?;
                return Ok((unpacked, flags & !self.flags.zstd));
            }
            #[cfg(not(feature = "zstd"))]
            return Err(ValueError::NotBuiltIn { feature: "zstd" });
        }
        Ok((value, flags))
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

/// Reads all of it, unless it is more than `largest`: a small value can stand for a huge one.
#[cfg(any(feature = "zlib", feature = "zstd"))]
fn read_all(reader: &mut impl Read, largest: usize) -> Result<Bytes, ValueError> {
    let bound = u64::try_from(largest).unwrap_or(u64::MAX).saturating_add(1);
    let mut unpacked = Vec::new();
    reader.take(bound).read_to_end(&mut unpacked).map_err(|_| ValueError::Decompress)?;
    if unpacked.len() > largest {
        return Err(ValueError::TooLarge { limit: largest });
    }
    Ok(Bytes::from(unpacked))
}

/// Nothing may stand behind what was compressed: it would be lost.
#[cfg(any(feature = "zlib", feature = "zstd"))]
fn ends(rest: &[u8]) -> Result<(), ValueError> {
    match rest.len() {
        0 => Ok(()),
        length => Err(ValueError::DataBehind { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Compression] = &[
        #[cfg(feature = "zlib")]
        Compression::Zlib { from: 100 },
        #[cfg(feature = "zstd")]
        Compression::Zstd { from: 100 },
    ];

    fn packing(compression: Compression) -> Packing {
        Packing { compression, ..Packing::default() }
    }

    fn bit(compression: Compression) -> u32 {
        match compression {
            #[cfg(feature = "zlib")]
            Compression::Zlib { .. } => FLAG_ZLIB,
            #[cfg(feature = "zstd")]
            Compression::Zstd { .. } => FLAG_ZSTD,
            _ => 0,
        }
    }

    #[test]
    fn what_gets_smaller_is_stored_smaller_and_comes_back() {
        for &compression in ALL {
            let value = Bytes::from(vec![b'x'; 10_000]);
            let mut packing = Packing { largest: 10_000, ..packing(compression) };
            let (packed, flags) = packing.pack(value.clone(), 16).unwrap();
            assert!(packed.len() < 100);
            assert_eq!(flags, 16 | bit(compression));
            assert_eq!(packing.unpack(packed.clone(), flags).unwrap(), (value.clone(), 16));
            packing.largest = 9_999;
            let found = packing.unpack(packed, flags);
            assert!(matches!(found, Err(ValueError::TooLarge { limit: 9_999 })));
            // What could not be read again is not stored.
            let stored = packing.pack(value, 0);
            assert!(matches!(stored, Err(ValueError::TooLargeToCompress { length: 10_000, .. })));
        }
    }

    #[test]
    fn what_does_not_get_smaller_is_left_as_it_is() {
        for &compression in ALL {
            let short = Bytes::from(vec![b'x'; 99]);
            assert_eq!(packing(compression).pack(short.clone(), 0).unwrap(), (short, 0));
            let noise: Bytes =
                (0..200_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
            assert_eq!(packing(compression).pack(noise.clone(), 0).unwrap(), (noise, 0));
        }
    }

    #[test]
    fn a_value_that_only_says_that_it_is_compressed_is_an_error() {
        for &compression in ALL {
            let value = Bytes::from_static(b"plain");
            let found = packing(compression).unpack(value, bit(compression));
            assert!(matches!(found, Err(ValueError::Decompress)), "{found:?}");
        }
    }

    #[test]
    fn a_compressed_value_with_something_around_it_or_missing_is_an_error() {
        for &compression in ALL {
            let packing = packing(compression);
            let (packed, flags) = packing.pack(Bytes::from(vec![b'x'; 10_000]), 0).unwrap();
            // `ab`, the same value again, and a frame that zstd skips.
            for appended in [&b"ab"[..], &packed, b"\x50\x2a\x4d\x18\x01\0\0\0x"] {
                let found = packing.unpack([&packed[..], appended].concat().into(), flags);
                match found {
                    Err(ValueError::DataBehind { length }) => assert_eq!(length, appended.len()),
                    other => panic!("{other:?}"),
                }
            }
            let prepended = packing.unpack([&b"ab"[..], &packed].concat().into(), flags);
            assert!(matches!(prepended, Err(ValueError::Decompress)), "{prepended:?}");
            for length in 0..packed.len() {
                let cut = packing.unpack(packed.slice(..length), flags);
                assert!(matches!(cut, Err(ValueError::Decompress)), "{length}: {cut:?}");
            }
        }
    }

    #[test]
    fn flags_are_the_callers_unless_compression_is_asked_for() {
        let plain = Bytes::from_static(b"plain");
        for flags in [8, 1 << 20, u32::MAX] {
            let packing = packing(Compression::None);
            assert_eq!(packing.pack(plain.clone(), flags).unwrap(), (plain.clone(), flags));
            assert_eq!(packing.unpack(plain.clone(), flags).unwrap(), (plain.clone(), flags));
        }
        for compression in ALL.iter().copied().chain([Compression::ReadOnly]) {
            let packing = packing(compression);
            for (flags, bits) in [(8, 8), (1 << 20, 1 << 20), (9, 8)] {
                let stored = packing.pack(plain.clone(), flags);
                match stored {
                    Err(ValueError::FlagsReserved { bits: reserved }) => assert_eq!(reserved, bits),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(packing.pack(plain.clone(), 16).unwrap(), (plain.clone(), 16));
        }
    }

    #[test]
    fn which_bits_mean_compression_is_an_option() {
        for &compression in ALL {
            let value = Bytes::from(vec![b'x'; 10_000]);
            let flags = CompressionFlags::new(1 << 1, 1 << 1);
            let packing = Packing { flags, ..packing(compression) };
            let (packed, flags) = packing.pack(value.clone(), 8).unwrap();
            assert_eq!(flags, 8 | 2);
            if bit(compression) == FLAG_ZLIB {
                assert_eq!(packing.unpack(packed, flags).unwrap(), (value.clone(), 8));
            }
            let none = Packing { flags: CompressionFlags::new(0, 0), ..packing };
            assert_eq!(none.pack(value.clone(), 8).unwrap(), (value.clone(), 8));
            assert_eq!(none.unpack(value.clone(), u32::MAX).unwrap(), (value, u32::MAX));
        }
    }
}
