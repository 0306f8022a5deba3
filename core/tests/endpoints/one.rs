//! A HTTP server with one answer.

use std::task::Context;

use bytes::BytesMut;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::http::{HttpLimits, Output, Response, ServerConnection, Status};
use windhover_core::{Now, Timeouts};

/// Answers every request with `1`.
pub(crate) struct One(ServerConnection);

impl One {
    pub(crate) fn new(now: Now) -> Self {
        Self(ServerConnection::new(&HttpLimits::default(), &Timeouts::default(), now.instant))
    }
}

impl Endpoint for One {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.0.read_buffer()
    }
    fn wants_read(&self) -> bool {
        self.0.wants_read()
    }
    fn end_of_stream(&mut self) {
        self.0.end_of_stream();
    }
    fn shut_down(&mut self) {
        self.0.shut_down();
    }
    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        loop {
            match self.0.poll_output(now) {
                Output::Request(_) => {
                    let one = Response::new(Status::OK, "text/plain", &b"1"[..]);
                    self.0.respond(&one, now.unix);
                }
                Output::Write => return Next::Write,
                Output::Idle(until) => return Next::Idle(until),
                Output::CloseWrite => return Next::CloseWrite,
                Output::Close => return Next::Close,
            }
        }
    }
    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.0.unsent(into)
    }
    fn wrote(&mut self, n: usize) {
        self.0.wrote(n);
    }
    fn release(&mut self) {
        self.0.release();
    }
}
