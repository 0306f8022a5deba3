//! Without the feature `tls` a connection has no session, and the compiler knows.

use std::io::{self, IoSlice};
use std::task::Poll;

use bytes::BytesMut;
use windhover_core::client::ConnectFailure;

use super::wire::Came;

/// What there is none of.
pub(super) enum Session {}

impl Session {
    pub(super) const fn is_agreed(&self) -> bool {
        match *self {}
    }

    pub(super) const fn has_failed(&self) -> bool {
        match *self {}
    }

    pub(super) const fn wants_write(&self) -> bool {
        match *self {}
    }

    pub(super) const fn fail(&mut self, _: &str) -> ConnectFailure {
        match *self {}
    }

    pub(super) const fn end(&mut self) -> bool {
        match *self {}
    }

    pub(super) const fn encrypt(&mut self, _: &[IoSlice<'_>]) -> usize {
        match *self {}
    }

    pub(super) fn read<R>(&mut self, _: &mut BytesMut, _: R) -> Poll<Came> {
        match *self {}
    }

    pub(super) fn write<W>(&mut self, _: W) -> Poll<io::Result<()>> {
        match *self {}
    }
}
