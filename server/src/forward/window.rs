//! What is on its way: which records are sent next, what an answer means for each, and how long to rest when
//! nothing is taken. It has no socket, no queue and no clock.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::doubt::{Doubt, ForGood, Verdict, check};
use super::target::{PutError, Record};

/// So many records of one queue are on their way at a time.
pub const WINDOW: usize = 256;
/// So many are taken out of their queue at a time, with those that may never be taken.
const HELD: usize = 2 * WINDOW;
/// The first rest after a round in which nothing was taken; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A record that has not arrived. `T` is what its source knows it by.
#[derive(Debug)]
struct Held<T> {
    taken: T,
    record: Record,
    /// It may never be taken.
    doubt: Option<Doubt>,
}

/// The records that are sent in one round, by their places: those in doubt first, then the others, so that it is
/// seen whether others are taken right behind them.
#[derive(Debug, Default)]
pub struct Round {
    /// Those in doubt.
    pub alone: Vec<(usize, Record)>,
    /// The others.
    pub together: Vec<(usize, Record)>,
}

impl Round {
    /// Whether nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.together.is_empty()
    }
}

/// What became of the records of a round, by their places.
pub type Outcomes = HashMap<usize, Result<(), PutError>>;

/// A record that will never be taken.
#[derive(Debug)]
pub struct Hopeless<T> {
    /// What its source knows it by.
    pub taken: T,
    /// The record.
    pub record: Record,
    /// Why.
    pub why: ForGood,
    /// What was answered last.
    pub error: PutError,
}

/// What is to be done after a round.
#[derive(Debug)]
pub struct Settled<T> {
    /// These have arrived.
    pub arrived: Vec<T>,
    /// Their bytes.
    pub bytes: u64,
    /// These never will.
    pub hopeless: Vec<Hopeless<T>>,
    /// How many did not arrive, the hopeless ones with them.
    pub failed: usize,
    /// Why the first of them did not.
    pub error: Option<String>,
    /// Nothing arrived: how long to rest.
    pub rest: Option<Duration>,
}

/// The records that have been taken out of a queue and not arrived, the oldest first.
#[derive(Debug)]
pub struct Window<T> {
    held: VecDeque<Held<T>>,
    /// Bytes of the largest record that was ever taken.
    largest_taken: usize,
    pause: Duration,
}

/// One that holds nothing.
impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { held: VecDeque::new(), largest_taken: 0, pause: PAUSE }
    }
}

impl<T> Window<T> {
    /// Whether there is room for a further record.
    pub fn has_room(&self) -> bool {
        // Those that may never be taken must not keep others from being sent.
        self.held.len() < HELD
            && self.held.iter().filter(|held| held.doubt.is_none()).count() < WINDOW
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes a record that is to be sent.
    pub fn hold(&mut self, taken: T, record: Record) {
        self.held.push_back(Held { taken, record, doubt: None });
    }

    /// Takes back a record that could not be put aside; it is sent again.
    pub fn hold_again(&mut self, taken: T, record: Record) {
        self.held.push_front(Held { taken, record, doubt: None });
    }

    /// Whether a record is to be sent.
    pub fn is_due(&self, now: Instant) -> bool {
        self.held.iter().any(|held| held.is_due(now))
    }

    /// The records that are to be sent, in their order.
    pub fn round(&self, now: Instant) -> Round {
        let mut round = Round::default();
        for (at, held) in self.held.iter().enumerate().filter(|(_, held)| held.is_due(now)) {
            let group = if held.doubt.is_some() { &mut round.alone } else { &mut round.together };
            group.push((at, held.record.clone()));
        }
        round
    }

    /// Takes note of what became of a round. `others_taken`: one of those was taken that were sent together.
    pub fn settle(
        &mut self,
        mut outcomes: Outcomes,
        others_taken: bool,
        now: Instant,
    ) -> Settled<T> {
        let mut settled = Settled {
            arrived: Vec::new(),
            bytes: 0,
            hopeless: Vec::new(),
            failed: 0,
            error: None,
            rest: None,
        };
        for (at, mut held) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let error = match outcomes.remove(&at) {
                None => {
                    self.held.push_back(held);
                    continue;
                }
                Some(Ok(())) => {
                    self.largest_taken = self.largest_taken.max(held.record.bytes.len());
                    settled.bytes += held.record.bytes.len() as u64;
                    settled.arrived.push(held.taken);
                    continue;
                }
                Some(Err(error)) => error,
            };
            settled.failed += 1;
            settled.error.get_or_insert_with(|| error.to_string());
            let is_largest = held.record.bytes.len() > self.largest_taken;
            match check(held.doubt, error.answer, is_largest, others_taken, now) {
                Verdict::Again => held.doubt = None,
                Verdict::Doubted(doubt) => held.doubt = Some(doubt),
                Verdict::Never(why) => {
                    let Held { taken, record, .. } = held;
                    settled.hopeless.push(Hopeless { taken, record, why, error });
                    continue;
                }
            }
            self.held.push_back(held);
        }
        if settled.arrived.is_empty() && settled.hopeless.is_empty() {
            settled.rest = Some(self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        } else {
            self.pause = PAUSE;
        }
        settled
    }

    /// Lets go of all that is held, the newest first, so that what puts itself back keeps the order.
    pub fn clear(&mut self) {
        while self.held.pop_back().is_some() {}
    }
}

impl<T> Held<T> {
    fn is_due(&self, now: Instant) -> bool {
        self.doubt.is_none_or(|doubt| doubt.due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubt::Answer;
    use super::super::target::RecordName;
    use super::*;

    fn record(bytes: Vec<u8>) -> Record {
        Record { bytes: bytes.into(), name: RecordName::Place(0, 0) }
    }

    /// A target of that moment: what it answers to a record of so many bytes.
    type Target = fn(usize) -> Result<(), Answer>;

    /// A window, the time, and what came out of it.
    struct Simulation {
        window: Window<usize>,
        start: Instant,
        now: Instant,
        arrived: Vec<usize>,
        given_up: Vec<(usize, ForGood)>,
    }

    impl Simulation {
        /// Holds records of those lengths, numbered from 0.
        fn of(lengths: &[usize]) -> Self {
            let mut window = Window::default();
            for (number, length) in lengths.iter().enumerate() {
                window.hold(number, record(vec![b'x'; *length]));
            }
            let now = Instant::now();
            Self { window, start: now, now, arrived: Vec::new(), given_up: Vec::new() }
        }

        /// One round, and the rest behind it.
        fn round(&mut self, target: Target) -> Vec<usize> {
            let round = self.window.round(self.now);
            let answer = |(at, record): (usize, Record)| {
                (at, target(record.bytes.len()).map_err(|answer| PutError::new(answer, "refused")))
            };
            let sent = round.alone.iter().chain(&round.together).map(|(at, _)| *at).collect();
            let mut outcomes: Outcomes = round.alone.into_iter().map(answer).collect();
            let behind: Outcomes = round.together.into_iter().map(answer).collect();
            let others_taken = behind.values().any(Result::is_ok);
            outcomes.extend(behind);
            let settled = self.window.settle(outcomes, others_taken, self.now);
            self.arrived.extend(settled.arrived);
            self.given_up.extend(settled.hopeless.into_iter().map(|it| (it.taken, it.why)));
            self.now += settled.rest.unwrap_or(Duration::from_millis(1));
            sent
        }

        fn run_for(&mut self, time: Duration, target: Target) {
            let until = self.now + time;
            while self.now < until {
                if self.window.is_due(self.now) {
                    self.round(target);
                } else {
                    self.now += Duration::from_millis(10);
                }
            }
        }
    }

    #[test]
    fn what_is_taken_arrives_in_order_in_one_round() {
        let mut it = Simulation::of(&[1, 2, 3]);
        assert_eq!(it.round(|_| Ok(())), [0, 1, 2]);
        assert_eq!(it.arrived, [0, 1, 2]);
        assert!(it.window.held.is_empty());
    }

    #[test]
    fn what_is_not_answered_is_sent_again_until_it_is_however_long_that_takes() {
        let mut it = Simulation::of(&[1, 2, 3]);
        it.run_for(Duration::from_secs(3600), |_| Err(Answer::None));
        assert_eq!((it.arrived.len(), it.given_up.len()), (0, 0));
        let rounds = it.round(|_| Ok(()));
        assert_eq!((rounds, it.arrived), (vec![0, 1, 2], vec![0, 1, 2]));
    }

    #[test]
    fn rests_double_up_to_a_second_and_are_forgotten_when_something_arrives() {
        let mut it = Simulation::of(&[1, 2]);
        for _ in 0..4 {
            it.round(|_| Err(Answer::None));
        }
        assert_eq!(it.now - it.start, Duration::from_millis(100 + 200 + 400 + 800));
        it.round(|_| Err(Answer::None));
        let before = it.now;
        it.round(|_| Err(Answer::None));
        assert_eq!(it.now - before, Duration::from_secs(1));
        it.round(|length| if length == 1 { Ok(()) } else { Err(Answer::None) });
        let before = it.now;
        it.round(|_| Err(Answer::None));
        assert_eq!(it.now - before, Duration::from_millis(100));
    }

    #[test]
    fn what_is_too_large_is_given_up_at_once_and_holds_up_nothing() {
        let mut it = Simulation::of(&[9000, 1, 2]);
        let target: Target = |length| if length > 100 { Err(Answer::TooLarge) } else { Ok(()) };
        it.round(target);
        assert_eq!(it.arrived, [1, 2]);
        assert_eq!(it.given_up, [(0, ForGood::TooLarge)]);
        assert!(it.window.held.is_empty());
    }

    #[test]
    fn what_alone_is_not_stored_is_given_up_when_others_go_by() {
        let mut it = Simulation::of(&[9000, 1]);
        let target: Target = |length| if length > 100 { Err(Answer::NotStored) } else { Ok(()) };
        // Nobody goes by: it may be full.
        it.run_for(Duration::from_secs(600), target);
        assert_eq!((it.arrived.as_slice(), it.given_up.as_slice()), (&[1][..], &[][..]));
        for number in 2..6000 {
            it.window.hold(number, record(vec![b'x'; 1]));
            it.run_for(Duration::from_millis(10), target);
        }
        assert_eq!(it.given_up, [(0, ForGood::TooLarge)]);
        assert_eq!(it.arrived.len(), 5999, "nobody waited for it");
    }

    #[test]
    fn there_is_room_for_a_window_of_those_that_are_not_in_doubt() {
        let mut it = Simulation::of(&[1; WINDOW]);
        assert!(!it.window.has_room());
        it.round(|_| Err(Answer::NotStored));
        assert!(it.window.has_room(), "all of them are in doubt");
        for number in 0..WINDOW {
            it.window.hold(number, record(vec![b'x'; 1]));
        }
        assert!(!it.window.has_room());
    }
}
