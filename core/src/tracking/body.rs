//! What the body of a request is, by its headers and its first bytes.

use alloc::vec::Vec;

use super::error::DecodeError;
#[cfg(feature = "gzip")]
use super::inflate::{self, Coding};
use super::limits::TrackingLimits;
use crate::http::{Headers, Method, Request};

/// The codings that a body may have, as `Accept-Encoding` tells them (RFC 9110 §15.5.16).
#[cfg(feature = "gzip")]
pub(super) const ACCEPTED_CODINGS: &str = "gzip, deflate";
/// The codings that a body may have, as `Accept-Encoding` tells them (RFC 9110 §15.5.16).
#[cfg(not(feature = "gzip"))]
pub(super) const ACCEPTED_CODINGS: &str = "identity";

/// A body without its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    None,
    Json(&'a [u8]),
    /// JSON, a document in each line.
    Lines(&'a [u8]),
    Form(&'a [u8]),
    /// Behind its `Content-Type`, which has its boundary.
    Multipart(&'a [u8], &'a [u8]),
}

impl<'a> Body<'a> {
    /// The body of a request; `inflated` is where a compressed one is made plain.
    pub(super) fn of(
        request: &Request<'a>,
        limits: &TrackingLimits,
        inflated: &'a mut Vec<u8>,
    ) -> Result<Self, DecodeError> {
        match request.method {
            Method::Get if request.body.is_empty() => return Ok(Self::None),
            Method::Get => return Err(DecodeError::BodyOfGet),
            Method::Post => {}
            _ => return Err(DecodeError::Method),
        }
        if request.body.is_empty() {
            return Ok(Self::None);
        }
        let body = plain(request, limits, inflated)?;
        Ok(match ContentType::of(&request.headers) {
            ContentType::Json => Self::Json(body),
            ContentType::Lines => Self::Lines(body),
            // What `curl -d '{…}'` sends calls itself a form; no form begins like that.
            ContentType::FormOrText if begins_json(body.iter().copied()) => Self::Json(body),
            ContentType::FormOrText => Self::Form(body),
            ContentType::Multipart => {
                Self::Multipart(request.headers.get("content-type").unwrap_or_default(), body)
            }
            ContentType::Other => return Err(DecodeError::ContentType),
        })
    }
}

/// Whether text begins as an object or array, perhaps behind white space or a byte order mark.
/// Base64 never does.
pub(super) fn begins_json(bytes: impl Iterator<Item = u8>) -> bool {
    let mut bytes = bytes.skip_while(u8::is_ascii_whitespace);
    matches!(bytes.next(), Some(b'{' | b'[' | 0xef))
}

/// The body without its compression.
#[cfg(feature = "gzip")]
fn plain<'a>(
    request: &Request<'a>,
    limits: &TrackingLimits,
    inflated: &'a mut Vec<u8>,
) -> Result<&'a [u8], DecodeError> {
    let coding = match content_coding(&request.headers)? {
        Some(name) if name.eq_ignore_ascii_case(b"gzip") => Coding::Gzip,
        // Equivalent, by RFC 9110 §8.4.1.3.
        Some(name) if name.eq_ignore_ascii_case(b"x-gzip") => Coding::Gzip,
        Some(name) if name.eq_ignore_ascii_case(b"deflate") => Coding::Deflate,
        Some(_) => return Err(DecodeError::ContentEncoding),
        // A beacon cannot say that it is compressed.
        None if request.body.starts_with(inflate::GZIP_MAGIC) => Coding::Gzip,
        None => return Ok(request.body),
    };
    inflate::inflate_into(coding, request.body, limits, inflated)
        .map_err(|fault| DecodeError::Inflate { fault })?;
    Ok(inflated)
}

/// The body, which is not compressed.
#[cfg(not(feature = "gzip"))]
fn plain<'a>(
    request: &Request<'a>,
    _: &TrackingLimits,
    _: &'a mut Vec<u8>,
) -> Result<&'a [u8], DecodeError> {
    match content_coding(&request.headers)? {
        Some(_) => Err(DecodeError::ContentEncoding),
        None => Ok(request.body),
    }
}

/// The one coding that the body has, if it has any.
fn content_coding<'a>(headers: &Headers<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
    let mut codings = headers
        .all("content-encoding")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (coding, None) => Ok(coding),
        (_, Some(_)) => Err(DecodeError::ContentEncoding),
    }
}

/// What the body says it is; parameters such as `charset` are not looked at, the bytes are.
enum ContentType {
    Json,
    Lines,
    /// A form, plain text (which `sendBeacon` says of a form), or nothing.
    FormOrText,
    Multipart,
    Other,
}

impl ContentType {
    fn of(headers: &Headers<'_>) -> Self {
        let value = headers.get("content-type").unwrap_or_default();
        let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
        let media_type = media_type.trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        if is("application/json") {
            Self::Json
        } else if is("application/x-ndjson") || is("application/ndjson") || is("application/jsonl")
        {
            Self::Lines
        } else if is("application/x-www-form-urlencoded") || is("text/plain") || is("") {
            Self::FormOrText
        } else if is("multipart/form-data") {
            Self::Multipart
        } else {
            Self::Other
        }
    }
}
