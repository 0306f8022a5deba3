//! Where calls, connections and the driver meet: the cluster under a lock that all of them share, and each
//! connection's bytes under one of its own ([`transfer`] says how they go together).

mod call;
mod driver;
mod link;
#[cfg(not(feature = "tls"))]
mod no_session;
mod numbers;
mod shared;
mod sleep;
mod stream;
mod transfer;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use windhover_core::Instant;
use windhover_core::client::{
    Call, CallError, CallId, Cluster, ClusterEvent, ClusterOutput, Completed, ConnectionId,
    NotSent, ReservationId, Server, ServerId,
};
use windhover_core::memcache::{Dialect, Limits, ReplyParser};

use crate::builder::{Event, EventHook};
use crate::sync::{Mutex, MutexGuard};
use crate::{ConnectError, MetaCommands};

pub(crate) use call::{CallFuture, Reply};
pub use driver::{Driver, DriverStep, Turn, connect_failure};
pub(crate) use sleep::Sleep;
pub use stream::DrivenConnection;
#[cfg(feature = "tls")]
pub(crate) use wire::Came;

use self::link::{Link, Signal};
use self::numbers::NumberMap;
use self::shared::{Begun, HANDS_OVER, Told};

/// What clients and driver share.
pub(crate) struct Hub {
    state: Mutex<State>,
    pub(crate) dialect: Dialect,
    pub(crate) limits: Limits,
    parser: ReplyParser,
    pub(crate) meta: MetaCommands,
    epoch: std::time::Instant,
    on_event: Option<EventHook>,
    sleepers: sleep::Sleepers,
    /// What every connection speaks, if it does.
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
}

pub(crate) struct State {
    pub(crate) cluster: Cluster,
    /// By the tokens of calls.
    calls: Slab<Waiting>,
    /// By the numbers of connections.
    links: NumberMap<Arc<Link>>,
    to_connect: VecDeque<(ConnectionId, Server)>,
    driver: Option<Waker>,
    /// When the cluster wants to be polled, and when the driver will at the latest.
    deadline: Instant,
    armed: Option<Instant>,
    /// When it is looked for callers that move a connection's bytes and have not come back.
    looks_at: Option<Instant>,
    /// How many clients there are; without any, the driver ends.
    clients: usize,
    /// Which servers know meta commands, as far as that was found out.
    pub(crate) knows_meta: HashMap<ServerId, bool>,
    /// Why the servers could not be connected to that could not be last, as far as there are words for it.
    causes: HashMap<ServerId, Arc<dyn std::error::Error + Send + Sync>>,
    /// From which server the next sweep over all of them starts.
    pub(crate) turn: usize,
    is_closed: bool,
    wakers: Vec<Waker>,
    events: Vec<Event>,
}

/// The token of calls that nobody waits for.
const NOBODY: usize = usize::MAX;

/// A call that somebody waits for.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    completed: Option<Completed>,
    /// The connection whose bytes it moves when others have that do so before it.
    follows: Option<ConnectionId>,
}

/// The state, locked. What is to be woken or told is woken and told after the lock is given back.
pub(crate) struct Locked<'a> {
    hub: &'a Hub,
    guard: Option<MutexGuard<'a, State>>,
}

impl Hub {
    pub(crate) fn new(
        cluster: Cluster,
        meta: MetaCommands,
        epoch: std::time::Instant,
        on_event: Option<EventHook>,
        #[cfg(feature = "tls")] tls: Option<crate::Tls>,
    ) -> Arc<Self> {
        let (dialect, limits) = (cluster.options().dialect, cluster.options().limits.clone());
        let state = State {
            cluster,
            calls: Slab::new(),
            links: NumberMap::default(),
            to_connect: VecDeque::new(),
            driver: None,
            deadline: Instant::default(),
            armed: None,
            looks_at: None,
            clients: 0,
            knows_meta: HashMap::new(),
            causes: HashMap::new(),
            turn: 0,
            is_closed: false,
            wakers: Vec::new(),
            events: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            dialect,
            parser: ReplyParser::new(dialect, &limits),
            limits,
            meta,
            epoch,
            on_event,
            sleepers: sleep::Sleepers::default(),
            #[cfg(feature = "tls")]
            tls,
        })
    }

    pub(crate) fn now(&self) -> Instant {
        // A model is the same each time that it is run, and no time passes in it.
        if cfg!(windhover_loom) {
            return Instant::default();
        }
        Instant::from_epoch(self.epoch.elapsed())
    }

    /// Sends a call whose answer nobody waits for.
    pub(crate) fn send_unheard(&self, mut call: Call, timeout: Duration) {
        let mut state = self.lock();
        let now = self.now();
        // Where it cannot be sent there is nobody to be told.
        call.token = NOBODY;
        let _ = state.cluster.submit(call, now + timeout, now);
        state.pump(now);
    }

    /// Notes why a connection could not be made, to be told with the calls that fail for it.
    fn note_cause(&self, link: &Link, why: ConnectError) {
        let mut state = self.lock();
        match why.into_cause() {
            // A server that is not in the set any more would stay there for ever.
            Some(cause) if state.cluster.server(link.server_id).is_some() => {
                state.causes.insert(link.server_id, cause);
            }
            _ => drop(state.causes.remove(&link.server_id)),
        }
    }

    /// A connection was made.
    fn forget_cause(&self, link: &Link) {
        self.lock().causes.remove(&link.server_id);
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        // A panic cannot leave the state half changed in a way that matters more than going on.
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { hub: self, guard: Some(guard) }
    }
}

impl std::ops::Deref for Locked<'_> {
    type Target = State;

    #[expect(clippy::expect_used, reason = "the guard is taken in `drop` alone")]
    fn deref(&self) -> &State {
        self.guard.as_deref().expect("the lock is held until it is dropped")
    }
}

impl std::ops::DerefMut for Locked<'_> {
    #[expect(clippy::expect_used, reason = "the guard is taken in `drop` alone")]
    fn deref_mut(&mut self) -> &mut State {
        self.guard.as_deref_mut().expect("the lock is held until it is dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else {
            return;
        };
        if guard.wakers.is_empty() && guard.events.is_empty() {
            return;
        }
        // Mostly none or one, and the room for it stays.
        let (only, wakers) = match guard.wakers.len() {
            0 | 1 => (guard.wakers.pop(), Vec::new()),
            _ => (None, std::mem::take(&mut guard.wakers)),
        };
        let events = std::mem::take(&mut guard.events);
        drop(guard);
        only.into_iter().chain(wakers).for_each(Waker::wake);
        #[cfg(feature = "tracing")]
        events.iter().for_each(crate::trace::event);
        if let Some(on_event) = &self.hub.on_event {
            for event in &events {
                on_event(event);
            }
        }
    }
}

impl State {
    /// Follows every input: takes what the cluster wants, until it wants nothing more.
    pub(crate) fn pump(&mut self, now: Instant) {
        loop {
            match self.cluster.poll_output(now) {
                ClusterOutput::Connect { connection, server: id } => {
                    let server = self.cluster.server(id).cloned();
                    let link = Link::new(
                        id,
                        #[cfg(feature = "tls")]
                        server.clone(),
                    );
                    self.links.insert(connection.number(), Arc::new(link));
                    // A server that was removed meanwhile is connected to by nobody: the cluster
                    // gives the connection up at its deadline.
                    if let Some(server) = server {
                        self.to_connect.push_back((connection, server));
                        self.wake_driver();
                    }
                }
                ClusterOutput::Write { connection } => {
                    if let Some(link) = self.links.get(&connection.number()) {
                        let told = link.tell_write();
                        self.wake(told);
                    }
                }
                ClusterOutput::Close { connection } => {
                    let queued = self.to_connect.iter().position(|(it, _)| *it == connection);
                    if let Some(at) = queued {
                        // Nobody has heard of it.
                        self.to_connect.remove(at);
                        self.links.remove(&connection.number());
                    }
                    self.tell(connection, |signal| signal.is_closed = true);
                }
                ClusterOutput::Completed(completed) => self.completed(completed),
                ClusterOutput::Event(event) => self.note(event),
                ClusterOutput::Idle(deadline) => {
                    self.deadline = deadline;
                    if self.armed.is_some_and(|armed| deadline < armed) {
                        self.wake_driver();
                    }
                    return;
                }
                ClusterOutput::Closed => {
                    self.is_closed = true;
                    self.wake_driver();
                    return;
                }
                _ => {}
            }
        }
    }

    fn completed(&mut self, completed: Completed) {
        match self.calls.get_mut(completed.token) {
            Some(waiting) => {
                self.wakers.extend(waiting.waker.take());
                waiting.completed = Some(completed);
            }
            None => self.abandon(completed.reservation),
        }
    }

    /// What the caller of a call is to do for the connection that it was given to. To be asked before the
    /// connection's task is told of the call.
    fn begin_to_move(
        &mut self,
        call: CallId,
        token: usize,
        until: Instant,
        now: Instant,
    ) -> Option<(Arc<Link>, Begun)> {
        let (connection, in_flight) = self.cluster.sent_on(call)?;
        let link = self.links.get(&connection.number())?;
        let mut signal = link.signal();
        let has_time = until >= now + 2 * HANDS_OVER;
        let begun = signal.calling.begin(call.number(), token, in_flight, has_time.then_some(now));
        match begun {
            Begun::Nothing => {
                if in_flight > 1 {
                    self.wakers.extend(signal.interrupt_caller());
                }
                return None;
            }
            Begun::Moves | Begun::MovesLater => signal.wants_write = true,
            Begun::Follows => {}
        }
        drop(signal);
        let link = Arc::clone(link);
        if begun != Begun::Moves
            && let Some(waiting) = self.calls.get_mut(token)
        {
            waiting.follows = Some(connection);
        }
        if self.looks_at.is_none() {
            let looks_at = now + HANDS_OVER;
            self.looks_at = Some(looks_at);
            if self.armed.is_some_and(|armed| looks_at < armed) {
                self.wake_driver();
            }
        }
        Some((link, begun))
    }

    /// The caller of a call has its answer, and moves the bytes of that connection no more, if it did.
    fn leave(
        &mut self,
        link: &Link,
        call: CallId,
        follows: Option<ConnectionId>,
        now: impl FnOnce() -> Instant,
    ) {
        let (cluster, calls) = (&self.cluster, &self.calls);
        let told = link.leave(call.number(), || {
            let (next, token) = cluster.first_on(follows?)?;
            let is_follower = calls.get(token).is_some_and(|it| it.follows == follows);
            is_follower.then(|| (next.number(), token, now()))
        });
        self.wake(told);
    }

    fn wake(&mut self, told: Told) {
        let waker = match told {
            Told::Task(waker) => waker,
            // Where it has none, it is being polled, and looks again.
            Told::Caller(token) => self.take_waker(token),
            Told::Nobody => None,
        };
        self.wakers.extend(waker);
    }

    /// Has the tasks of connections go on whose callers have not come back for long.
    fn look_for_callers(&mut self, now: Instant) {
        if self.looks_at.is_none_or(|looks_at| now < looks_at) {
            return;
        }
        self.looks_at = None;
        for link in self.links.values() {
            let (waker, again) = link.look_for_caller(now);
            self.wakers.extend(waker);
            if again {
                self.looks_at = Some(now + HANDS_OVER);
            }
        }
    }

    /// Why the server could not be connected to that a call failed for.
    pub(crate) fn cause_of(
        &self,
        error: &CallError,
    ) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
        match error {
            CallError::NotSent {
                server: Some(server),
                why: NotSent::Connect(_) | NotSent::Ejected,
            } => self.causes.get(server).cloned(),
            _ => None,
        }
    }

    /// The waker of a call, where its caller waits.
    fn take_waker(&mut self, token: usize) -> Option<Waker> {
        self.calls.get_mut(token)?.waker.take()
    }

    /// Nobody will use the reservation: the server puts the item back.
    fn abandon(&mut self, reservation: Option<ReservationId>) {
        if let Some(reservation) = reservation {
            self.cluster.abandon_reservation(reservation);
        }
    }

    fn note(&mut self, event: ClusterEvent) {
        let server = |id| self.cluster.server(id).cloned();
        let event = match event {
            ClusterEvent::Ejected { server: id } => server(id).map(Event::Ejected),
            ClusterEvent::Restored { server: id } => server(id).map(Event::Restored),
            _ => None,
        };
        self.events.extend(event);
    }

    fn tell(&mut self, connection: ConnectionId, what: impl FnOnce(&mut Signal)) {
        if let Some(link) = self.links.get(&connection.number()) {
            self.wakers.extend(link.tell(what));
        }
    }

    fn wake_driver(&mut self) {
        self.wakers.extend(self.driver.take());
    }
}

/// A hold on the hub that counts: without any, the cluster shuts down.
pub(crate) struct Handle(Arc<Hub>);

impl Handle {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        hub.lock().clients += 1;
        Self(hub)
    }

    /// A hold on the hub, unless the last one is gone.
    pub(crate) fn of_living(hub: &Arc<Hub>) -> Option<Self> {
        let mut state = hub.lock();
        if state.clients == 0 {
            return None;
        }
        state.clients += 1;
        drop(state);
        Some(Self(Arc::clone(hub)))
    }

    /// A hold that does not count.
    pub(crate) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.0)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(self.hub())
    }
}

impl std::ops::Deref for Handle {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let now = self.0.now();
        let mut state = self.0.lock();
        state.clients = state.clients.saturating_sub(1);
        if state.clients == 0 {
            state.cluster.shut_down();
            state.pump(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::Client;

    #[test]
    fn a_connection_that_nobody_began_to_make_is_forgotten() {
        let wait = Duration::from_millis(1);
        let builder = Client::builder().server("127.0.0.1:1");
        let builder = builder.options(|options| options.connect_timeout = wait);
        let (client, driver) = builder.build().unwrap();
        let mut call = pin!(client.get("key"));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(client.hub.lock().links.len(), 1);
        sleep(wait * 2);
        assert!(matches!(driver.next(Waker::noop()), DriverStep::Wait(_)));
        assert_eq!(client.hub.lock().links.len(), 0);
    }
}
