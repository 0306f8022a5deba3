//! The deadlines of many connections, in the order of time.

use std::collections::BTreeSet;

use windhover_core::Instant;

/// One timer for each connection at most. An ordered set and not a heap: connections that end take
/// their timer out, so that a crowd of short ones leaves nothing behind until its deadlines have
/// come.
///
/// Deadlines mostly move later: a timer is left as it is then, and set anew when it fires. The
/// connection keeps the instant that it is set to.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, usize)>);

impl Timers {
    /// Sees to it that the timer of `slot` fires at or before `until`.
    pub(crate) fn arm(&mut self, slot: usize, armed: &mut Option<Instant>, until: Instant) {
        if armed.is_some_and(|armed| armed <= until) {
            return;
        }
        self.disarm(slot, armed);
        self.0.insert((until, slot));
        *armed = Some(until);
    }

    /// Takes the timer of `slot` out.
    pub(crate) fn disarm(&mut self, slot: usize, armed: &mut Option<Instant>) {
        if let Some(armed) = armed.take() {
            self.0.remove(&(armed, slot));
        }
    }

    /// The slot of a timer that has come; its connection's is no longer set.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let first = self.0.first().copied()?;
        if first.0 > now {
            return None;
        }
        self.0.remove(&first);
        Some(first.1)
    }

    /// When the first one fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|first| first.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn timers_fire_in_the_order_of_time() {
        let mut timers = Timers::default();
        timers.arm(1, &mut None, at(20));
        timers.arm(2, &mut None, at(10));
        timers.arm(3, &mut None, at(30));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(20)), Some(2));
        assert_eq!(timers.pop_due(at(20)), Some(1));
        assert_eq!(timers.pop_due(at(20)), None);
        assert_eq!(timers.next(), Some(at(30)));
    }

    #[test]
    fn only_an_earlier_deadline_sets_a_timer_anew() {
        let mut timers = Timers::default();
        let mut armed = None;
        timers.arm(1, &mut armed, at(10));
        timers.arm(1, &mut armed, at(20));
        assert_eq!((timers.next(), armed), (Some(at(10)), Some(at(10))));
        timers.arm(1, &mut armed, at(5));
        assert_eq!((timers.next(), armed), (Some(at(5)), Some(at(5))));
        assert_eq!(timers.pop_due(at(100)), Some(1));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_connection_that_ends_leaves_no_timer() {
        let mut timers = Timers::default();
        let mut armed = None;
        timers.arm(1, &mut armed, at(10));
        timers.disarm(1, &mut armed);
        assert_eq!((timers.next(), armed), (None, None));
    }
}
