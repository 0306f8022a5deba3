//! The bound on connections that several loops share.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Message;
use crate::mailbox::Mailbox;

/// Room for so many connections at a time. Clones are handles to the same room: give one to every
/// [`Server`](crate::Server) that shares it.
///
/// A server that found it full is given the next place that becomes free, in the order in which
/// they asked: no loop's backlog waits for ever while another loop fills every gap.
#[derive(Clone)]
pub struct Room(Arc<Shared>);

struct Shared {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    waiting: VecDeque<Arc<Mailbox<Message>>>,
}

impl Room {
    /// Room for `connections` at a time, and for one at least.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Shared { most: connections.max(1), state: Mutex::default() }))
    }

    /// A place; when there is none, one will come to the mailbox.
    pub(super) fn take(&self, mailbox: &Arc<Mailbox<Message>>) -> Option<Place> {
        let mut state = self.lock();
        if state.taken < self.0.most {
            state.taken += 1;
            return Some(Place(self.clone()));
        }
        state.waiting.push_back(Arc::clone(mailbox));
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.lock().taken;
        f.debug_struct("Room").field("most", &self.0.most).field("taken", &taken).finish()
    }
}

/// A connection's place; dropped, it goes to the server that waits for one longest.
pub(super) struct Place(Room);

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.lock();
            let next = state.waiting.pop_front();
            if next.is_none() {
                state.taken -= 1;
            }
            next
        };
        if let Some(next) = next {
            // A server that is gone lets the message fall, and with it this place: the next one is
            // asked.
            let _ = next.send(Message::Place(Place(self.0.clone())));
        }
    }
}
