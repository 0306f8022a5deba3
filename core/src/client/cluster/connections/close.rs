//! How connections end: too old, given back, given up, or ended by their servers.

use super::{ConnectionId, Link, Role, State};
use crate::Instant;
use crate::cannot_happen::cannot_happen;
use crate::client::cluster::Cluster;
use crate::client::cluster::output::ClusterOutput;
use crate::client::cluster::timers::Timer;
use crate::client::error::{ConnectFailure, NotSent};
use crate::memcache::End;

impl Cluster {
    pub(in crate::client) fn link_timer(&mut self, connection: ConnectionId, now: Instant) {
        let at = connection.at;
        let Some(link) = self.link_mut(connection) else {
            return cannot_happen(());
        };
        link.armed = None;
        let retires = link.retires_at.is_some_and(|retires_at| retires_at <= now);
        match &link.state {
            // Its only timer.
            State::Connecting { .. } => {
                self.tell_close(at);
                self.link_refused(at, ConnectFailure::TimedOut, now);
            }
            State::Open(_) => {
                if retires {
                    self.replace_link(at, now);
                }
                self.mark(at);
            }
        }
    }

    /// A connection has grown old: another one takes its place.
    pub(in crate::client) fn replace_link(&mut self, at: usize, now: Instant) {
        let Some(link) = self.links.get_mut(at) else {
            return cannot_happen(());
        };
        link.retires_at = None;
        let (server, used) = (link.server, link.answered);
        match link.role {
            Role::Shared => {
                let connection = self.connection_id(at);
                let in_use = self.servers.get(server).is_some_and(|it| it.health.is_healthy());
                let most = self.options.connections.max(1);
                let all = self.links_to(server).filter(|(_, it)| it.role == Role::Shared);
                if all.count() >= 2 * most {
                    // Those that went before it still wait for answers.
                    return self.stay_for_another_age(at, now);
                }
                // A probe that found the server well again stays as a shared connection.
                let surplus = self.settled_links(server) > most;
                if used && in_use && !surplus && !self.shutting_down {
                    // It goes on until the new one is there.
                    let new = self.open_link(server, Role::Shared, now);
                    return self.change(new.at, |link| link.replaces = connection);
                }
                self.retire_link(at, now);
                self.open_in_advance(server, now);
                self.serve_waiting(server, now);
            }
            Role::Spare | Role::Probe => self.retire_link(at, now),
            // In use: closed once it is given back.
            Role::Exclusive(_) | Role::Reserved(_) => link.is_retiring = true,
        }
    }

    /// A connection that cannot be replaced now is not too old for as long again.
    pub(in crate::client) fn stay_for_another_age(&mut self, at: usize, now: Instant) {
        if let Some(age) = self.options.max_age {
            self.change(at, |link| link.retires_at = Some(now + age));
            self.arm(at, now + age);
        }
    }

    /// Gives no more calls to a connection, and closes it when those under way are answered.
    pub(in crate::client) fn retire_link(&mut self, at: usize, now: Instant) {
        let Some(link) = self.links.get_mut(at) else {
            return cannot_happen(());
        };
        link.is_retiring = true;
        match (&mut link.state, link.role) {
            // Closed once it is given back.
            (State::Open(_), Role::Exclusive(_) | Role::Reserved(_)) => {}
            (State::Open(open), _) => {
                open.shut_down();
                self.mark(at);
            }
            (State::Connecting { .. }, Role::Exclusive(attempt)) => {
                self.close_link(at);
                self.not_sent(attempt, NotSent::NoServer, now);
            }
            (State::Connecting { .. }, _) => self.close_link(at),
        }
    }

    /// Takes a connection out; its requests were told their ends, or belong to nobody.
    pub(in crate::client) fn remove_link(&mut self, at: usize) -> Option<Link> {
        let link = self.links.try_remove(at)?;
        if let Some(armed) = link.armed {
            let connection = ConnectionId { at, sequence: link.sequence };
            self.timers.unset(armed, Timer::Link(connection));
        }
        if let Some(entry) = self.servers.get_mut(link.server) {
            entry.links.retain(|&other| other != at);
        }
        Some(link)
    }

    /// Tells the adapter to close a connection, or not to make it where it has not been told to yet.
    pub(in crate::client) fn tell_close(&mut self, at: usize) {
        let Some(connection) = self.connection_id(at) else {
            return cannot_happen(());
        };
        let asked = |output: &ClusterOutput| matches!(output, ClusterOutput::Connect { connection: asked, .. } if *asked == connection);
        match self.outputs.iter().position(asked) {
            Some(asked) => {
                self.outputs.remove(asked);
            }
            None => self.outputs.push_back(ClusterOutput::Close { connection }),
        }
    }

    /// Closes a connection. What is still under way on it is told so.
    pub(in crate::client) fn close_link(&mut self, at: usize) {
        if let Some(link) = self.links.get_mut(at)
            && !link.tickets.is_empty()
            && let State::Open(open) = &mut link.state
        {
            open.abandon();
            return self.mark(at);
        }
        self.tell_close(at);
        self.remove_link(at);
    }

    /// An exclusive connection is not needed any more.
    pub(in crate::client) fn return_link(&mut self, at: usize, now: Instant) {
        let over = self.links.get(at).is_none_or(|link| {
            let old = link.retires_at.is_some_and(|retires_at| retires_at <= now);
            let gone = self.servers.get(link.server).is_none();
            // Only the end of the connection puts an item back that is still open.
            old || gone || link.holds || link.in_flight() > 0 || !link.takes_calls()
        });
        if over {
            self.close_link(at);
        } else {
            self.change(at, |link| link.role = Role::Spare);
        }
    }

    /// The connection has ended; every request on it was told so before.
    pub(in crate::client) fn link_ended(&mut self, at: usize, end: End, now: Instant) {
        let Some(link) = self.remove_link(at) else {
            return cannot_happen(());
        };
        // A server may close a connection that nobody uses.
        let unused = matches!(end, End::EndOfStream | End::Broken { .. }) && !link.killed;
        // Its calls have run late, and that was counted: this is the end of the same silence.
        let stall = self.options.timeouts.stall;
        let counted = link.failed_at.is_some_and(|failed| now < failed + stall);
        if link.role == Role::Probe {
            self.probe_failed(link.server, now);
        } else if end.is_fault() && !unused && !counted {
            self.fault(link.server, NotSent::Connection(end), now);
        }
        // A server that closes what it has accepted would be connected to in a loop.
        if link.answered || !end.is_fault() {
            self.open_in_advance(link.server, now);
        }
        self.serve_waiting(link.server, now);
    }
}
