//! Which server an attempt goes to.

use slab::Slab;

use super::{Again, CallId, Slot};
use crate::Instant;
use crate::client::call::Target;
use crate::client::cluster::Cluster;
use crate::client::cluster::connections::Link;
use crate::client::error::NotSent;
use crate::client::servers::{Entry, ServerId};

pub(in crate::client) enum Selected {
    Server(ServerId),
    /// The reserved connection, by its place, and its server.
    Reservation(usize, ServerId),
}

/// Whether a server is in use, and has a connection or may be connected to.
pub(in crate::client) fn is_usable(links: &Slab<Link>, entry: &Entry, now: Instant) -> bool {
    let has_link = || entry.links.iter().any(|&at| links.get(at).is_some_and(Link::takes_calls));
    entry.health.is_healthy()
        && (entry.connect_at.is_none_or(|connect_at| connect_at <= now) || has_link())
}

impl Cluster {
    /// The server of the next attempt, or why there is none.
    pub(in crate::client) fn choose(
        &mut self,
        id: CallId,
        slot: Slot,
        again: Again,
        now: Instant,
    ) -> Result<Selected, (Option<ServerId>, NotSent)> {
        let active = self.calls.get(id.at()).filter(|active| active.sequence == id.sequence());
        let active = active.ok_or((None, NotSent::NoServer))?;
        let (call, tried) = (&active.call, &active.tried);
        let links = &self.links;
        let usable = |entry: &Entry| is_usable(links, entry, now);
        let untried = |entry: &Entry| usable(entry) && !tried.contains(entry.id);
        let found = match call.target {
            Target::Reservation(reservation) => {
                let reserved =
                    self.reserved_link(reservation).ok_or((None, NotSent::ReservationLost))?;
                return Ok(Selected::Reservation(reserved.0, reserved.1));
            }
            Target::Server(server) => Some(server),
            Target::Key if call.failover || slot == Slot::Hedge => {
                let key = call.prepared.key();
                let first = self.servers.owners(key, untried);
                match again {
                    Again::Yes => first.or_else(|| self.servers.owners(key, usable)),
                    Again::No => first,
                }
            }
            Target::Key => self.servers.owner(call.prepared.key()),
            Target::Any => {
                let first = self.servers.next(&mut self.random, untried);
                match again {
                    Again::Yes => first.or_else(|| self.servers.next(&mut self.random, usable)),
                    Again::No => first,
                }
            }
        };
        let server = found.ok_or_else(|| {
            let any = self.servers.iter().any(|entry| entry.server.weight > 0);
            (None, if any { NotSent::Ejected } else { NotSent::NoServer })
        })?;
        let entry = self.servers.get(server).ok_or((None, NotSent::NoServer))?;
        if !usable(entry) || (again == Again::No && tried.contains(server)) {
            return Err((Some(server), NotSent::Ejected));
        }
        Ok(Selected::Server(server))
    }
}
