//! Answers that are handed on: what a proxy does with them.

use super::{Answer, CallError, Refusal};
use crate::memcache::command::Command;
use crate::memcache::handler::{Reply, ReplyError};
use crate::memcache::meta::{MetaCode, MetaReply};
use crate::memcache::request::Prepared;
use crate::memcache::response::{Kind, Response};

impl Answer {
    /// Gives this answer as the reply to the same request, which `request` was prepared from: with the
    /// keys that it was asked for, in the form that its command has.
    ///
    /// # Errors
    /// Those of `reply`; [`ReplyError::Invalid`] for an answer that the request cannot have.
    pub fn give(&self, request: &Prepared, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
        match self {
            Self::Items(items) => {
                for item in items {
                    let key = request.keys().nth(item.index).unwrap_or_default();
                    reply.value(key, item.flags, item.cas, &item.value)?;
                    if request.command() == Command::Monitor {
                        reply.end()?;
                    }
                }
                reply.end()
            }
            Self::Word(kind) => reply.send(&kind.word().unwrap_or(NOT_AN_ANSWER)),
            Self::Number(number) => reply.send(&Response::Number(*number)),
            Self::Meta(answer) if answer.code == MetaCode::Value => {
                reply.meta_value(answer.flags(), &answer.value)
            }
            Self::Meta(answer) => {
                reply.send(&Response::Meta(MetaReply::new(answer.code, answer.flags())))
            }
            Self::Statistics(pairs) => {
                for (name, value) in pairs {
                    reply.stat(name, value)?;
                }
                // One form of `stats` has a reply without it.
                if reply.is_open() { reply.end() } else { Ok(()) }
            }
            Self::Text(text) => reply.send(&match request.command() {
                Command::Version => Response::Version(text),
                Command::MetaDebug => Response::MetaDebug { key: request.key(), fields: text },
                _ => Response::Line(text),
            }),
            Self::Lines(lines) => {
                for line in lines {
                    reply.send(&Response::Listing(line))?;
                }
                if reply.is_open() { reply.end() } else { Ok(()) }
            }
            Self::Closed => {
                reply.close();
                Ok(())
            }
            // Nobody asks a server for a batch.
            Self::Batch(_) => reply.send(&NOT_AN_ANSWER),
        }
    }
}

const NOT_AN_ANSWER: Response<'static> =
    Response::ServerError(b"the answer is none to the request");

impl Refusal {
    /// The line that the server said.
    pub fn response(&self) -> Response<'_> {
        match self.kind {
            Kind::Error => Response::Error(&self.words),
            Kind::ClientError => Response::ClientError(&self.words),
            _ => Response::ServerError(&self.words),
        }
    }
}

impl CallError {
    /// Gives the error as the reply: what a server refused in its own words, all else as
    /// `SERVER_ERROR` with what is known of the effect.
    ///
    /// What a retrieval had found is left out: an error line behind values is read in more than one way,
    /// and one alone is a failure to every client.
    ///
    /// # Errors
    /// Those of `reply`.
    pub fn give(&self, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
        match self {
            Self::Refused { refusal, .. } => reply.send(&refusal.response()),
            other => reply.send(&Response::ServerError(alloc::format!("{other}").as_bytes())),
        }
    }
}
