//! Looking names up without stopping the loop.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use windhover_client::ConnectError;
use windhover_client::protocol::client::ConnectFailure;

use super::Message;
use crate::mailbox::Mailbox;

/// Most threads that look names up for one loop.
const THREADS: usize = 4;

/// Finds the addresses of `HOST:PORT`, in the order in which they are to be tried. It is called on
/// a thread of its own, and may block.
pub type Resolver = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// What the operating system says.
pub(super) fn system() -> Resolver {
    Arc::new(|address| Ok(address.to_socket_addrs()?.collect()))
}

/// What came of it.
pub(super) type Found = Result<Vec<SocketAddr>, ConnectError>;

/// Names that are looked up, on threads that live as long as there is something to do.
///
/// One that answers slowly, or never, takes one thread, however often it is asked for: the others
/// are for other names. Who asks for it meanwhile gets the same answer, so that a name that takes
/// longer than one connection may wait is still there for a later one.
pub(super) struct Lookups(Arc<Shared>);

struct Shared {
    resolver: Resolver,
    mailbox: Arc<Mailbox<Message>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Names that wait for a thread.
    queue: VecDeque<Arc<str>>,
    /// Who waits, for each name that is in the queue or at work.
    asked: HashMap<Arc<str>, Vec<Asker>>,
    threads: usize,
    /// Numbers the askers.
    last: u64,
}

struct Asker {
    slot: usize,
    number: u64,
}

impl Lookups {
    pub(super) fn new(resolver: Resolver, mailbox: Arc<Mailbox<Message>>) -> Self {
        Self(Arc::new(Shared { resolver, mailbox, state: Mutex::default() }))
    }

    /// Looks a name up for the connection in that slot. A [`Message::Found`] will tell, unless what
    /// is returned is dropped before.
    pub(super) fn begin(&self, name: &str, slot: usize) -> Lookup {
        let name: Arc<str> = name.into();
        let mut state = self.0.lock();
        state.last += 1;
        let number = state.last;
        let asker = Asker { slot, number };
        if let Some(askers) = state.asked.get_mut(&name) {
            askers.push(asker);
        } else {
            state.asked.insert(Arc::clone(&name), vec![asker]);
            state.queue.push_back(Arc::clone(&name));
            self.0.hire(&mut state);
        }
        Lookup { shared: Arc::clone(&self.0), name, number }
    }
}

impl Shared {
    /// Takes on another thread, if there may be one.
    fn hire(self: &Arc<Self>, state: &mut State) {
        if state.threads == THREADS {
            return;
        }
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("windhover-names".into());
        if thread.spawn(move || shared.work()).is_ok() {
            state.threads += 1;
        } else if state.threads == 0 {
            // Nobody would ever look.
            for name in std::mem::take(&mut state.queue) {
                let askers = state.asked.remove(&name).unwrap_or_default();
                self.tell(askers, &Err(ConnectFailure::Other.into()));
            }
        }
    }

    fn work(&self) {
        while let Some(name) = self.next() {
            // A panic is a name without an address, and was told by the panic's own hook.
            let addresses = catch_unwind(AssertUnwindSafe(|| (self.resolver)(&name)));
            let found = match addresses {
                Ok(Ok(addresses)) => Ok(addresses),
                Ok(Err(error)) => Err(ConnectError::new(ConnectFailure::NoAddress, error)),
                Err(_) => Err(ConnectFailure::NoAddress.into()),
            };
            let askers = self.lock().asked.remove(&name).unwrap_or_default();
            self.tell(askers, &found);
        }
    }

    /// A name for a thread, which ends when there is none.
    fn next(&self) -> Option<Arc<str>> {
        let mut state = self.lock();
        let name = state.queue.pop_front();
        if name.is_none() {
            state.threads -= 1;
        }
        name
    }

    fn tell(&self, askers: Vec<Asker>, found: &Found) {
        for Asker { slot, number } in askers {
            // A loop that is gone has no connection that waits.
            let _ = self.mailbox.send(Message::Found { slot, number, found: found.clone() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The resolver, which may panic, runs without it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is looked up for a connection; dropped, it is not waited for any more.
pub(super) struct Lookup {
    shared: Arc<Shared>,
    name: Arc<str>,
    pub(super) number: u64,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let Some(askers) = state.asked.get_mut(&self.name) else {
            return;
        };
        askers.retain(|asker| asker.number != self.number);
        if askers.is_empty()
            && let Some(at) = state.queue.iter().position(|name| *name == self.name)
        {
            state.queue.remove(at);
            state.asked.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A resolver that tells which name it was asked for, then waits for its answer.
    struct Names {
        poll: Poll,
        mailbox: Arc<Mailbox<Message>>,
        lookups: Lookups,
        asked: Receiver<String>,
        answers: Sender<Vec<SocketAddr>>,
    }

    impl Names {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
            let mailbox = Arc::new(Mailbox::new(waker));
            let (told, asked) = channel();
            let (answers, answer) = channel();
            let answer = Mutex::new(answer);
            let resolver = Arc::new(move |name: &str| {
                told.send(name.to_owned()).unwrap();
                let answer = answer.lock().unwrap();
                answer.recv_timeout(SOON).map_err(io::Error::other)
            });
            let lookups = Lookups::new(resolver, Arc::clone(&mailbox));
            Self { poll, mailbox, lookups, asked, answers }
        }

        fn next_asked(&self) -> String {
            self.asked.recv_timeout(SOON).unwrap()
        }

        /// Waits for that many answers: who is told, and how many addresses.
        fn found(&mut self, count: usize) -> Vec<(usize, u64, Option<usize>)> {
            let mut found = Vec::new();
            while found.len() < count {
                let mut events = Events::with_capacity(8);
                self.poll.poll(&mut events, Some(SOON)).unwrap();
                assert!(!events.is_empty(), "only {found:?}");
                let mut messages = Vec::new();
                self.mailbox.receive(&mut messages);
                found.extend(messages.into_iter().map(|message| match message {
                    Message::Found { slot, number, found } => {
                        (slot, number, found.ok().map(|addresses| addresses.len()))
                    }
                    _ => (usize::MAX, 0, None),
                }));
                self.mailbox.park();
            }
            found
        }
    }

    fn addresses() -> Vec<SocketAddr> {
        vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()]
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_ask_meanwhile() {
        let mut names = Names::new();
        let first = names.lookups.begin("a:1", 5);
        assert_eq!(names.next_asked(), "a:1");
        let second = names.lookups.begin("a:1", 6);
        // Who has given up is not told, and its slot may have another by then.
        let third = names.lookups.begin("a:1", 7);
        let given_up = third.number;
        drop(third);
        let fourth = names.lookups.begin("a:1", 7);
        names.answers.send(addresses()).unwrap();
        let found = names.found(3);
        let told = [&first, &second, &fourth].map(|lookup| lookup.number);
        assert_eq!(found, [(5, told[0], Some(2)), (6, told[1], Some(2)), (7, told[2], Some(2))]);
        assert!(!told.contains(&given_up));
    }

    #[test]
    fn a_name_that_everybody_gave_up_is_still_there_for_the_next() {
        let mut names = Names::new();
        let first = names.lookups.begin("a:1", 5);
        assert_eq!(names.next_asked(), "a:1");
        drop(first);
        let again = names.lookups.begin("a:1", 6);
        names.answers.send(addresses()).unwrap();
        assert_eq!(names.found(1), [(6, again.number, Some(2))]);
        assert!(names.asked.try_recv().is_err());
    }

    #[test]
    fn there_are_never_more_threads_than_that() {
        let mut names = Names::new();
        let lookups: Vec<_> =
            (0..6).map(|n| names.lookups.begin(&format!("name-{n}"), n)).collect();
        let mut asked: Vec<_> = (0..THREADS).map(|_| names.next_asked()).collect();
        asked.sort();
        assert_eq!(asked, ["name-0", "name-1", "name-2", "name-3"]);
        assert!(names.asked.recv_timeout(Duration::from_millis(50)).is_err());
        // One that waits and is given up is never looked up.
        let mut lookups = lookups;
        drop(lookups.remove(4));
        for _ in 0..5 {
            names.answers.send(Vec::new()).unwrap();
        }
        assert_eq!(names.next_asked(), "name-5");
        let mut slots: Vec<_> = names.found(5).iter().map(|found| found.0).collect();
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2, 3, 5]);
        assert!(names.lookups.0.lock().asked.is_empty());
    }

    #[test]
    fn a_resolver_that_fails_or_panics_is_a_name_without_an_address() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        let mailbox = Arc::new(Mailbox::new(waker));
        let resolver: Resolver = Arc::new(|name| match name {
            "panics" => panic!("as asked"),
            name => Err(io::Error::other(name)),
        });
        let lookups = Lookups::new(resolver, Arc::clone(&mailbox));
        let _waiting = [lookups.begin("panics", 0), lookups.begin("fails", 1)];
        let begun = std::time::Instant::now();
        let mut all = Vec::new();
        while all.len() < 2 && begun.elapsed() < SOON {
            let mut messages = Vec::new();
            mailbox.receive(&mut messages);
            all.append(&mut messages);
            thread::yield_now();
        }
        for message in &all {
            let Message::Found { found: Err(error), .. } = message else { panic!("none is there") };
            assert_eq!(error.failure(), ConnectFailure::NoAddress);
        }
        assert_eq!(all.len(), 2);
    }
}
