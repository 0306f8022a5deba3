//! What is asked, and what is a good answer to it.

pub(super) mod cache;
pub(super) mod mix;
pub(super) mod queue;
pub(super) mod track;

use std::fmt::Debug;

use windhover_core::memcache::response::{self, Response};
use windhover_core::memcache::{Dialect, Limits, Parsed};

use super::failure::Failure;

/// Makes requests, and knows their answers. Each thread has one of its own.
pub(super) trait Workload: Clone + Send + 'static {
    /// What has to be known of a request to know its answer.
    type Asked: Copy + Debug + Send;
    /// What comes next on a connection, which begins anew with each connection.
    type Turn: Clone + Debug + Default + Send;

    /// What [`Workload::check`] counts.
    const COUNTS: &'static [&'static str];

    /// Puts the next request of a connection behind what `out` holds.
    fn ask(&mut self, turn: &mut Self::Turn, out: &mut Vec<u8>) -> Self::Asked;

    /// What `came` is, which begins where the answer has to begin. `counts` are those of [`Workload::COUNTS`].
    fn check(
        &self,
        asked: Self::Asked,
        came: &[u8],
        turn: &mut Self::Turn,
        counts: &mut [u64],
    ) -> Checked;

    /// Other random numbers than those of another thread.
    fn seed(&mut self, seed: u64);
}

/// What has come of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// More is to come.
    Partial,
    /// It is a good one, of so many bytes.
    Good { length: usize, closes: bool },
    /// The server says no, in so many bytes.
    Refused { length: usize, closes: bool, why: Failure },
    /// Nobody knows what follows on this connection.
    NoAnswer(Failure),
}

/// A frame of a memcache server's reply.
enum Frame<'a> {
    Partial,
    Whole(Response<'a>, usize),
    NoAnswer(Failure),
}

fn frame<'a>(came: &'a [u8], dialect: Dialect, limits: &Limits) -> Frame<'a> {
    match response::parse(came, dialect, limits) {
        Ok(Parsed::Complete { message, consumed }) => Frame::Whole(message, consumed),
        Ok(Parsed::Incomplete { .. }) => Frame::Partial,
        Err(_) => Frame::NoAnswer(Failure::not_an_answer(came)),
    }
}

/// What a reply of one line is where it is not the one that was hoped for.
fn other_line(line: &Response<'_>, came: &[u8], length: usize) -> Checked {
    let words = came.get(..length).unwrap_or(came).trim_ascii_end();
    match line {
        Response::Error(_)
        | Response::ClientError(_)
        | Response::ServerError(_)
        | Response::NotStored => {
            Checked::Refused { length, closes: false, why: Failure::refused(words) }
        }
        _ => Checked::NoAnswer(Failure::not_an_answer(words)),
    }
}
