//! What callers, operators and misfortune do in a run, and how it ends.

use std::time::Duration;

use windhover_core::client::{Call, ReservationId, Server};

use crate::check::{self, Ended, Verdict};
use crate::host::{Mode, Sabotage, Store};
use crate::load::{Asked, Load, Record};
use crate::log::Uid;
use crate::network::Event;
use crate::settings::{START, ms};
use crate::world::{Held, World, server};

/// How many things happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) calls: usize,
    pub(crate) answered: usize,
    pub(crate) without_effect: usize,
    pub(crate) unknown: usize,
}

impl Summary {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            answered: self.answered + other.answered,
            without_effect: self.without_effect + other.without_effect,
            unknown: self.unknown + other.unknown,
        }
    }
}

impl World {
    /// The whole run.
    pub(crate) fn run(&mut self) -> Result<Summary, String> {
        let storm = START + self.dice.micros(100_000, 1_000_000);
        self.settle()?;
        self.network.at(START, Event::Act);
        self.network.at(START, Event::Break);
        self.run_until(storm)?;
        match self.dice.below(20) {
            0 => self.abort()?,
            1 => self.leave()?,
            _ => {
                self.recover()?;
                self.come_to_rest()?;
                self.shut_down()?;
            }
        }
        let mut summary = Summary { calls: self.over.len(), ..Summary::default() };
        let mut taken = 0;
        for (record, ended) in &self.over {
            check::at_the_end(record, *ended, &self.log)
                .map_err(|wrong| format!("{record:?} ended {ended:?}, and {wrong}"))?;
            summary.answered += usize::from(*ended == Ended::Answered);
            summary.without_effect += usize::from(*ended == Ended::IfNotSent);
            summary.unknown += usize::from(*ended == Ended::Unknown);
            taken += usize::from(matches!(record.asked, Asked::Take) && *ended != Ended::IfNotSent);
        }
        for item in self.log.confirmed() {
            let by = |(record, ended): &(Record, Ended)| {
                *ended != Ended::IfNotSent
                    && matches!(record.asked, Asked::Confirm { item: it } if it == item)
            };
            if !self.over.iter().any(by) {
                return Err(format!("item {item} was confirmed by nobody"));
            }
        }
        if self.log.taken > taken && !self.repeats_takes() {
            return Err(format!("{} items were taken by {taken} calls", self.log.taken));
        }
        Ok(summary)
    }

    /// Whether a take may have been carried out more often than it was asked for.
    fn repeats_takes(&self) -> bool {
        self.over.iter().any(|(record, _)| {
            matches!(record.asked, Asked::Take)
                && record.retry == windhover_core::client::Retry::AtLeastOnce
        })
    }

    pub(crate) fn act(&mut self) {
        match self.dice.below(40) {
            0 => self.change_servers(),
            1..=3 => self.cancel(),
            4 | 5 => self.end_reservation_early(),
            6 => self.use_old_reservation(),
            _ if !self.reservations.is_empty() && self.dice.chance(60) => self.use_reservation(),
            _ => {
                let drawn = self.load.draw(&mut self.dice);
                let timeout = Load::timeout(&mut self.dice);
                self.submit(drawn, timeout, None);
            }
        }
        // Some come at the same moment.
        let pause =
            if self.dice.chance(30) { Duration::ZERO } else { self.dice.micros(100, 20_000) };
        self.network.at(self.now + pause, Event::Act);
    }

    fn submit(
        &mut self,
        (call, asked, uid): (Call, Asked, Uid),
        timeout: Duration,
        reservation: Option<ReservationId>,
    ) {
        self.note(|| format!("{asked:?} #{uid} within {timeout:?}, {:?}", call.retry));
        let (since, deadline) = (self.now, self.now + timeout);
        let record = Record { asked, uid, retry: call.retry, since, deadline, reservation };
        match self.cluster.submit(call, deadline, self.now) {
            Ok(id) => {
                self.calls.insert(id, record);
            }
            Err(_) => {
                if let Some(reservation) = reservation {
                    self.cluster.abandon_reservation(reservation);
                }
                self.over.push((record, Ended::IfNotSent));
            }
        }
    }

    fn cancel(&mut self) {
        let under_way: Vec<_> = self.calls.keys().copied().collect();
        if under_way.is_empty() {
            return;
        }
        let id = self.dice.pick(&under_way);
        if let Some(record) = self.calls.remove(&id) {
            self.note(|| format!("#{} is cancelled", record.uid));
            self.cluster.cancel(id);
            // Nobody would have learnt of its reservation.
            if let Some(reservation) = record.reservation {
                self.cluster.abandon_reservation(reservation);
            }
            self.over.push((record, Ended::Cancelled));
        }
    }

    fn use_reservation(&mut self) {
        let at = self.dice.below(self.reservations.len());
        let held = self.reservations.swap_remove(at);
        self.old_reservations.push(held.clone());
        let Held { reservation, item, queue } = held;
        match self.dice.below(10) {
            0 | 1 => self.cluster.abandon_reservation(reservation),
            _ => {
                let drawn = self.load.settle(&queue, item, reservation, &mut self.dice);
                let timeout = Load::timeout(&mut self.dice);
                self.submit(drawn, timeout, Some(reservation));
            }
        }
    }

    /// A reservation is given back or up while a call on it is under way, which must still have its end.
    fn end_reservation_early(&mut self) {
        let reservations: Vec<_> =
            self.calls.values().filter_map(|record| record.reservation).collect();
        if reservations.is_empty() {
            return;
        }
        let reservation = self.dice.pick(&reservations);
        self.note(|| format!("{reservation:?} ends early"));
        if self.dice.chance(50) {
            self.cluster.release_reservation(reservation, self.now);
        } else {
            self.cluster.abandon_reservation(reservation);
        }
    }

    /// A reservation that has ended, or is about to, has no power over what its connection holds now.
    fn use_old_reservation(&mut self) {
        if self.old_reservations.is_empty() {
            return;
        }
        let at = self.dice.below(self.old_reservations.len());
        let Held { reservation, item, queue } = self.old_reservations[at].clone();
        if self.calls.values().any(|record| record.reservation == Some(reservation)) {
            return;
        }
        let drawn = self.load.settle(&queue, item, reservation, &mut self.dice);
        self.submit(drawn, ms(100), Some(reservation));
    }

    fn change_servers(&mut self) {
        let mut servers: Vec<Server> = Vec::new();
        for host in &self.hosts {
            if self.dice.chance(70) {
                let weight = self.dice.pick(&[0, 1, 1, 1, 3]);
                let mut it = server(host).weight(weight);
                if self.dice.chance(10) {
                    it = it.named(&format!("other{}", host.number));
                }
                servers.push(it);
            }
        }
        self.note(|| format!("the servers are {servers:?}"));
        self.cluster.set_servers(&servers, self.now).unwrap();
    }

    pub(crate) fn break_something(&mut self) {
        let host = self.dice.below(self.hosts.len());
        match self.dice.below(8) {
            0 | 1 => self.turn(host, Mode::Stopped),
            2 => self.turn(host, Mode::Down),
            3 => self.turn(host, Mode::Dark),
            4 => self.hosts[host].busy = self.dice.below(100),
            5 | 6 => self.hosts[host].sick = self.dice.below(100),
            _ => {
                // It restarts at once.
                self.turn(host, Mode::Down);
                self.turn(host, Mode::Up);
            }
        }
        let healed = self.now + self.dice.micros(1000, 600_000);
        self.network.at(healed, Event::Heal { host });
        let next = self.now + self.dice.micros(10_000, 400_000);
        self.network.at(next, Event::Break);
    }

    /// It ends in the middle of it all. The servers may still carry out what has left.
    fn abort(&mut self) -> Verdict {
        self.network.stop_acts();
        self.note(|| "the client aborts".into());
        self.cluster.abort(self.now);
        self.settle()?;
        if !self.is_closed() || !self.calls.is_empty() || !self.network.sockets.is_empty() {
            return Err("it does not abort".into());
        }
        for host in 0..self.hosts.len() {
            self.turn(host, Mode::Up);
        }
        self.run_until(self.now + ms(1000))
    }

    /// It shuts down in the middle of it all: with the last deadline it is closed.
    fn leave(&mut self) -> Verdict {
        let last = self.calls.values().map(|record| record.deadline).max();
        self.note(|| "the client shuts down".into());
        self.cluster.shut_down();
        self.settle()?;
        self.network.stop_callers();
        self.run_until(last.unwrap_or(self.now).max(self.now))?;
        if !self.is_closed() || !self.calls.is_empty() || !self.network.sockets.is_empty() {
            return Err("it does not shut down in time".into());
        }
        self.network.stop_acts();
        for host in 0..self.hosts.len() {
            self.turn(host, Mode::Up);
        }
        self.run_until(self.now + ms(1000))
    }

    /// Everything is well again: every server is asked again, and answers.
    fn recover(&mut self) -> Verdict {
        self.network.stop_acts();
        self.network.late = 0;
        for host in 0..self.hosts.len() {
            self.hosts[host].busy = 0;
            self.hosts[host].sick = 0;
            self.turn(host, Mode::Up);
        }
        let servers: Vec<_> = self.hosts.iter().map(server).collect();
        self.cluster.set_servers(&servers, self.now).unwrap();
        self.settle()?;
        while let Some(Held { reservation, .. }) = self.reservations.pop() {
            self.cluster.abandon_reservation(reservation);
        }
        let began = self.now;
        for _ in 0..20 {
            let ids: Vec<_> = self.cluster.servers().map(|(id, _)| id).collect();
            for id in ids {
                let drawn = self.load.version(id);
                self.submit(drawn, ms(200), None);
            }
            if self.dice.chance(30) {
                let drawn = self.load.draw(&mut self.dice);
                self.submit(drawn, ms(200), None);
            }
            self.settle()?;
            self.run_until(self.now + ms(125))?;
            while let Some(Held { reservation, .. }) = self.reservations.pop() {
                self.cluster.abandon_reservation(reservation);
            }
        }
        for host in 0..self.hosts.len() {
            let asked = self.log.last_asked(host);
            if asked.is_none_or(|at| at < began + ms(2000)) {
                return Err(format!("h{host} is well and is not asked: {asked:?}"));
            }
        }
        Ok(())
    }

    /// Nothing is asked any more: nothing may be left over.
    fn come_to_rest(&mut self) -> Verdict {
        self.run_until(self.now + ms(1500))?;
        while let Some(Held { reservation, .. }) = self.reservations.pop() {
            self.cluster.abandon_reservation(reservation);
        }
        self.settle()?;
        self.run_until(self.now + ms(100))?;
        if let Some((id, record)) = self.calls.first_key_value() {
            return Err(format!("{id:?} has no end: {record:?}"));
        }
        for host in &self.hosts {
            if let Store::Queues(queues) = &host.store
                && let open = queues.open_items()
                && !open.is_empty()
            {
                return Err(format!("h{}: {open:?} were never put back", host.number));
            }
        }
        for it in self.cluster.statistics() {
            let counted = it.counters;
            let ends = counted.answered + counted.refused + counted.timed_out + counted.broken;
            if ends > counted.sent || counted.latency.count() != counted.answered + counted.refused
            {
                return Err(format!("more calls ended than were sent: {it:?}"));
            }
            // Where there are credentials, a connection opened in advance may just be let in.
            let in_flight = it.in_flight > 0 && self.cluster.options().credentials.is_none();
            if in_flight || it.waiting > 0 {
                return Err(format!("something is left over: {it:?}"));
            }
        }
        Ok(())
    }

    fn shut_down(&mut self) -> Verdict {
        self.cluster.shut_down();
        self.settle()?;
        self.run_until(self.now + ms(100))?;
        if !self.is_closed() || !self.network.sockets.is_empty() {
            return Err("it does not shut down".into());
        }
        let unheard = self.sabotage == Sabotage::None
            && self.hosts.iter().any(|host| !host.sessions.is_empty());
        if unheard { Err("a connection was not closed".into()) } else { Ok(()) }
    }
}
