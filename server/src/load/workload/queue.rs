//! Requests to a queue, in kestrel's words.

use clap::ValueEnum;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits};

use super::{Checked, Frame, Workload, frame, other_line};

/// What is done with items; each connection goes through it again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QueueOperations {
    /// Put an item, then take one
    PutGet,
    /// Put items
    Put,
    /// Take items
    Get,
    /// Put an item, set one aside, confirm it
    PutReserve,
    /// Set an item aside, confirm it
    Reserve,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Operation {
    Put,
    Get,
    Open,
    Close,
}

impl QueueOperations {
    fn steps(self) -> &'static [Operation] {
        use Operation::{Close, Get, Open, Put};
        match self {
            Self::PutGet => &[Put, Get],
            Self::Put => &[Put],
            Self::Get => &[Get],
            Self::PutReserve => &[Put, Open, Close],
            Self::Reserve => &[Open, Close],
        }
    }
}

/// Where a connection is.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct QueueTurn {
    step: usize,
    /// An item is set aside for this connection.
    is_open: bool,
}

/// Puts into a queue and takes from it.
#[derive(Clone, Debug)]
pub(in super::super) struct QueueWorkload {
    operations: QueueOperations,
    put: Vec<u8>,
    get: Vec<u8>,
    open: Vec<u8>,
    close: Vec<u8>,
    limits: Limits,
}

const STORED: usize = 0;
const TAKEN: usize = 1;
const EMPTY: usize = 2;

impl QueueWorkload {
    pub(in super::super) fn new(operations: QueueOperations, queue: &str, size: usize) -> Self {
        let data: String = ('a'..='z').cycle().take(size).collect();
        Self {
            operations,
            put: format!("set {queue} 0 0 {size}\r\n{data}\r\n").into(),
            get: format!("get {queue}\r\n").into(),
            open: format!("get {queue}/open\r\n").into(),
            close: format!("get {queue}/close\r\n").into(),
            // Others may have put what they like.
            limits: Limits::default().with_value(usize::MAX),
        }
    }

    /// `VALUE` and `END`, or `END` alone where there is nothing: how long it is, and whether there was an item.
    fn taken(&self, came: &[u8]) -> Result<(usize, bool), Checked> {
        let mut at = 0;
        loop {
            let rest = came.get(at..).unwrap_or_default();
            match frame(rest, Dialect::Kestrel, &self.limits) {
                Frame::Partial => return Err(Checked::Partial),
                Frame::NoAnswer(why) => return Err(Checked::NoAnswer(why)),
                Frame::Whole(Response::Value(_), length) if at == 0 => at = length,
                Frame::Whole(Response::End, length) => return Ok((at + length, at > 0)),
                Frame::Whole(line, length) => return Err(other_line(&line, rest, length)),
            }
        }
    }
}

impl Workload for QueueWorkload {
    type Asked = Operation;
    type Turn = QueueTurn;

    const COUNTS: &'static [&'static str] = &["stored", "taken", "empty"];

    fn ask(&mut self, turn: &mut QueueTurn, out: &mut Vec<u8>) -> Operation {
        let steps = self.operations.steps();
        let operation = steps.get(turn.step).copied().unwrap_or(Operation::Get);
        turn.step = (turn.step + 1) % steps.len();
        out.extend_from_slice(match operation {
            Operation::Put => &self.put,
            Operation::Get => &self.get,
            Operation::Open => &self.open,
            Operation::Close => &self.close,
        });
        operation
    }

    fn check(
        &self,
        asked: Operation,
        came: &[u8],
        turn: &mut QueueTurn,
        counts: &mut [u64],
    ) -> Checked {
        let mut count =
            |which: usize| counts.iter_mut().skip(which).take(1).for_each(|it| *it += 1);
        if asked == Operation::Put {
            return match frame(came, Dialect::Kestrel, &self.limits) {
                Frame::Partial => Checked::Partial,
                Frame::NoAnswer(why) => Checked::NoAnswer(why),
                Frame::Whole(Response::Stored, length) => {
                    count(STORED);
                    Checked::Good { length, closes: false }
                }
                Frame::Whole(line, length) => other_line(&line, came, length),
            };
        }
        let (length, is_there) = match self.taken(came) {
            Ok(taken) => taken,
            Err(checked) => return checked,
        };
        match asked {
            Operation::Get => count(if is_there { TAKEN } else { EMPTY }),
            Operation::Open => {
                turn.is_open = is_there;
                if !is_there {
                    count(EMPTY);
                }
            }
            // It is gone now; before, it would have come back with the connection's end.
            _ => {
                if std::mem::take(&mut turn.is_open) {
                    count(TAKEN);
                }
            }
        }
        Checked::Good { length, closes: false }
    }

    fn seed(&mut self, _seed: u64) {}
}

#[cfg(test)]
mod tests {
    use super::super::super::failure::Failure;
    use super::*;

    fn checked(workload: &QueueWorkload, asked: Operation, came: &[u8]) -> (Checked, [u64; 3]) {
        let mut counts = [0; 3];
        for end in 0..came.len() {
            let mut none = [0; 3];
            let partial = workload.check(asked, &came[..end], &mut QueueTurn::default(), &mut none);
            assert_eq!((partial, none), (Checked::Partial, [0; 3]), "{end} bytes");
        }
        (workload.check(asked, came, &mut QueueTurn::default(), &mut counts), counts)
    }

    #[test]
    fn what_was_stored_and_taken_is_counted() {
        let workload = QueueWorkload::new(QueueOperations::PutGet, "q", 3);
        let good = |length| Checked::Good { length, closes: false };
        assert_eq!(checked(&workload, Operation::Put, b"STORED\r\n"), (good(8), [1, 0, 0]));
        let item = b"VALUE q 0 3\r\nabc\r\nEND\r\n";
        assert_eq!(checked(&workload, Operation::Get, item), (good(23), [0, 1, 0]));
        assert_eq!(checked(&workload, Operation::Get, b"END\r\n"), (good(5), [0, 0, 1]));
        // Set aside is not taken yet.
        assert_eq!(checked(&workload, Operation::Open, item), (good(23), [0, 0, 0]));
    }

    #[test]
    fn an_item_is_taken_when_it_is_confirmed() {
        let workload = QueueWorkload::new(QueueOperations::Reserve, "q", 3);
        let (mut turn, mut counts) = (QueueTurn::default(), [0; 3]);
        let item = b"VALUE q 0 3\r\nabc\r\nEND\r\n";
        workload.check(Operation::Open, item, &mut turn, &mut counts);
        workload.check(Operation::Close, b"END\r\n", &mut turn, &mut counts);
        workload.check(Operation::Open, b"END\r\n", &mut turn, &mut counts);
        workload.check(Operation::Close, b"END\r\n", &mut turn, &mut counts);
        assert_eq!(counts, [0, 1, 1]);
    }

    #[test]
    fn a_server_that_says_no_is_told_apart_from_one_that_talks_nonsense() {
        let workload = QueueWorkload::new(QueueOperations::PutGet, "q", 3);
        let why = Failure::refused(b"SERVER_ERROR full");
        let refused = Checked::Refused { length: 19, closes: false, why };
        let line = b"SERVER_ERROR full\r\n";
        assert_eq!(checked(&workload, Operation::Put, line), (refused.clone(), [0; 3]));
        assert_eq!(checked(&workload, Operation::Get, line), (refused, [0; 3]));
        let (nonsense, _) = checked(&workload, Operation::Get, b"STORED\r\n");
        assert_eq!(nonsense, Checked::NoAnswer(Failure::not_an_answer(b"STORED")));
    }

    #[test]
    fn each_connection_goes_through_its_steps() {
        let mut workload = QueueWorkload::new(QueueOperations::PutReserve, "q", 1);
        let (mut turn, mut out) = (QueueTurn::default(), Vec::new());
        for _ in 0..4 {
            workload.ask(&mut turn, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "set q 0 0 1\r\na\r\nget q/open\r\nget q/close\r\nset q 0 0 1\r\na\r\n");
    }
}
