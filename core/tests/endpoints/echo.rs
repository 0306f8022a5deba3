//! An endpoint that says what it is told, and tells the test how it was driven.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::BytesMut;
use windhover_core::endpoint::{Endpoint, Incoming, Next, Outgoing};
use windhover_core::{Instant, Now};

/// Answers that wait for more than this many bytes stop reading.
pub(crate) const UNSENT: usize = 64 * 1024;

/// What the test sees of its endpoints.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) received: AtomicUsize,
    pub(crate) most_unsent: AtomicUsize,
    pub(crate) held_back: AtomicBool,
    pub(crate) dropped: AtomicUsize,
}

/// The answers of an application that takes its time.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        for waker in self.waiting.lock().unwrap().drain(..) {
            waker.wake();
        }
    }

    fn is_open(&self, cx: &mut Context<'_>) -> bool {
        self.waiting.lock().unwrap().push(cx.waker().clone());
        self.open.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct Echo {
    incoming: Incoming,
    outgoing: Outgoing,
    watched: Arc<Watched>,
    /// Answers wait for it.
    gate: Option<Arc<Gate>>,
    /// How long to wait for more, and for a peer to take what is sent.
    timeout: Duration,
    /// The timeout after the first answer.
    then: Option<Duration>,
    since: Option<Instant>,
    is_full: bool,
    ended: bool,
}

impl Echo {
    pub(crate) fn new(watched: &Arc<Watched>) -> Self {
        Self {
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            watched: Arc::clone(watched),
            gate: None,
            timeout: Duration::from_secs(60),
            then: None,
            since: None,
            is_full: false,
            ended: false,
        }
    }

    pub(crate) fn behind(mut self, gate: &Arc<Gate>) -> Self {
        self.gate = Some(Arc::clone(gate));
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn then(mut self, timeout: Duration) -> Self {
        self.then = Some(timeout);
        self
    }
}

impl Endpoint for Echo {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.since = None;
        self.incoming.read_buffer(0)
    }

    fn wants_read(&self) -> bool {
        let wants = !self.ended && self.incoming.is_empty() && self.outgoing.len() < UNSENT;
        if !wants {
            self.watched.held_back.store(true, Ordering::SeqCst);
        }
        wants
    }

    fn end_of_stream(&mut self) {
        self.ended = true;
    }

    fn shut_down(&mut self) {
        self.ended = true;
    }

    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        assert!(!self.incoming.bytes().contains(&b'!'), "a panic, as the test asked for");
        let may_answer = self.gate.as_ref().is_none_or(|gate| gate.is_open(cx));
        if may_answer && !self.incoming.is_empty() {
            self.watched.received.fetch_add(self.incoming.len(), Ordering::SeqCst);
            self.outgoing.put_shared(self.incoming.take(usize::MAX));
            self.watched.most_unsent.fetch_max(self.outgoing.len(), Ordering::SeqCst);
        }
        let deadline = *self.since.get_or_insert(now.instant) + self.timeout;
        match (self.outgoing.is_empty(), self.incoming.is_empty()) {
            (false, _) if !self.is_full => Next::Write,
            (true, true) if self.ended => Next::Close,
            _ if deadline <= now.instant => Next::Close,
            _ => Next::Idle(deadline),
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.outgoing.slices(into)
    }

    fn wrote(&mut self, n: usize) {
        self.outgoing.advance(n);
        self.is_full = n == 0;
        if n > 0 {
            self.since = None;
            self.timeout = self.then.unwrap_or(self.timeout);
        }
    }

    fn held(&self) -> usize {
        self.incoming.len() + self.outgoing.len()
    }

    fn release(&mut self) {
        self.incoming.release();
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.watched.dropped.fetch_add(1, Ordering::SeqCst);
    }
}
