//! A connection as a future, with the timers of a runtime.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use windhover_core::Instant;
use windhover_core::endpoint::Endpoint;

use crate::connection::{Connection, ConnectionEnd, Step};
use crate::{Clock, PollStream, Shutdown, Timers, Triggered};

/// Drives `endpoint` over `stream` until it closes, the stream breaks, or `cut` is triggered;
/// `drain` asks it for an orderly end.
///
/// Executors that are fair to their tasks are what it is made for: it goes to the end of the line
/// after some reads and writes. It may be polled with changing wakers.
///
/// ```
/// use std::future::Future;
/// use windhover_core::endpoint::Endpoint;
/// use windhover_runtime::{Clock, ConnectionEnd, PollStream, Shutdown, Timers, drive};
///
/// /// Serves one stream, as inetd would have it: there is no listener.
/// fn serve_one(
///     timers: impl Timers,
///     stream: impl PollStream,
///     endpoint: impl Endpoint,
///     stop: &Shutdown,
/// ) -> impl Future<Output = ConnectionEnd> {
///     // Nobody cuts it: what is in flight at the stop may take its time.
///     drive(timers, stream, endpoint, Clock::new(), stop, &Shutdown::new())
/// }
/// ```
pub fn drive<T, S, E>(
    timers: T,
    stream: S,
    endpoint: E,
    clock: Clock,
    drain: &Shutdown,
    cut: &Shutdown,
) -> impl Future<Output = ConnectionEnd> + use<T, S, E>
where
    T: Timers,
    S: PollStream,
    E: Endpoint,
{
    drive_connection(timers, Connection::new(stream, endpoint), clock, drain, cut)
}

/// [`drive`] for a connection that was made already.
pub(crate) fn drive_connection<T, S, E>(
    timers: T,
    connection: Connection<S, E>,
    clock: Clock,
    drain: &Shutdown,
    cut: &Shutdown,
) -> impl Future<Output = ConnectionEnd> + use<T, S, E>
where
    T: Timers,
    S: PollStream,
    E: Endpoint,
{
    let mut driven = Driven {
        connection,
        alarm: Alarm { timers, clock, armed: None },
        drain: drain.wait(),
        cut: cut.wait(),
        registered: None,
    };
    // Not an `async fn`: its arguments and what it makes of them would take memory twice.
    async move {
        let mut sleep = pin!(None);
        poll_fn(|cx| driven.poll(sleep.as_mut(), cx)).await
    }
}

struct Driven<T, S, E> {
    connection: Connection<S, E>,
    alarm: Alarm<T>,
    drain: Triggered,
    cut: Triggered,
    /// The waker that the two signals know.
    registered: Option<Waker>,
}

impl<T: Timers, S: PollStream, E: Endpoint> Driven<T, S, E> {
    fn poll(
        &mut self,
        mut sleep: Pin<&mut Option<T::Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionEnd> {
        self.heed_signals(cx);
        if self.cut.is_triggered() {
            return Poll::Ready(ConnectionEnd::Cut);
        }
        if self.drain.is_triggered() {
            self.connection.shut_down();
        }
        // Once more for a deadline that has come.
        for _ in 0..2 {
            match self.connection.turn(self.alarm.clock.now(), cx) {
                Step::Again => break,
                Step::Wait(until) => ready!(self.alarm.poll(until, sleep.as_mut(), cx)),
                Step::End(end) => return Poll::Ready(end),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waiting for the signals once for each waker is enough, and most tasks have but one; then
    /// their flags are read, which takes no lock.
    fn heed_signals(&mut self, cx: &mut Context<'_>) {
        if self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        self.registered = Some(cx.waker().clone());
        let _: Poll<()> = Pin::new(&mut self.drain).poll(cx);
        let _: Poll<()> = Pin::new(&mut self.cut).poll(cx);
    }
}

struct Alarm<T> {
    timers: T,
    clock: Clock,
    /// When the sleep will be over.
    armed: Option<Instant>,
}

impl<T: Timers> Alarm<T> {
    /// Ready when an instant at or before `until` has come. Deadlines mostly move later: the sleep
    /// is left as it is then, and set anew when it is over.
    fn poll(
        &mut self,
        until: Option<Instant>,
        mut sleep: Pin<&mut Option<T::Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if let Some(until) = until
            && self.armed.is_none_or(|armed| until < armed)
            && let Some(at) = self.clock.to_std(until)
        {
            self.armed = Some(until);
            match sleep.as_mut().as_pin_mut() {
                Some(sleep) => self.timers.reset(sleep, at),
                None => sleep.set(Some(self.timers.sleep_until(at))),
            }
        }
        match sleep.as_pin_mut() {
            Some(sleep) if self.armed.is_some() => {
                ready!(sleep.poll(cx));
                self.armed = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}
