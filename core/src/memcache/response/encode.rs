//! Encoding: a frame can never become two.

use bytes::BytesMut;

use super::{Response, ValueFrame};
use crate::memcache::meta::{MetaCode, MetaFlags, MetaReply};
use crate::memcache::number;
use crate::swar;

/// Appends a frame to `out`, a value with its data block.
///
/// A byte that would break the line is replaced: a line end in a text by a space, a space or line
/// end in a key, in a flag or in a statistic's name by `?`. What a parsed request named never holds
/// one.
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::response::{self, Response};
///
/// let mut out = BytesMut::new();
/// response::encode(&Response::ServerError(b"out of memory storing object"), &mut out);
/// assert_eq!(&out[..], b"SERVER_ERROR out of memory storing object\r\n");
/// ```
pub fn encode(response: &Response<'_>, out: &mut BytesMut) {
    match *response {
        Response::Value(ValueFrame { key, flags, cas, data }) => {
            encode_value_line(key, flags, data.len(), cas, out);
            out.extend_from_slice(data);
        }
        Response::Stat { name, value } => {
            out.extend_from_slice(b"STAT ");
            put_word(name, out);
            out.extend_from_slice(b" ");
            put_text(value, out);
        }
        Response::Meta(MetaReply { code: MetaCode::Value, flags, data }) => {
            encode_meta_value_line(flags, data.len(), out);
            out.extend_from_slice(data);
        }
        Response::Meta(MetaReply { code, flags, .. }) => {
            out.extend_from_slice(code.text().as_bytes());
            put_flags(flags, out);
        }
        Response::MetaDebug { key, fields } => {
            out.extend_from_slice(b"ME ");
            put_word(key, out);
            out.extend_from_slice(b" ");
            put_text(fields, out);
        }
        Response::Version(version) => {
            out.extend_from_slice(b"VERSION ");
            put_text(version, out);
        }
        Response::Number(number) => number::put_unsigned(out, number),
        Response::Line(text) | Response::Listing(text) => put_text(text, out),
        Response::Error(what) | Response::ClientError(what) | Response::ServerError(what) => {
            out.extend_from_slice(response.kind().text().as_bytes());
            if !what.is_empty() {
                out.extend_from_slice(b" ");
                put_text(what, out);
            }
        }
        Response::End
        | Response::Stored
        | Response::NotStored
        | Response::Exists
        | Response::Deleted
        | Response::NotFound
        | Response::Touched
        | Response::Ok
        | Response::Reset
        | Response::MetaNoop => out.extend_from_slice(response.kind().text().as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the line of a meta command's value, `VA <length> <flags>`, whose data block, with `\r\n`
/// behind it, the caller sends itself.
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::meta::MetaFlags;
/// use windhover_core::memcache::response::encode_meta_value_line;
///
/// let mut line = BytesMut::new();
/// encode_meta_value_line(MetaFlags::new(b"t60 O7"), 700_000, &mut line);
/// assert_eq!(&line[..], b"VA 700000 t60 O7\r\n");
/// ```
pub fn encode_meta_value_line(flags: MetaFlags<'_>, length: usize, out: &mut BytesMut) {
    out.extend_from_slice(b"VA");
    number::put_behind_space(out, u64::try_from(length).unwrap_or(u64::MAX));
    put_flags(flags, out);
    out.extend_from_slice(b"\r\n");
}

fn put_flags(flags: MetaFlags<'_>, out: &mut BytesMut) {
    for flag in flags {
        out.extend_from_slice(b" ");
        put_word(&[flag.letter], out);
        if !flag.token.is_empty() {
            put_word(flag.token, out);
        }
    }
}

/// Appends the line of a value whose data block, with `\r\n` behind it, the caller sends itself.
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::response::encode_value_line;
///
/// let mut line = BytesMut::new();
/// encode_value_line(b"film", 1, 700_000, Some(42), &mut line);
/// assert_eq!(&line[..], b"VALUE film 1 700000 42\r\n");
/// ```
pub fn encode_value_line(
    key: &[u8],
    flags: u32,
    length: usize,
    cas: Option<u64>,
    out: &mut BytesMut,
) {
    out.extend_from_slice(b"VALUE ");
    put_word(key, out);
    number::put_behind_space(out, u64::from(flags));
    number::put_behind_space(out, u64::try_from(length).unwrap_or(u64::MAX));
    if let Some(cas) = cas {
        number::put_behind_space(out, cas);
    }
    out.extend_from_slice(b"\r\n");
}

/// A text may hold anything but a line end.
fn put_text(text: &[u8], out: &mut BytesMut) {
    put_replaced(text, b'\r', b' ', out);
}

/// A word may hold anything but a space and a line end.
#[inline]
fn put_word(word: &[u8], out: &mut BytesMut) {
    // Most hold no control character either.
    if swar::any(word, |eight| swar::below(eight, b'!')) {
        put_replaced(word, b' ', b'?', out);
    } else {
        out.extend_from_slice(word);
    }
}

/// Appends `bytes` with every newline and every `forbidden` byte replaced.
#[inline(never)]
fn put_replaced(mut bytes: &[u8], forbidden: u8, replacement: u8, out: &mut BytesMut) {
    while let Some(at) = memchr::memchr2(b'\n', forbidden, bytes) {
        out.extend_from_slice(bytes.get(..at).unwrap_or_default());
        out.extend_from_slice(&[replacement]);
        bytes = bytes.get(at + 1..).unwrap_or_default();
    }
    out.extend_from_slice(bytes);
}
