//! A server's end of a connection, with its bad habits.

use bytes::Bytes;
use windhover_core::memcache::meta::{FlagBuffer, MetaCode, MetaFlags, MetaReply, MetaRequest};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, ServerConnection};
use windhover_core::{Instant, Timeouts};

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    Line(Response<'static>),
    /// Key, cas and value of what was found.
    Values(Vec<(Vec<u8>, Option<u64>, Bytes)>),
    Meta {
        code: MetaCode,
        flags: Vec<u8>,
        data: Option<Bytes>,
    },
    /// Once an item is there, or the wait is over.
    Later,
    /// `ERROR`, and the connection is closed.
    Fatal,
}

impl Answer {
    /// With the flags that are to be echoed.
    pub(crate) fn meta(code: MetaCode, request: &MetaRequest<'_>, data: Option<Bytes>) -> Self {
        let mut flags = FlagBuffer::new();
        for flag in request.flags {
            match flag.letter {
                b'O' => {
                    flags.push_flag(flag);
                }
                b'k' => {
                    flags.push(b'k', request.key);
                }
                _ => {}
            }
        }
        Self::Meta { code, flags: flags.flags().text().to_vec(), data }
    }
}

/// What becomes of a session's replies after so many bytes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// It goes on for ever.
    Sound,
    /// Nothing more is said, although requests are still carried out.
    Mute,
    /// What comes in place of a reply is none.
    Garbage,
    /// The connection is reset, in the middle of a reply.
    Reset,
    /// The server closes its half, and reads on.
    HalfClose,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: ServerConnection,
    pub(crate) habit: Habit,
    /// How many bytes are said before the habit shows.
    pub(crate) sound_for: usize,
    /// Nothing more is read.
    pub(crate) over: bool,
}

impl Session {
    pub(crate) fn new(dialect: Dialect, habit: Habit, sound_for: usize, now: Instant) -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let connection = ServerConnection::new(dialect, &limits, &timeouts, now);
        Self { connection, habit, sound_for, over: false }
    }

    pub(crate) fn give(&mut self, answer: &Answer) {
        let connection = &mut self.connection;
        match answer {
            Answer::Line(response) => connection.responses_mut().respond(response),
            Answer::Values(values) => {
                for (key, cas, value) in values {
                    connection.responses_mut().respond_value(key, 0, *cas, value);
                }
                connection.responses_mut().respond(&Response::End);
            }
            Answer::Meta { code, flags, data: Some(data) } if *code == MetaCode::Value => {
                connection.responses_mut().respond_meta_value(MetaFlags::new(flags), data);
            }
            Answer::Meta { code, flags, .. } => {
                let reply = MetaReply::new(*code, MetaFlags::new(flags));
                connection.responses_mut().respond(&Response::Meta(reply));
            }
            Answer::Later => connection.responses_mut().hold_requests(),
            Answer::Fatal => {
                connection.responses_mut().respond(&Response::Error(b""));
                connection.responses_mut().close_after_responses();
            }
        }
    }

    /// The replies that wait to be written.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let mut slices = [&b""[..]; 16];
            let filled = self.connection.unsent(&mut slices);
            let some = slices[..filled].concat();
            if some.is_empty() {
                break;
            }
            self.connection.wrote(some.len());
            bytes.extend_from_slice(&some);
        }
        bytes
    }
}
