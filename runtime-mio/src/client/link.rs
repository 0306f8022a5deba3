//! One connection of a client, from the search for its address to its end.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mio::event::Event;
use mio::{Registry, Token};
use windhover_client::protocol::client::ConnectionId;
use windhover_client::{DrivenConnection, Driver};

use super::resolver::{Found, Lookup};
use super::wire::{Address, Attempts};
use super::{Called, Message};
use crate::caller::Caller;
use crate::socket::Registered;

pub(super) struct Link {
    /// The slot of the client whose it is, and its name there.
    pub(super) client: usize,
    connection: ConnectionId,
    stage: Stage,
    /// It is among those with something to do.
    pub(super) is_queued: bool,
    pub(super) caller: Arc<Caller<Message, Called>>,
    waker: Waker,
}

pub(super) enum Stage {
    /// The server's name is looked up.
    Resolving(Lookup),
    Connecting(Attempts),
    Open(DrivenConnection<Registered>),
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more to do.
    Again,
    /// Nothing to do until an event, a call of the waker, or the address that is looked up.
    Wait,
    /// It is over.
    End,
}

impl Link {
    pub(super) fn new(
        client: usize,
        connection: ConnectionId,
        stage: Stage,
        caller: Arc<Caller<Message, Called>>,
    ) -> Self {
        let waker = Waker::from(Arc::clone(&caller));
        Self { client, connection, stage, is_queued: false, caller, waker }
    }

    /// Notes what an event tells.
    pub(super) fn note(&mut self, event: &Event) {
        match &mut self.stage {
            Stage::Resolving(_) => {}
            Stage::Connecting(attempts) => attempts.note(event),
            Stage::Open(open) => drop(open.stream_mut().note(event)),
        }
    }

    /// Takes what was found by the lookup of that number; whether it is this connection's.
    pub(super) fn found(&mut self, number: u64, found: Found, driver: &Driver) -> Option<Step> {
        match &self.stage {
            Stage::Resolving(lookup) if lookup.number == number => {}
            _ => return None,
        }
        match found {
            Ok(addresses) => {
                let addresses = addresses.into_iter().map(Address::Tcp).collect();
                self.stage = Stage::Connecting(Attempts::new(addresses));
                Some(Step::Again)
            }
            Err(why) => {
                driver.connect_failed(self.connection, why);
                Some(Step::End)
            }
        }
    }

    /// Does what there is to do, for a bounded number of reads and writes: when there is more, its
    /// waker was called.
    pub(super) fn turn(&mut self, driver: &Driver, registry: &Registry, token: Token) -> Step {
        let mut cx = Context::from_waker(&self.waker);
        loop {
            match &mut self.stage {
                Stage::Open(open) => match open.poll(driver, &mut cx) {
                    Poll::Pending => return Step::Wait,
                    Poll::Ready(()) => return Step::End,
                },
                _ if driver.turn(self.connection, &self.waker).is_closed => return Step::End,
                Stage::Resolving(_) => return Step::Wait,
                Stage::Connecting(attempts) => match attempts.turn(registry, token) {
                    Poll::Pending => return Step::Wait,
                    Poll::Ready(Ok(socket)) => {
                        driver.connected(self.connection);
                        self.stage = Stage::Open(DrivenConnection::new(self.connection, socket));
                    }
                    Poll::Ready(Err(why)) => {
                        driver.connect_failed(self.connection, why);
                        return Step::End;
                    }
                },
            }
        }
    }

    pub(super) fn close(self, registry: &Registry) {
        match self.stage {
            Stage::Resolving(_) => {}
            Stage::Connecting(attempts) => attempts.close(registry),
            Stage::Open(mut open) => open.stream_mut().deregister(registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};
    use std::sync::Arc;
    use windhover_client::{Client, DriverStep};

    use super::*;
    use crate::client::resolver::Lookups;
    use crate::mailbox::Mailbox;

    #[test]
    fn what_an_earlier_lookup_found_is_not_taken_for_its_own() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        let mailbox = Arc::new(Mailbox::new(waker));
        let resolver = Arc::new(|_: &str| Ok(Vec::new()));
        let lookups = Lookups::new(resolver, Arc::clone(&mailbox));
        let (client, driver) = Client::builder().server("name:1").build().unwrap();
        let mut call = Box::pin(client.get("k"));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let DriverStep::Connect { connection, .. } = driver.next(Waker::noop()) else {
            panic!("a connection is wanted");
        };

        let earlier = lookups.begin("name:1", 0).number;
        let lookup = lookups.begin("name:1", 0);
        let number = lookup.number;
        let caller = Caller::new(Called::Connection(0), &mailbox);
        let mut link = Link::new(0, connection, Stage::Resolving(lookup), caller);
        let found = Ok(vec!["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(link.found(earlier, found.clone(), &driver), None);
        assert_eq!(link.found(number, found.clone(), &driver), Some(Step::Again));
        assert_eq!(link.found(number, found, &driver), None);
    }
}
