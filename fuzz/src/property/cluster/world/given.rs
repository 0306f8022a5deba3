//! What a proxy gives its peer for an outcome.

use core::task::{Context, Waker};
use std::collections::BTreeMap;
use std::rc::Rc;

use windhover_core::client::{Answer, CallError};
use windhover_core::endpoint::{Endpoint as _, Next};
use windhover_core::memcache::command;
use windhover_core::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_core::memcache::request::{Prepared, Request};
use windhover_core::memcache::{Data, Dialect, Limits};
use windhover_core::{Now, Timeouts};

use crate::reference::answers;
use crate::reference::replies::Asked;

type Outcome = Result<Answer, CallError>;

struct Giver<'a> {
    request: &'a Prepared,
    outcome: &'a Outcome,
}

impl Handler for Giver<'_> {
    fn handle(
        &mut self,
        request: Request<'_>,
        _: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        assert_eq!(request.command(), self.request.command());
        let given = match self.outcome {
            Ok(answer) => answer.give(self.request, reply),
            Err(error) => error.give(reply),
        };
        given.expect("an answer of the command can be given to it");
        Ok(())
    }
}

/// What was answered, given as the reply to the same request, is read as the same answer; a failure is
/// read as an error.
pub(super) fn reads_the_same(
    request: &Prepared,
    outcome: &Outcome,
    asked: &Rc<Asked>,
    dialect: Dialect,
) {
    let closes = matches!(outcome, Ok(Answer::Closed));
    let is_other = command::row(asked.row.command, dialect) != Some(asked.row);
    // A text is written with a space for a carriage return, which might end its line.
    let rewritten = texts(outcome).iter().any(|text| text.contains(&b'\r'));
    if asked.batch.is_some() || closes || is_other || rewritten || asked.is_answered_by_the_end() {
        return;
    }
    let (limits, timeouts, now) = (Limits::default(), Timeouts::default(), Now::default());
    let mut session = Session::new(Giver { request, outcome }, dialect, &limits, &timeouts, now);
    let mut given = Vec::new();
    session.read_buffer().extend_from_slice(&asked.wire);
    while session.poll_output(now, &mut Context::from_waker(Waker::noop())) == Next::Write {
        let mut slices = [&b""[..]; 8];
        let filled = session.unsent(&mut slices);
        let bytes = slices[..filled].concat();
        session.wrote(bytes.len());
        given.extend_from_slice(&bytes);
    }
    let known = BTreeMap::from([(asked.wire.clone(), Rc::clone(asked))]);
    let read = answers::read(&asked.wire, &given, dialect, limits.value, &known);
    let [read] = &read[..] else { panic!("{asked:?} was answered {}", given.escape_ascii()) };
    let same = match outcome {
        Ok(answer) => read.is(answer, dialect),
        Err(CallError::Refused { refusal, .. }) => read.is_refusal(refusal, dialect),
        Err(_) => given.starts_with(b"SERVER_ERROR "),
    };
    assert!(same, "{outcome:?} to {asked:?} was given as {}", given.escape_ascii());
}

fn texts(outcome: &Outcome) -> Vec<&[u8]> {
    match outcome {
        Ok(Answer::Text(text)) => vec![text],
        Ok(Answer::Lines(lines)) => lines.iter().map(|line| &line[..]).collect(),
        Ok(Answer::Statistics(pairs)) => {
            pairs.iter().flat_map(|(name, value)| [&name[..], &value[..]]).collect()
        }
        Err(CallError::Refused { refusal, .. }) => vec![&refusal.words],
        _ => Vec::new(),
    }
}
