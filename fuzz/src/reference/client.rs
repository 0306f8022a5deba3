//! What a client's connection has to make of the bytes that it reads: whose answer they are, and
//! when it is over.

use std::collections::VecDeque;
use std::rc::Rc;

use windhover_core::Instant;
use windhover_core::memcache::response::{ResponseError, parse_line};
use windhover_core::memcache::{Dialect, End, Limits, MAX_DISCARDED, Oversized, Ticket};

use super::replies::{Asked, Reply};

/// A request that was taken and not begun.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its ticket.
    pub ticket: Ticket,
    /// What is asked.
    pub asked: Rc<Asked>,
    /// When it is over.
    pub deadline: Instant,
}

/// A request whose bytes were written, or wait for it.
#[derive(Clone, Debug)]
pub struct PendingRequest {
    /// Its ticket.
    pub ticket: Ticket,
    /// What is asked.
    pub asked: Rc<Asked>,
    /// When it is over.
    pub deadline: Instant,
    /// Somebody waits for it.
    pub open: bool,
    /// When it was put among the bytes to write.
    pub since: Instant,
    /// How many bytes were to be written before it.
    pub starts: u64,
    reply: Reply,
}

impl PendingRequest {
    /// Whether it must not be given up on a connection that goes on: its answer has no end, or an
    /// item was opened that only the end of the connection puts back.
    pub fn ties_up(&self) -> bool {
        self.asked.is_endless() || (self.asked.opens && self.reply.has_values())
    }
}

/// What has to be told.
#[derive(Clone, Debug)]
pub enum Told {
    /// A frame of a reply: its line and its data.
    Frame {
        /// Whose.
        ticket: Ticket,
        /// What was asked.
        asked: Rc<Asked>,
        /// The line.
        line: Vec<u8>,
        /// The data block.
        data: Vec<u8>,
    },
    /// An item that is too large for the client.
    Oversized {
        /// Whose.
        ticket: Ticket,
        /// What was asked.
        asked: Rc<Asked>,
        /// The line.
        line: Vec<u8>,
        /// What is too large.
        what: Oversized,
    },
    /// The reply has ended.
    Done(Ticket),
}

/// The connection.
#[derive(Clone, Debug)]
pub struct Client {
    dialect: Dialect,
    limits: Limits,
    /// The longest value that is handed on.
    largest: usize,
    /// The value in front is too large, and was told to be.
    oversized: bool,
    /// Taken and not begun.
    pub waiting: VecDeque<Waiting>,
    /// Begun and not answered to the end.
    pub pending: VecDeque<PendingRequest>,
    /// What came and was not taken.
    pub buffer: Vec<u8>,
    /// The line of the frame in front was looked at.
    matched: Option<bool>,
    /// How many bytes were put among those to write, and written.
    pub put: u64,
    /// How many were written.
    pub written: u64,
    /// When the last bytes came.
    pub heard: Instant,
    /// When bytes came or a request was begun.
    pub active: Instant,
    /// The server will send no more.
    pub ended: bool,
    /// No request is taken any more.
    pub leaving: bool,
    /// Why nothing more is read.
    pub end: Option<End>,
    fresh: bool,
}

impl Client {
    /// A new connection.
    pub fn new(dialect: Dialect, limits: &Limits, now: Instant) -> Self {
        let largest = if dialect.is_queue() { MAX_DISCARDED } else { limits.value };
        Self {
            dialect,
            limits: limits.clone().with_value(MAX_DISCARDED.max(limits.value)),
            largest,
            oversized: false,
            waiting: VecDeque::new(),
            pending: VecDeque::new(),
            buffer: Vec::new(),
            matched: None,
            put: 0,
            written: 0,
            heard: now,
            active: now,
            ended: false,
            leaving: false,
            end: None,
            fresh: false,
        }
    }

    /// Takes bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.end.is_none() {
            self.fresh |= !bytes.is_empty();
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Nothing more is read.
    pub fn spend(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.buffer.clear();
        }
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.pending.len() + self.waiting.len()
    }

    /// Bytes that were put among those to write since the last look: whole requests, in order.
    pub fn put(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            let Waiting { ticket, asked, deadline } =
                self.waiting.pop_front().expect("bytes of no request");
            bytes = bytes.strip_prefix(&asked.wire[..]).expect("the bytes of another request");
            let starts = self.put;
            self.put += asked.wire.len() as u64;
            self.active = now;
            let reply = Reply::default();
            let open = true;
            let since = now;
            self.pending.push_back(PendingRequest {
                ticket,
                asked,
                deadline,
                open,
                since,
                starts,
                reply,
            });
        }
    }

    /// Reads what has come.
    pub fn read(&mut self, now: Instant) -> VecDeque<Told> {
        let mut told = VecDeque::new();
        if core::mem::take(&mut self.fresh) {
            self.heard = now;
            self.active = now;
        }
        while self.end.is_none() && self.frame(&mut told) {}
        if self.end.is_none() && self.ended {
            let written = self.put == self.written;
            let answered =
                |request: &&PendingRequest| request.asked.is_answered_by_the_end() && written;
            if self.buffer.is_empty()
                && let Some(request) = self.pending.front().filter(answered).cloned()
            {
                self.pending.pop_front();
                told.extend(request.open.then_some(Told::Done(request.ticket)));
            }
            self.spend(End::EndOfStream);
        }
        told
    }

    /// Whether there may be more to read.
    fn frame(&mut self, told: &mut VecDeque<Told>) -> bool {
        if self.buffer.is_empty() {
            return false;
        }
        let written = self.written;
        let Some(request) = self.pending.front_mut().filter(|request| request.starts < written)
        else {
            self.spend(End::Unasked);
            return false;
        };
        let Some(newline) = self.buffer.iter().position(|&byte| byte == b'\n') else {
            if self.buffer.len() > self.limits.line {
                self.spend(End::Malformed(ResponseError::LineTooLong));
            }
            return false;
        };
        let line = self.buffer[..=newline].to_vec();
        let mut oversized = None;
        let mut narrow = line.clone();
        let mut parsed = parse_line(&line, self.dialect, &self.limits);
        if let Err(ResponseError::FlagsTooLarge { flags }) = parsed {
            oversized = Some(Oversized::Flags { flags });
            narrow = with_other_flags(&line);
            parsed = parse_line(&narrow, self.dialect, &self.limits);
        }
        let line = &line[..];
        let parsed = match parsed {
            Ok(parsed) => {
                if let Some(length) = parsed.data.filter(|&length| length > self.largest) {
                    let value = Oversized::Value { length: length as u64, limit: self.largest };
                    oversized.get_or_insert(value);
                }
                parsed
            }
            Err(error) => {
                self.spend(End::Malformed(error));
                return false;
            }
        };
        if self.matched.is_none() {
            let Some(last) = request.reply.frame(&request.asked, line, &parsed.response) else {
                self.spend(End::Mismatched);
                return false;
            };
            if !request.open && request.ties_up() {
                self.spend(End::Abandoned);
                return false;
            }
            self.matched = Some(last);
            self.oversized = oversized.is_some();
            if let (Some(what), true) = (oversized, request.open) {
                let (ticket, asked, line) =
                    (request.ticket, Rc::clone(&request.asked), narrow.clone());
                told.push_back(Told::Oversized { ticket, asked, line, what });
            }
        }
        let kind = parsed.response.kind();
        let mut whole = line.len();
        let mut data = Vec::new();
        if let Some(length) = parsed.data {
            let Some(block) = self.buffer.get(whole..whole + length + 2) else {
                return false;
            };
            let Some(value) = block.strip_suffix(b"\r\n") else {
                self.spend(End::Malformed(ResponseError::BadDataBlock));
                return false;
            };
            data = value.to_vec();
            whole += block.len();
        }
        let last = self.matched.take() == Some(true);
        let (ticket, asked, line) = (request.ticket, Rc::clone(&request.asked), line.to_vec());
        let whole_frame = !core::mem::take(&mut self.oversized);
        if request.open {
            if whole_frame {
                told.push_back(Told::Frame { ticket, asked, line, data });
            }
            told.extend(last.then_some(Told::Done(ticket)));
        }
        let may_go_on = request.asked.is_ambiguous(kind) || request.reply.has_begun();
        let ambiguous = last && kind.is_error() && may_go_on;
        if last {
            self.pending.pop_front();
        }
        self.buffer.drain(..whole);
        if ambiguous {
            self.spend(End::Ambiguous);
        }
        true
    }
}

/// A `VALUE` line with flags of 0.
pub(super) fn with_other_flags(line: &[u8]) -> Vec<u8> {
    let mut words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    words[2] = b"0";
    words.join(&b' ')
}
