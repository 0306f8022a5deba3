//! What moves bytes between one socket and its endpoint.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::task::Context;

use mio::event::Event;
use mio::net::TcpStream;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::{Instant, Now};

use crate::input::Input;

/// Most reads and writes before other connections have their turn.
const TURNS: usize = 32;
/// Most slices in one write.
const SLICES: usize = 16;
/// One socket with its endpoint, and what is known of the socket's readiness: events come once, so
/// that it is remembered until an operation says otherwise.
#[derive(Debug)]
pub(super) struct Connection<E> {
    pub(super) stream: TcpStream,
    endpoint: E,
    input: Input,
    output: Output,
    /// The endpoint was asked for an orderly end.
    is_draining: bool,
}

/// What the socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// Something, as far as is known.
    Some,
    /// Nothing until an event comes; the endpoint was told.
    Full,
    /// The endpoint was told that it takes nothing, but an event has come since.
    Retry,
}

/// What came of a turn, or of one round of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more to do.
    Again,
    /// Nothing to do until an event, a call of the waker, or this instant.
    Wait(Option<Instant>),
    /// It is over: the endpoint closed it, or the peer or the network broke it.
    End,
}

impl<E: Endpoint> Connection<E> {
    /// A socket that was registered just now.
    pub(super) fn new(stream: TcpStream, endpoint: E) -> Self {
        Self { stream, endpoint, input: Input::Nothing, output: Output::Some, is_draining: false }
    }

    /// Notes what an event tells; whether there is something to do now that there was not before.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        let (had_input, took_output) = (self.input != Input::Nothing, self.output != Output::Full);
        self.input.note(event);
        let takes_output = event.is_writable() || event.is_write_closed() || event.is_error();
        if !took_output && takes_output {
            self.output = Output::Retry;
        }
        (!had_input && self.input != Input::Nothing) || (!took_output && takes_output)
    }

    /// Drives the endpoint until it waits, for a bounded number of rounds. `scratch` is what the
    /// socket is read into.
    ///
    /// Reading straight into the spare capacity of the endpoint's buffer takes unsafe code, or
    /// zeroes that capacity each time: 8 KiB for a request of a hundred bytes. One block that all
    /// connections of a loop share stays in the cache, and costs the copy of what has come.
    pub(super) fn turn(
        &mut self,
        now: Now,
        drain: bool,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Step {
        if drain && !self.is_draining {
            self.is_draining = true;
            self.endpoint.shut_down();
        }
        for _ in 0..TURNS {
            match self.round(now, cx, scratch) {
                Ok(Step::Again) => {}
                Ok(Step::Wait(until)) => {
                    self.endpoint.release();
                    return Step::Wait(until);
                }
                Ok(Step::End) | Err(_) => return Step::End,
            }
        }
        Step::Again
    }

    fn round(&mut self, now: Now, cx: &mut Context<'_>, scratch: &mut [u8]) -> io::Result<Step> {
        let until = match self.endpoint.poll_output(now, cx) {
            Next::Write if self.output == Output::Some => {
                if !self.write()? {
                    self.endpoint.wrote(0);
                }
                return Ok(Step::Again);
            }
            Next::Write => None,
            Next::Idle(until) => Some(until),
            Next::CloseWrite => {
                self.stream.shutdown(Shutdown::Write)?;
                return Ok(Step::Again);
            }
            Next::Close => return Ok(Step::End),
        };
        if self.output == Output::Retry && self.write()? {
            return Ok(Step::Again);
        }
        if self.input.is_there() && self.endpoint.wants_read() && self.read(scratch)? {
            return Ok(Step::Again);
        }
        Ok(Step::Wait(until))
    }

    /// Writes once; whether to go on.
    fn write(&mut self) -> io::Result<bool> {
        let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
        let filled = self.endpoint.unsent(&mut slices);
        let written = match slices.get(..filled).unwrap_or_default() {
            [slice] => self.stream.write(slice),
            slices => {
                let mut buffers = [IoSlice::new(&[]); SLICES];
                for (buffer, slice) in buffers.iter_mut().zip(slices) {
                    *buffer = IoSlice::new(slice);
                }
                self.stream.write_vectored(buffers.get(..filled).unwrap_or_default())
            }
        };
        match written {
            // Nothing was asked to be written, or nothing ever will be.
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                self.output = Output::Some;
                self.endpoint.wrote(n);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.output = Output::Full;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads once; whether to go on.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        let buffer = self.endpoint.read_buffer();
        let spare = buffer.capacity() - buffer.len();
        let Some(came) = self.input.read(&mut self.stream, spare, scratch)? else {
            return Ok(false);
        };
        if came.is_empty() {
            self.endpoint.end_of_stream();
        } else {
            buffer.extend_from_slice(came);
        }
        Ok(true)
    }
}
