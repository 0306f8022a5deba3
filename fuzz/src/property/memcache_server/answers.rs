//! Answers, and what of them the client is to see.

use core::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::memcache::command::{self, Command};
use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaReply};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Kind, Response};
use windhover_core::memcache::{Dialect, ServerConnection};

use crate::Source;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    /// The application has until then.
    pub(super) deadline: Instant,
    command: Command,
    kinds: Vec<Kind>,
    noreply: bool,
    quiet: bool,
    without_end: bool,
}

impl Pending {
    /// A request that was handed out at `now`, where an answer may take so long.
    pub(super) fn to(
        request: &Request<'_>,
        dialect: Dialect,
        now: Instant,
        answer: Duration,
    ) -> Self {
        let wait = match request {
            Request::QueueRead(read) => read.timeout.unwrap_or_default(),
            Request::Monitor { seconds, .. } => Duration::from_secs(u64::from(*seconds)),
            _ => Duration::ZERO,
        };
        let command = request.command();
        let kinds = command::row(command, dialect).map_or(&[][..], |row| row.replies).to_vec();
        let sizes =
            matches!(request, Request::Stats { arguments: b"sizes_enable" | b"sizes_disable" });
        Self {
            deadline: now + answer + wait.min(Duration::from_millis(u64::from(u32::MAX))),
            command,
            kinds,
            noreply: request.noreply(),
            quiet: request.quiet(),
            without_end: sizes && dialect == Dialect::Memcached,
        }
    }

    /// Gives a whole answer; what of it is to be sent, and whether credentials were accepted.
    pub(super) fn answer(
        &self,
        connection: &mut ServerConnection,
        source: &mut Source<'_>,
    ) -> (Vec<u8>, Option<bool>) {
        let mut sent = Vec::new();
        let goes_on = |kind: &&Kind| matches!(kind, Kind::Value | Kind::Stat | Kind::Listing);
        if let Some(&kind) = self.kinds.iter().find(goes_on) {
            for _ in 0..source.below(4) {
                self.give(connection, kind, source, &mut sent);
                if self.command == Command::Monitor {
                    // Each item has an end of its own.
                    self.give(connection, Kind::End, source, &mut sent);
                }
            }
        }
        if self.command == Command::Watch && source.chance(1, 2) {
            self.give(connection, Kind::Ok, source, &mut sent);
        }
        let mut ends: Vec<Kind> =
            self.kinds.iter().copied().filter(|kind| !goes_on(&kind)).collect();
        if self.command == Command::Watch {
            ends.retain(|kind| *kind != Kind::Ok);
        }
        ends.extend([Kind::Error, Kind::ClientError, Kind::ServerError]);
        let last = source.pick_of(&ends);
        self.give(connection, last, source, &mut sent);
        let verdict = (self.command == Command::Authenticate).then_some(last == Kind::Stored);
        (sent, verdict)
    }

    fn give(
        &self,
        connection: &mut ServerConnection,
        kind: Kind,
        source: &mut Source<'_>,
        sent: &mut Vec<u8>,
    ) {
        let large = [b'x'; 5000];
        let data = if source.chance(1, 5) { &large[..] } else { b"data" };
        let shared = Bytes::copy_from_slice(data);
        let flags = MetaFlags::new(b"k1 O2");
        let block = |line: &str| [line.as_bytes(), b"\r\n", data, b"\r\n"].concat();
        let text = match kind {
            Kind::Value => {
                connection.responses_mut().respond_value(b"key", 7, Some(9), &shared);
                block(&format!("VALUE key 7 {} 9", data.len()))
            }
            Kind::Meta(MetaCode::Value) => {
                connection.responses_mut().respond_meta_value(flags, &shared);
                block(&format!("VA {} k1 O2", data.len()))
            }
            _ => {
                let (response, line): (Response<'_>, &[u8]) = match kind {
                    Kind::Stat => (Response::Stat { name: b"a", value: b"1 2" }, b"STAT a 1 2\r\n"),
                    Kind::Listing => (Response::Listing(b"key=a"), b"key=a\r\n"),
                    Kind::End => (Response::End, b"END\r\n"),
                    Kind::Stored => (Response::Stored, b"STORED\r\n"),
                    Kind::NotStored => (Response::NotStored, b"NOT_STORED\r\n"),
                    Kind::Exists => (Response::Exists, b"EXISTS\r\n"),
                    Kind::Deleted => (Response::Deleted, b"DELETED\r\n"),
                    Kind::NotFound => (Response::NotFound, b"NOT_FOUND\r\n"),
                    Kind::Touched => (Response::Touched, b"TOUCHED\r\n"),
                    Kind::Ok => (Response::Ok, b"OK\r\n"),
                    Kind::Reset => (Response::Reset, b"RESET\r\n"),
                    Kind::Version => (Response::Version(b"1.2"), b"VERSION 1.2\r\n"),
                    Kind::Number => (Response::Number(12), b"12\r\n"),
                    Kind::MetaDebug => {
                        (Response::MetaDebug { key: b"k", fields: b"a=b" }, b"ME k a=b\r\n")
                    }
                    Kind::MetaNoop => (Response::MetaNoop, b"MN\r\n"),
                    Kind::Line => (Response::Line(b"BUSY now"), b"BUSY now\r\n"),
                    Kind::Error => (Response::Error(b""), b"ERROR\r\n"),
                    Kind::ClientError => (Response::ClientError(b"no"), b"CLIENT_ERROR no\r\n"),
                    Kind::Meta(code) => {
                        let line: &[u8] = match code {
                            MetaCode::Done => b"HD k1 O2\r\n",
                            MetaCode::Miss => b"EN k1 O2\r\n",
                            MetaCode::NotStored => b"NS k1 O2\r\n",
                            MetaCode::Exists => b"EX k1 O2\r\n",
                            _ => b"NF k1 O2\r\n",
                        };
                        (Response::Meta(MetaReply::new(code, flags)), line)
                    }
                    _ => (Response::ServerError(b"no"), b"SERVER_ERROR no\r\n"),
                };
                connection.responses_mut().respond(&response);
                line.to_vec()
            }
        };
        if !self.hides(kind, sent) {
            sent.extend_from_slice(&text);
        }
    }

    /// What is sent when no answer was given in time.
    pub(super) fn expired(&self) -> &'static [u8] {
        if self.noreply { b"" } else { b"SERVER_ERROR the server made no reply in time\r\n" }
    }

    /// What protocol.txt says that a client does not get to see, behind what it was sent of the reply.
    fn hides(&self, kind: Kind, sent: &[u8]) -> bool {
        let expected = match self.command {
            Command::MetaGet => kind == Kind::Meta(MetaCode::Miss),
            Command::MetaSet | Command::MetaDelete => kind == Kind::Meta(MetaCode::Done),
            Command::MetaArithmetic => {
                matches!(kind, Kind::Meta(MetaCode::Done | MetaCode::Value))
            }
            _ => false,
        };
        self.noreply
            || (self.quiet && expected)
            || (self.without_end && kind == Kind::End && !sent.is_empty())
    }
}

/// Answers where no request is pending.
pub(super) fn give_nothing(connection: &mut ServerConnection) {
    connection.responses_mut().respond(&Response::Stored);
    connection.responses_mut().respond_value(b"key", 0, None, &Bytes::from_static(b"value"));
    connection
        .responses_mut()
        .respond_meta_value(MetaFlags::default(), &Bytes::from_static(b"value"));
}
