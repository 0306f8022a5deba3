//! One call, as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use windhover_core::client::{
    Answer, Call, CallError, CallId, Completed, NotSent, ReservationId, ServerId,
};

use super::link::Link;
use super::shared::Done;
use super::stream::ROUNDS;
use super::{Hub, Waiting};

/// A call under way. Dropping it gives the call up: its place in the order of replies stays, and a
/// reservation that it would have brought is put back.
pub(crate) struct CallFuture {
    hub: Arc<Hub>,
    stage: Stage,
    /// The connection whose bytes it moves.
    moves: Option<Arc<Link>>,
}

enum Stage {
    /// The call is submitted when it is polled first, and its time begins then.
    New {
        call: Call,
        timeout: Duration,
    },
    Waiting(CallId),
    Done,
}

impl CallFuture {
    pub(crate) fn new(hub: Arc<Hub>, call: Call, timeout: Duration) -> Self {
        Self { hub, stage: Stage::New { call, timeout }, moves: None }
    }

    /// Submits the call, if that is still to be done.
    fn begin(&mut self) -> Result<CallId, CallError> {
        let (call, timeout) = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::New { call, timeout } => (call, timeout),
            Stage::Waiting(id) => {
                self.stage = Stage::Waiting(id);
                return Ok(id);
            }
            // Polled after it was ready.
            Stage::Done => {
                return Err(CallError::NotSent { server: None, why: NotSent::ShuttingDown });
            }
        };
        let mut state = self.hub.lock();
        let now = self.hub.now();
        let until = now + timeout;
        let id = state.cluster.submit(call, until, now)?;
        self.stage = Stage::Waiting(id);
        self.moves = state.begin_to_move(id, until, now);
        state.calls.insert(id.number(), Waiting::default());
        Ok(id)
    }

    /// Moves bytes of its connection, if it does; where it `rests`, it waits from then on.
    fn move_bytes(&mut self, id: CallId, rests: bool) -> Done {
        let Some(link) = &self.moves else { return Done::Ended };
        let done = self.hub.move_for(link, id.number(), rests);
        if done == Done::Ended {
            self.moves = None;
        }
        done
    }

    /// Whether it is over; if not, `waker` is its own.
    fn look(&mut self, id: CallId, pumps: bool, waker: Option<&Waker>) -> Poll<Ended> {
        let mut state = self.hub.lock();
        if pumps {
            state.pump(self.hub.now());
        }
        let Some(waiting) = state.calls.get_mut(&id.number()) else {
            return Poll::Pending;
        };
        let Some(completed) = waiting.completed.take() else {
            if let Some(waker) = waker {
                waiting.waker = Some(waker.clone());
            }
            return Poll::Pending;
        };
        state.calls.remove(&id.number());
        self.stage = Stage::Done;
        if let Some(link) = self.moves.take() {
            let waker = link.leave(id.number());
            state.wakers.extend(waker);
        }
        let Completed { outcome, answered_by, reservation, .. } = completed;
        Poll::Ready(Ended { outcome, answered_by, reservation })
    }
}

/// What came of a call.
pub(crate) struct Ended {
    pub(crate) outcome: Result<Answer, CallError>,
    /// Whose answer it is.
    pub(crate) answered_by: Option<ServerId>,
    pub(crate) reservation: Option<ReservationId>,
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self { outcome: Err(error), answered_by: None, reservation: None }
    }
}

impl Future for CallFuture {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut is_new = matches!(this.stage, Stage::New { .. });
        let id = match this.begin() {
            Ok(id) => id,
            Err(error) => return Poll::Ready(error.into()),
        };
        // Its waker is known before the last look at what there is to do: then it rests.
        let mut rests = false;
        for _ in 0..ROUNDS {
            let moved = this.moves.is_some();
            let done = this.move_bytes(id, rests);
            match done {
                Done::Nothing if rests => return Poll::Pending,
                Done::Wrote => continue,
                Done::Read | Done::Nothing | Done::Ended => {}
            }
            rests = done != Done::Read;
            // Nobody has asked yet what the cluster wants of a call that was taken.
            let pumps = done == Done::Ended && (std::mem::take(&mut is_new) || moved);
            let waker = rests.then(|| cx.waker());
            if let Poll::Ready(ended) = this.look(id, pumps, waker) {
                return Poll::Ready(ended);
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
        let Stage::Waiting(id) = self.stage else {
            return;
        };
        let mut state = self.hub.lock();
        match state.calls.remove(&id.number()).and_then(|waiting| waiting.completed) {
            // It had come, and nobody has seen it.
            Some(completed) => state.abandon(completed.reservation),
            None => state.cluster.cancel(id),
        }
        if let Some(link) = &self.moves {
            // Its stream may have woken this call, which does not look any more.
            let waker = link.hand_over(id.number());
            state.wakers.extend(waker);
        }
        let now = self.hub.now();
        state.pump(now);
    }
}
