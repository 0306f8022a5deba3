//! One call, as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use windhover_core::client::{
    Answer, Call, CallError, CallId, Completed, NotSent, ReservationId, ServerId,
};

use super::{Hub, Waiting};

/// A call under way. Dropping it gives the call up: its place in the order of replies stays, and a
/// reservation that it would have brought is put back.
pub(crate) struct CallFuture {
    hub: Arc<Hub>,
    stage: Stage,
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
        Self { hub, stage: Stage::New { call, timeout } }
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
        let mut state = this.hub.lock();
        if let Stage::New { .. } = &this.stage
            && let Stage::New { call, timeout } = std::mem::replace(&mut this.stage, Stage::Done)
        {
            let now = this.hub.now();
            match state.cluster.submit(call, now + timeout, now) {
                Ok(id) => {
                    state.calls.insert(id.number(), Waiting::default());
                    this.stage = Stage::Waiting(id);
                    state.pump(now);
                }
                Err(error) => return Poll::Ready(error.into()),
            }
        }
        let Stage::Waiting(id) = this.stage else {
            // Polled after it was ready.
            let why = NotSent::ShuttingDown;
            return Poll::Ready(CallError::NotSent { server: None, why }.into());
        };
        let Some(waiting) = state.calls.get_mut(&id.number()) else {
            return Poll::Pending;
        };
        match waiting.completed.take() {
            Some(completed) => {
                state.calls.remove(&id.number());
                this.stage = Stage::Done;
                let Completed { outcome, answered_by, reservation, .. } = completed;
                Poll::Ready(Ended { outcome, answered_by, reservation })
            }
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
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
        let now = self.hub.now();
        state.pump(now);
    }
}
