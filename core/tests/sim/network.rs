//! What lies between the client and its servers: events in the order of their time.

use std::collections::BTreeMap;
use std::time::Duration;

use windhover_core::Instant;
use windhover_core::client::ConnectionId;

use crate::dice::Dice;

/// Something that happens at an instant.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection is asked for at its server.
    Knock {
        host: usize,
        connection: ConnectionId,
    },
    Connected {
        connection: ConnectionId,
    },
    Refused {
        connection: ConnectionId,
    },
    ToServer {
        host: usize,
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    /// The client has closed it.
    Left {
        host: usize,
        connection: ConnectionId,
    },
    ToClient {
        host: usize,
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    /// The server has closed it, or it broke.
    Ended {
        host: usize,
        connection: ConnectionId,
        reset: bool,
    },
    /// The socket takes bytes again.
    Writable {
        connection: ConnectionId,
    },
    /// A read that waits at a server may be over.
    HostWake {
        host: usize,
    },
    /// The callers do something.
    Act,
    /// Something breaks.
    Break,
    /// A server is well again.
    Heal {
        host: usize,
    },
}

impl Event {
    /// The server whose stop or whose darkness holds it up; whether it is on its way there.
    pub(crate) fn route(&self) -> Option<(usize, bool)> {
        match *self {
            Self::ToServer { host, .. } | Self::Left { host, .. } | Self::Knock { host, .. } => {
                Some((host, true))
            }
            Self::ToClient { host, .. } | Self::Ended { host, .. } => Some((host, false)),
            _ => None,
        }
    }
}

/// The client's end of a connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) host: usize,
    /// When the last bytes arrive, either way: none overtake others.
    to_server_at: Instant,
    to_client_at: Instant,
    /// Bytes that the server has not read.
    pub(crate) in_flight: usize,
    /// It took nothing.
    pub(crate) blocked: bool,
}

#[derive(Debug)]
pub(crate) struct Network {
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    pub(crate) sockets: BTreeMap<ConnectionId, Socket>,
    /// Bytes that a socket takes before its server has read them.
    pub(crate) window: usize,
    /// So many of a hundred packets are late, by more than callers wait.
    pub(crate) late: usize,
    /// Whether what is sent in one piece arrives in several.
    pub(crate) splits: bool,
    latency: u64,
}

impl Network {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self {
            events: BTreeMap::new(),
            sequence: 0,
            sockets: BTreeMap::new(),
            window: dice.pick(&[7, 64, 1000, 65_536]),
            late: dice.pick(&[0, 0, 1, 5]),
            splits: dice.chance(50),
            latency: dice.micros(1, 1000).as_micros().try_into().unwrap(),
        }
    }

    pub(crate) fn at(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    /// Callers do nothing more.
    pub(crate) fn stop_callers(&mut self) {
        self.events.retain(|_, it| !matches!(it, Event::Act));
    }

    /// Callers and misfortune have had their time.
    pub(crate) fn stop_acts(&mut self) {
        self.events.retain(|_, it| !matches!(it, Event::Act | Event::Break | Event::Heal { .. }));
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.events.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }

    pub(crate) fn delay(&self, dice: &mut Dice) -> Duration {
        if dice.chance(self.late) {
            return dice.micros(10_000, 500_000);
        }
        dice.micros(self.latency / 2, self.latency)
    }

    pub(crate) fn connect(&mut self, connection: ConnectionId, host: usize, at: Instant) {
        let socket =
            Socket { host, to_server_at: at, to_client_at: at, in_flight: 0, blocked: false };
        self.sockets.insert(connection, socket);
        self.at(at, Event::Knock { host, connection });
    }

    pub(crate) fn send_to_server(&mut self, connection: ConnectionId, bytes: Vec<u8>, at: Instant) {
        if let Some(socket) = self.sockets.get_mut(&connection) {
            let at = at.max(socket.to_server_at);
            socket.to_server_at = at;
            socket.in_flight += bytes.len();
            let host = socket.host;
            self.at(at, Event::ToServer { host, connection, bytes });
        }
    }

    pub(crate) fn close(&mut self, connection: ConnectionId, at: Instant) {
        if let Some(socket) = self.sockets.remove(&connection) {
            let host = socket.host;
            self.at(at.max(socket.to_server_at), Event::Left { host, connection });
        }
    }

    /// When something that is sent to the client now arrives; `None` where it has left.
    fn arrival(&mut self, connection: ConnectionId, at: Instant) -> Option<(usize, Instant)> {
        let socket = self.sockets.get_mut(&connection)?;
        socket.to_client_at = socket.to_client_at.max(at);
        Some((socket.host, socket.to_client_at))
    }

    pub(crate) fn send_to_client(
        &mut self,
        connection: ConnectionId,
        bytes: &[u8],
        now: Instant,
        dice: &mut Dice,
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = if self.splits && rest.len() < 5000 {
                1 + dice.below(rest.len())
            } else {
                rest.len()
            };
            let (piece, behind) = rest.split_at(length);
            rest = behind;
            let delay = self.delay(dice);
            if let Some((host, at)) = self.arrival(connection, now + delay) {
                let bytes = piece.to_vec();
                self.at(at, Event::ToClient { host, connection, bytes });
            }
        }
    }

    pub(crate) fn end(&mut self, connection: ConnectionId, reset: bool, at: Instant) {
        if let Some((host, at)) = self.arrival(connection, at) {
            self.at(at, Event::Ended { host, connection, reset });
        }
    }

    /// A connection was made, or not.
    pub(crate) fn greet(&mut self, connection: ConnectionId, accepted: bool, at: Instant) {
        if let Some((_, at)) = self.arrival(connection, at) {
            let event = if accepted {
                Event::Connected { connection }
            } else {
                Event::Refused { connection }
            };
            self.at(at, event);
        }
    }
}
