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
use super::shared::{Begun, Done};
use super::stream::ROUNDS;
use super::{Hub, Locked, Waiting};

/// A call under way. Dropping it gives the call up: its place in the order of replies stays, and a
/// reservation that it would have brought is put back.
pub(crate) struct CallFuture {
    hub: Arc<Hub>,
    stage: Stage,
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
        Self { hub, stage: Stage::New { call, timeout }, moves: None }
    }

    /// Submits the call. What becomes of it at once, unless it is to move bytes first.
    fn begin(&mut self, mut call: Call, timeout: Duration, waker: &Waker) -> Option<Poll<Ended>> {
        let mut state = self.hub.lock();
        let now = self.hub.now();
        let until = now + timeout;
        let token = state.calls.insert(Waiting::default());
        call.token = token;
        let waiting = match state.cluster.submit(call, until, now) {
            Ok(id) => Submitted { id, token },
            Err(error) => {
                state.calls.remove(token);
                return Some(Poll::Ready(error.into()));
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
        Some(looked)
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
) -> Poll<Ended> {
    let Some(waiting) = state.calls.get_mut(call.token) else {
        return Poll::Pending;
    };
    let Some(completed) = waiting.completed.take() else {
        if let Some(waker) = waker {
            waiting.waker = Some(waker.clone());
        }
        return Poll::Pending;
    };
    let follows = waiting.follows;
    state.calls.remove(call.token);
    if let Some(Moves { link, .. }) = moved {
        let hub = state.hub;
        state.leave(link, call.id, follows, || hub.now());
    }
    let Completed { outcome, answered_by, reservation, .. } = completed;
    Poll::Ready(Ended { outcome, answered_by, reservation })
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
                return Poll::Ready(CallError::NotSent { server: None, why }.into());
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
            if looked.is_ready() {
                (this.stage, this.moves) = (Stage::Done, None);
                return looked;
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
