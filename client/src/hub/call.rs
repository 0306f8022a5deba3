//! One call, as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use windhover_core::client::{
    Answer, Call, CallError, CallId, Completed, NotSent, ReservationId, ServerId,
};
use windhover_core::memcache::request::Prepared;

use super::link::Link;
use super::shared::{Begun, Done};
use super::stream::ROUNDS;
use super::{Hub, Locked, Waiting};
use crate::{Error, spare};

/// A call under way. Dropping it gives the call up: its place in the order of replies stays, and a
/// reservation that it would have brought is put back.
pub(crate) struct CallFuture {
    hub: Arc<Hub>,
    stage: Stage,
    /// Its request, until it is over.
    prepared: Option<Prepared>,
    /// The connection whose bytes it moves, or will.
    moves: Option<Moves>,
}

/// A connection whose bytes a caller moves.
struct Moves {
    link: Arc<Link>,
    /// Other callers move them before it, or after it.
    follows: bool,
}

enum Stage {
    /// The call is submitted when it is polled first, and its time begins then.
    New {
        call: Call,
        timeout: Duration,
    },
    Waiting(Submitted),
    Done,
}

/// A call that the cluster has taken.
#[derive(Clone, Copy)]
struct Submitted {
    id: CallId,
    /// Its place among those that are waited for.
    token: usize,
}

impl CallFuture {
    pub(crate) fn new(hub: Arc<Hub>, call: Call, timeout: Duration) -> Self {
        let prepared = Some(call.prepared.clone());
        Self { hub, stage: Stage::New { call, timeout }, prepared, moves: None }
    }

    /// What came of it, told with its server and its key.
    fn end(&mut self, completed: Completed) -> Reply {
        let Completed { outcome, answered_by, reservation, .. } = completed;
        Reply { outcome: self.end_with(outcome), server: answered_by, reservation }
    }

    fn end_with(&mut self, outcome: Result<Answer, CallError>) -> Result<Answer, Error> {
        let prepared = self.prepared.take();
        let outcome = outcome.map_err(|error| {
            named(&self.hub, prepared.as_ref().and_then(Prepared::only_key), error)
        });
        if let Some(prepared) = prepared {
            spare::keep(prepared);
        }
        outcome
    }

    /// It was not sent.
    fn refuse(&mut self, error: CallError) -> Reply {
        Reply { outcome: self.end_with(Err(error)), server: None, reservation: None }
    }

    /// Submits the call. What becomes of it at once, unless it is to move bytes first.
    fn begin(&mut self, mut call: Call, timeout: Duration, waker: &Waker) -> Option<Poll<Reply>> {
        let mut state = self.hub.lock();
        let now = self.hub.now();
        let until = now + timeout;
        let token = state.calls.insert(Waiting::default());
        call.token = token;
        let waiting = match state.cluster.submit(call, until, now) {
            Ok(id) => Submitted { id, token },
            Err(error) => {
                state.calls.remove(token);
                drop(state);
                return Some(Poll::Ready(self.refuse(error)));
            }
        };
        let begun = state.begin_to_move(waiting.id, token, until, now);
        self.stage = Stage::Waiting(waiting);
        let begun = begun.map(|(link, begun)| {
            self.moves = Some(Moves { link, follows: begun != Begun::Moves });
            begun
        });
        if begun == Some(Begun::Moves) {
            return None;
        }
        state.pump(now);
        let looked = look(&mut state, waiting, self.moves.as_ref(), Some(waker));
        drop(state);
        if looked.is_ready() {
            (self.stage, self.moves) = (Stage::Done, None);
        } else if begun == Some(Begun::MovesLater) {
            // Others that are begun together with it are, meanwhile.
            waker.wake_by_ref();
        }
        Some(looked.map(|completed| self.end(completed)))
    }

    /// Moves bytes of its connection, if it does; where it `rests`, it waits from then on.
    fn move_bytes(&self, waiting: Submitted, rests: bool) -> Done {
        match &self.moves {
            Some(Moves { link, follows }) => {
                self.hub.move_for(link, waiting.id.number(), *follows, rests)
            }
            None => Done::Ended,
        }
    }
}

/// Whether a call is over, whose bytes were `moved` by itself; if not, `waker` is its own.
fn look(
    state: &mut Locked<'_>,
    call: Submitted,
    moved: Option<&Moves>,
    waker: Option<&Waker>,
) -> Poll<Completed> {
    let Some(waiting) = state.calls.get_mut(call.token) else {
        return Poll::Pending;
    };
    if waiting.completed.is_none() {
        if let Some(waker) = waker {
            waiting.waker = Some(waker.clone());
        }
        return Poll::Pending;
    }
    let Waiting { completed: Some(completed), follows, .. } = state.calls.remove(call.token) else {
        return Poll::Pending;
    };
    if let Some(Moves { link, .. }) = moved {
        let hub = state.hub;
        state.leave(link, call.id, follows, || hub.now());
    }
    Poll::Ready(completed)
}

/// What came of a call.
pub(crate) struct Reply {
    pub(crate) outcome: Result<Answer, Error>,
    /// Whose answer it is.
    pub(crate) server: Option<ServerId>,
    pub(crate) reservation: Option<ReservationId>,
}

/// An error with the name of its server, and its key.
#[cold]
fn named(hub: &Hub, key: Option<&[u8]>, error: CallError) -> Error {
    let state = hub.lock();
    let server = error.server().and_then(|id| state.cluster.server(id)).cloned();
    let cause = state.cause_of(&error);
    drop(state);
    let error = Error::from(error).with_server(server).with_cause(cause);
    match key {
        Some(key) => error.with_key(key),
        None => error,
    }
}

impl Future for CallFuture {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let waiting = match std::mem::replace(&mut this.stage, Stage::Done) {
            Stage::New { call, timeout } => {
                if let Some(over) = this.begin(call, timeout, cx.waker()) {
                    return over;
                }
                let Stage::Waiting(waiting) = this.stage else { return Poll::Pending };
                waiting
            }
            Stage::Waiting(waiting) => {
                this.stage = Stage::Waiting(waiting);
                waiting
            }
            Stage::Done => {
                // Polled after it was ready.
                let why = NotSent::ShuttingDown;
                return Poll::Ready(this.refuse(CallError::NotSent { server: None, why }));
            }
        };
        // Its waker is known before the last look at what there is to do: then it rests. What another has read for
        // it is there already.
        let mut rests = false;
        let mut looks = this.moves.as_ref().is_some_and(|moves| moves.follows);
        for _ in 0..ROUNDS {
            let done = if std::mem::take(&mut looks) {
                Done::Nothing
            } else {
                this.move_bytes(waiting, rests)
            };
            match done {
                Done::Nothing if rests => return Poll::Pending,
                Done::Wrote => continue,
                Done::Read | Done::Nothing | Done::Ended => {}
            }
            rests = done != Done::Read;
            let mut state = this.hub.lock();
            if done == Done::Ended && this.moves.take().is_some() {
                // Nobody has asked yet what the cluster wants of a call that was taken.
                state.pump(this.hub.now());
            }
            let waker = rests.then(|| cx.waker());
            let looked = look(&mut state, waiting, this.moves.as_ref(), waker);
            drop(state);
            if let Poll::Ready(completed) = looked {
                (this.stage, this.moves) = (Stage::Done, None);
                return Poll::Ready(this.end(completed));
            }
            if this.moves.is_none() {
                return Poll::Pending;
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for CallFuture {
    fn drop(&mut self) {
        let Stage::Waiting(Submitted { id, token }) = self.stage else {
            return;
        };
        let mut state = self.hub.lock();
        match state.calls.try_remove(token).and_then(|waiting| waiting.completed) {
            // It had come, and nobody has seen it.
            Some(completed) => state.abandon(completed.reservation),
            None => state.cluster.cancel(id),
        }
        if let Some(Moves { link, .. }) = &self.moves {
            // Its stream may have woken this call, which does not look any more.
            let waker = link.hand_over(id.number());
            state.wakers.extend(waker);
        }
        let now = self.hub.now();
        state.pump(now);
    }
}
