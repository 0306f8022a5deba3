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

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    fn mailboxes<const N: usize>() -> [Arc<Mailbox<Message>>; N] {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        [(); N].map(|()| Arc::new(Mailbox::new(Arc::clone(&waker))))
    }

    fn places(mailbox: &Mailbox<Message>) -> Vec<Message> {
        let mut messages = Vec::new();
        mailbox.receive(&mut messages);
        messages
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let [mailbox] = mailboxes();
        let room = Room::new(2);
        for _ in 0..3 {
            let both = [room.take(&mailbox), room.take(&mailbox)];
            assert!(both.iter().all(Option::is_some));
        }
    }

    #[test]
    fn a_place_goes_to_who_asked_first() {
        let [holder, first, second] = mailboxes();
        let room = Room::new(1);
        let place = room.take(&holder);
        assert!(room.take(&first).is_none());
        assert!(room.take(&second).is_none());
        drop(place);
        let given = places(&first);
        assert_eq!((given.len(), places(&second).len()), (1, 0));
        drop(given);
        let given = places(&second);
        assert_eq!(given.len(), 1);
        drop(given);
        assert!(room.take(&holder).is_some());
    }

    #[test]
    fn a_place_for_a_server_that_is_gone_goes_to_the_next() {
        let [holder, gone, next] = mailboxes();
        let room = Room::new(1);
        let place = room.take(&holder);
        assert!(room.take(&gone).is_none());
        assert!(room.take(&gone).is_none());
        assert!(room.take(&next).is_none());
        gone.close();
        drop(place);
        assert_eq!(places(&next).len(), 1);
    }
}
