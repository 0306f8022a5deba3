//! A connection whose bytes are moved by its own task, or by the caller who waits for its only reply.
//!
//! A task that moves bytes for a caller costs that caller two switches between tasks, and two between threads
//! where the runtime has several. So a caller who finds a connection with nothing under way writes its request
//! itself, and is the one who is woken when the reply comes.
//!
//! # Who moves the bytes
//!
//! *At each time one of the two is woken when the stream is ready, and whoever stops hands over.*
//!
//! - The stream is polled with one waker of its own, whoever polls it: a registration outlives who made it, and
//!   [`StreamWaker`] looks who is to be woken when it is called.
//! - A caller begins where the last two requests, its own and the one before, had the connection for themselves.
//! - Requests that come together leave in one write. Where several of one thread did so before, the first of them
//!   begins once it is polled again, so that the others were begun meanwhile, which
//!   [follow](Begun::Follows) it: they are woken by what it reads, and when it has its answer, the first of them
//!   that has none goes on. Elsewhere that is the task's to do: nobody waits for another thread's caller.
//! - It ends with its answer, when it is dropped, when somebody else has something for the connection, when the
//!   stream takes no more, and when it has not been polled for [`HANDS_OVER`]. Then the task is woken, if it is
//!   not known that there is nothing to do: it may not be polled again for long, and others wait.
//! - The task has read until the stream had no more, so that its waker is called for what comes. A caller that
//!   has its answer has not, for the next one will: where none comes, the driver has the task do it, within
//!   [`HANDS_OVER`].

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use windhover_core::Instant;
use windhover_core::client::ConnectionId;
use windhover_runtime::PollStream;

use super::link::Link;
use super::stream::{Flushed, ROUNDS};
use super::{Driver, Hub};
use crate::sync::thread_local;

/// A caller who is not polled for so long has nothing to do with the connection any more. Calls with a shorter
/// time than twice that leave it to the task at once.
pub(super) const HANDS_OVER: Duration = Duration::from_millis(10);

/// So many requests in a row that had the connection for themselves make a caller move its bytes.
const ALONE: u8 = 2;

/// So many times at most callers are not to go on for each other after one was not polled for [`HANDS_OVER`].
const DISTRUST: u8 = 200;

thread_local! {
    /// Its place tells threads apart.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's takes no constant")]
    static HERE: u8 = 0;
}

/// A number that no other thread has that runs now.
fn this_thread() -> usize {
    HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or_default()
}

/// What a caller may do for a connection, and does.
#[derive(Debug, Default)]
pub(super) struct Calling {
    caller: Option<Caller>,
    /// How many requests in a row had the connection for themselves.
    alone: u8,
    /// The thread that all requests came from since the connection had none; 0 where there are several.
    thread: usize,
    /// Several requests have come from it.
    has_several: bool,
    /// So many times more the first of them leaves all to the task.
    distrust: u8,
    /// The stream was told to be ready, or was never asked.
    is_ready: bool,
    /// There is a stream that callers may poll.
    is_open: bool,
}

/// A caller who moves the bytes.
#[derive(Debug)]
struct Caller {
    /// The number and the token of its call.
    number: u64,
    token: usize,
    since: Instant,
    /// It is being polled, or will be, and looks once more before it waits.
    is_at_work: bool,
    /// Others of its thread follow it.
    is_followed: bool,
}

/// What a caller is to do for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// Nothing: that is the task's.
    Nothing,
    /// To move the bytes.
    Moves,
    /// The same once it is polled again.
    MovesLater,
    /// To move them when another caller, which does now, has its answer.
    Follows,
}

/// Whom a write is told that waits.
pub(super) enum Told {
    /// The task, where it waits.
    Task(Option<Waker>),
    /// The caller of that token.
    Caller(usize),
    /// Who looks again anyway.
    Nobody,
}

impl Calling {
    /// A request was given to the connection, where `in_flight` are now. What its caller is to do from now on;
    /// where it has no time for that, there is no `now`.
    pub(super) fn begin(
        &mut self,
        number: u64,
        token: usize,
        in_flight: usize,
        now: Option<Instant>,
    ) -> Begun {
        let thread = this_thread();
        if in_flight > 1 {
            self.alone = 0;
            if self.thread != thread {
                (self.thread, self.has_several) = (0, false);
                return Begun::Nothing;
            }
            self.has_several = true;
            let is_followed = self.caller.as_ref().is_some_and(|caller| caller.is_followed);
            return if is_followed && now.is_some() { Begun::Follows } else { Begun::Nothing };
        }
        let mut is_followed = std::mem::take(&mut self.has_several);
        self.thread = thread;
        self.alone = self.alone.saturating_add(1);
        let (true, Some(since)) = (self.is_open, now) else { return Begun::Nothing };
        if is_followed && self.distrust > 0 {
            self.distrust -= 1;
            is_followed = false;
        }
        if !is_followed && self.alone < ALONE {
            return Begun::Nothing;
        }
        self.caller = Some(Caller { number, token, since, is_at_work: true, is_followed });
        if is_followed { Begun::MovesLater } else { Begun::Moves }
    }

    /// Whether another caller moves the bytes than the one of that number, which follows it.
    fn is_anothers(&self, number: u64) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.is_followed && caller.number != number)
    }

    /// Tells of bytes to be written: whom.
    pub(super) fn tell_write(&mut self) -> Told {
        match &mut self.caller {
            // It looks again before it rests.
            Some(caller) if caller.is_at_work => Told::Nobody,
            Some(caller) if caller.is_followed => {
                caller.is_at_work = true;
                Told::Caller(caller.token)
            }
            _ => {
                self.caller = None;
                Told::Task(None)
            }
        }
    }

    /// The bytes are the task's again; whether a caller moved them.
    pub(super) fn end(&mut self) -> bool {
        self.caller.take().is_some()
    }

    /// The same where the caller is that of this number.
    fn end_of(&mut self, number: u64) -> bool {
        self.caller.take_if(|caller| caller.number == number).is_some()
    }
}

/// What a caller has to do next.
enum Step {
    Move {
        wants_write: bool,
        is_ready: bool,
    },
    /// Nothing, until the stream is ready or it is woken.
    Wait,
    /// The bytes are the task's.
    End,
}

impl Link {
    /// What the caller of that number does next; where that is nothing, `rests` says whether it waits from now
    /// on.
    fn next_step(&self, number: u64, rests: bool) -> Step {
        let mut signal = self.signal();
        let (wants_write, is_closed) = (signal.wants_write, signal.is_closed);
        let calling = &mut signal.calling;
        match calling.caller.as_mut().filter(|caller| caller.number == number && !is_closed) {
            Some(caller) => {
                let is_ready = std::mem::take(&mut calling.is_ready);
                let moves = wants_write || is_ready;
                caller.is_at_work = moves || !rests;
                if moves { Step::Move { wants_write, is_ready } } else { Step::Wait }
            }
            None => Step::End,
        }
    }

    /// The caller of that number has its answer; of those that follow it, `next` is the first one's number and
    /// token, and since when it goes on. Whom to wake, where there is something left to do.
    #[must_use]
    pub(super) fn leave(
        &self,
        number: u64,
        next: impl FnOnce() -> Option<(u64, usize, Instant)>,
    ) -> Told {
        let mut signal = self.signal();
        let is_followed = match &signal.calling.caller {
            Some(caller) if caller.number == number => caller.is_followed,
            _ => return Told::Nobody,
        };
        signal.calling.caller = None;
        let is_left = signal.wants_write || signal.is_closed;
        if is_followed
            && !signal.is_closed
            && let Some((number, token, since)) = next()
        {
            // It has to look where the stream was left without a look at what comes next.
            let is_at_work = is_left || signal.calling.is_ready;
            let caller = Caller { number, token, since, is_at_work, is_followed };
            signal.calling.caller = Some(caller);
            return if is_at_work { Told::Caller(token) } else { Told::Nobody };
        }
        if is_left { Told::Task(signal.take_waker()) } else { Told::Nobody }
    }

    /// The caller of that number does not go on. Whom to wake: the task looks after all.
    #[must_use]
    pub(super) fn hand_over(&self, number: u64) -> Option<Waker> {
        let mut signal = self.signal();
        if signal.calling.end_of(number) { signal.take_waker() } else { None }
    }

    /// Takes the bytes from a caller that has begun so long ago, or has left without a look at what comes
    /// next. Whom to wake for it; and whether there is somebody to look for again.
    pub(super) fn look_for_caller(&self, now: Instant) -> (Option<Waker>, bool) {
        let mut signal = self.signal();
        let Calling { caller, is_ready, .. } = &signal.calling;
        let is_young = |caller: &Caller| now < caller.since + HANDS_OVER;
        match caller {
            Some(caller) if is_young(caller) => (None, true),
            None if !is_ready => (None, false),
            other => {
                if other.as_ref().is_some_and(|caller| caller.is_followed && caller.is_at_work) {
                    // Others have waited for it, and it was not polled.
                    signal.calling.distrust = DISTRUST;
                }
                signal.calling.end();
                (signal.take_waker(), false)
            }
        }
    }
}

/// A stream that its task and callers take turns to poll, and the waker that it is polled with.
pub(super) struct SharedStream {
    stream: Flushed<Dynamic>,
    id: ConnectionId,
    waker: Waker,
}

impl SharedStream {
    fn new(stream: impl PollStream + Send + 'static, id: ConnectionId, waker: Waker) -> Self {
        Self { stream: Flushed::new(Dynamic(Box::new(stream))), id, waker }
    }

    /// Moves bytes once each way, as is asked.
    fn move_once(&mut self, hub: &Hub, link: &Link, wants_write: bool, reads: bool) -> Moved {
        let Self { stream, id, waker } = self;
        let mut cx = Context::from_waker(waker);
        let wrote = (wants_write || stream.is_flushing)
            && stream.write(hub, *id, link, wants_write, &mut cx).is_ready();
        let read = reads && stream.read(hub, *id, link, &mut cx).is_ready();
        if read {
            link.signal().calling.is_ready = true;
        }
        Moved { any: wrote || read, read, all: (wrote || !wants_write) && !stream.is_flushing }
    }
}

/// What became of an attempt to move bytes.
struct Moved {
    /// Some were, or may be.
    any: bool,
    read: bool,
    /// Nothing is left to be written, as far as is known.
    all: bool,
}

/// What a caller has done for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It has written, and nothing has come.
    Wrote,
    /// It has read: its answer may have come.
    Read,
    /// There is nothing to do.
    Nothing,
    /// The bytes are the task's.
    Ended,
}

impl Hub {
    /// Moves bytes once for the caller of that number. Where there are none, or another caller moves them which it
    /// `follows`, and it `rests`, it waits from then on: its waker is known.
    pub(super) fn move_for(&self, link: &Link, number: u64, follows: bool, rests: bool) -> Done {
        if follows && link.signal().calling.is_anothers(number) {
            return Done::Nothing;
        }
        if let Some(mut stream) = link.try_stream()
            && let Some(stream) = stream.as_mut()
        {
            match link.next_step(number, rests) {
                Step::Move { wants_write, is_ready } => {
                    let moved = stream.move_once(self, link, wants_write, is_ready);
                    if moved.all {
                        return if moved.read { Done::Read } else { Done::Wrote };
                    }
                }
                Step::Wait => return Done::Nothing,
                Step::End => {}
            }
        }
        if let Some(waker) = link.hand_over(number) {
            waker.wake();
        }
        Done::Ended
    }

    /// Moves bytes for the task of the connection, until the stream takes and gives no more; ready when the
    /// connection is over.
    fn move_for_task(&self, id: ConnectionId, link: &Link, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let turn = self.turn_link(id, link, cx.waker());
            if turn.is_closed {
                return Poll::Ready(());
            }
            let mut stream = link.stream();
            let Some(stream) = stream.as_mut() else { return Poll::Ready(()) };
            let is_ready = std::mem::take(&mut link.signal().calling.is_ready);
            if !stream.move_once(self, link, turn.wants_write, is_ready).any {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    /// Moves the bytes of a connection that was made, until it is over and the stream is to be
    /// closed. Callers move them, too, where that saves them the way through this task.
    pub async fn run(&self, connection: ConnectionId, stream: impl PollStream + Send + 'static) {
        let Some(link) = self.link(connection) else { return };
        let waker = StreamWaker { hub: Arc::clone(&self.hub), link: Arc::clone(&link) };
        let stream = SharedStream::new(stream, connection, Arc::new(waker).into());
        *link.stream() = Some(stream);
        let open = Open(&link);
        {
            let calling = &mut link.signal().calling;
            (calling.is_open, calling.is_ready) = (true, true);
        }
        std::future::poll_fn(|cx| self.hub.move_for_task(connection, &link, cx)).await;
        drop(open);
    }
}

/// A stream that is open as long as its task.
struct Open<'a>(&'a Link);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        {
            let calling = &mut self.0.signal().calling;
            calling.is_open = false;
            calling.end();
        }
        let stream = self.0.stream().take();
        // What it drops is not dropped under a lock.
        drop(stream);
    }
}

/// Who is to be woken when a stream is ready is looked up when it is.
struct StreamWaker {
    hub: Arc<Hub>,
    link: Arc<Link>,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut signal = self.link.signal();
        signal.calling.is_ready = true;
        let waker = match &signal.calling.caller {
            Some(caller) if caller.is_at_work => None,
            Some(caller) => {
                let token = caller.token;
                drop(signal);
                self.hub.lock().take_waker(token)
            }
            None => signal.take_waker(),
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A stream of whatever type.
struct Dynamic(Box<dyn DynamicStream + Send>);

trait DynamicStream {
    fn read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>>;
    fn write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl<S: PollStream> DynamicStream for S {
    fn read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        self.poll_read(cx, || into)
    }

    fn write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write(cx, slices)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }

    fn close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close_write(cx)
    }
}

impl PollStream for Dynamic {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        // Who reads for the client has one at hand.
        self.0.read(cx, buffer())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flush(cx)
    }

    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close_write(cx)
    }
}
