//! What holds for every record of a request.

use alloc::string::String;
use core::net::IpAddr;

use super::endpoint::RecordKind;
use crate::UnixTime;

/// What is stamped on every record of a request, and how it is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    pub(super) now: UnixTime,
    /// The client's address, when `ip=1`.
    pub(super) ip: Option<IpAddr>,
    /// `test=1`.
    pub(super) test: bool,
    /// The token, as a JSON string, of an event that brings none.
    pub(super) token: Option<String>,
    /// What the records are.
    pub(super) kind: RecordKind,
    /// `strict=1`: values that mean nothing are refused.
    pub(super) strict: bool,
}
