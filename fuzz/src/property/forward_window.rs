//! What is on its way to a queue elsewhere, which answers as it likes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use windhover_server::forward::{
    Answer, ForGood, Outcomes, PutError, Record, RecordName, Settled, WINDOW, Window,
};

use crate::{Script, Source};

/// The least and the longest rest after a round in which nothing was taken.
const RESTS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// No record waits longer until it is sent again.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// So often a record is refused beside others that are taken, before it is given up for its size.
const STRIKES: usize = 7;

/// Whatever a target answers, each record that was taken arrives once or is given up, and given up is none but one
/// that the target will not take; the others are sent in their order, again and again.
pub fn forward_window(input: &[u8]) {
    let mut driver = Driver::default();
    for step in Script::read(input).steps {
        driver.step(&mut Source::new(&step));
    }
    driver.end();
}

/// What a record that was taken is known by; says when it is let go of.
#[derive(Debug)]
struct Taken {
    number: usize,
    gone: Rc<RefCell<Vec<usize>>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.gone.borrow_mut().push(self.number);
    }
}

/// A record that has not arrived.
#[derive(Clone, Debug)]
struct Held {
    number: usize,
    len: usize,
    /// How often it was not stored, alone, while others were taken right behind it.
    strikes: usize,
    /// At the latest it is sent then.
    due: Instant,
}

struct Driver {
    window: Window<Taken>,
    held: Vec<Held>,
    records: usize,
    now: Instant,
    rest: Duration,
    /// The largest that was ever taken.
    largest: usize,
    gone: Rc<RefCell<Vec<usize>>>,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            window: Window::default(),
            held: Vec::new(),
            records: 0,
            now: Instant::now(),
            rest: RESTS[0],
            largest: 0,
            gone: Rc::default(),
        }
    }
}

impl Driver {
    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(5) {
            0 => self.hold(source),
            4 => {
                // A target that stays as it is.
                for _ in 0..9 {
                    self.round(&mut source.clone());
                    self.now += LONGEST_WAIT;
                }
            }
            1 => {
                let millis = source.pick(&[1, 99, 100, 1000, 4000]);
                self.now += Duration::from_millis(millis);
            }
            _ => self.round(source),
        }
        // All that it holds, those that are in doubt apart.
        let all = self.window.round(self.now + LONGEST_WAIT);
        assert_eq!(all.alone.len() + all.together.len(), self.held.len());
        assert_eq!(self.window.is_empty(), self.held.is_empty());
        let has_room = self.held.len() < 2 * WINDOW && all.together.len() < WINDOW;
        assert_eq!(self.window.has_room(), has_room);
    }

    fn hold(&mut self, source: &mut Source<'_>) {
        let len = source.pick(&[1, 9, 10, 11, 100]);
        for _ in 0..source.pick(&[1, 2, 3, 5, 7, WINDOW - 1]) {
            if !self.window.has_room() {
                break;
            }
            let (taken, record) = self.record(self.records, len);
            self.window.hold(taken, record);
            self.held.push(Held { number: self.records, len, strikes: 0, due: self.now });
            self.records += 1;
        }
    }

    fn record(&self, number: usize, len: usize) -> (Taken, Record) {
        let name = RecordName::Place(0, number as u64);
        let taken = Taken { number, gone: Rc::clone(&self.gone) };
        (taken, Record { bytes: vec![b'x'; len].into(), name })
    }

    /// Sends what is due to a target of that moment.
    fn round(&mut self, source: &mut Source<'_>) {
        let round = self.window.round(self.now);
        assert_eq!(round.is_empty(), !self.window.is_due(self.now));
        for part in [&round.alone, &round.together] {
            assert!(part.is_sorted_by(|(before, _), (at, _)| before < at), "in their order");
            for (at, record) in part {
                let RecordName::Place(0, number) = record.name else { panic!("{record:?}") };
                let held = &self.held[*at];
                assert_eq!((held.number as u64, held.len), (number, record.bytes.len()));
            }
        }
        let mut is_sent = vec![false; self.held.len()];
        round.alone.iter().chain(&round.together).for_each(|(at, _)| is_sent[*at] = true);
        for (held, is_sent) in self.held.iter().zip(is_sent) {
            assert!(held.due > self.now || is_sent, "{held:?} is forgotten");
        }
        if round.is_empty() {
            return;
        }
        let (mode, most) = (source.below(8), source.pick(&[0, 1, 9, 10, 100]));
        let mut answer = |record: &Record| match mode {
            1 => Err(Answer::None),
            2 | 3 if record.bytes.len() > most => Err(Answer::NotStored),
            4 if record.bytes.len() > most => Err(Answer::TooLarge),
            5 if record.bytes.len() > most => Err(Answer::Wrong),
            6 => source.pick(&[Ok(()), Err(Answer::NotStored), Err(Answer::None)]),
            7 => source.pick(&[Err(Answer::NotStored), Err(Answer::Wrong)]),
            _ => Ok(()),
        };
        let mut answers = vec![None; self.held.len()];
        for (at, record) in round.alone.iter().chain(&round.together) {
            answers[*at] = Some(answer(record));
        }
        let others_taken = round.together.iter().any(|(at, _)| answers[*at] == Some(Ok(())));
        let mut outcomes = Outcomes::new();
        for (at, answer) in answers.iter().enumerate() {
            let told = answer.map(|it| it.map_err(|answer| PutError::new(answer, "refused")));
            outcomes.extend(told.map(|told| (at, told)));
        }
        let settled = self.window.settle(outcomes, others_taken, self.now);
        self.settled(settled, &answers, others_taken, source);
    }

    fn settled(
        &mut self,
        settled: Settled<Taken>,
        answers: &[Option<Result<(), Answer>>],
        others_taken: bool,
        source: &mut Source<'_>,
    ) {
        let mut arrived = Vec::new();
        let mut hopeless = settled.hopeless.iter();
        let (mut bytes, mut failed) = (0, 0);
        let largest = self.largest;
        let mut next = hopeless.next();
        let mut stay = Vec::new();
        for (mut held, answer) in std::mem::take(&mut self.held).into_iter().zip(answers) {
            let answer = match answer {
                None => {
                    stay.push(held);
                    continue;
                }
                Some(Ok(())) => {
                    self.largest = self.largest.max(held.len);
                    bytes += held.len as u64;
                    arrived.push(held.number);
                    continue;
                }
                Some(Err(answer)) => *answer,
            };
            failed += 1;
            held.strikes += usize::from(others_taken && answer == Answer::NotStored);
            if let Some(given_up) = next.filter(|it| it.taken.number == held.number) {
                let may_be = match (given_up.why, answer) {
                    (ForGood::Refused, answer) => answer == Answer::Wrong && others_taken,
                    (ForGood::TooLarge, Answer::TooLarge) => true,
                    (ForGood::TooLarge, _) => held.len > largest && held.strikes > STRIKES,
                };
                assert!(may_be, "{held:?} is given up: {answer:?}, {:?}", given_up.why);
                assert_eq!(given_up.error.answer, answer);
                next = hopeless.next();
                continue;
            }
            let is_over = answer == Answer::TooLarge || answer == Answer::Wrong && others_taken;
            assert!(!is_over, "{held:?} is sent for ever");
            // One that may fit is sent again with the others.
            let may_fit = answer == Answer::NotStored && held.len <= largest;
            held.due = if may_fit { self.now } else { self.now + LONGEST_WAIT };
            stay.push(held);
        }
        assert!(next.is_none(), "{next:?} was not refused");
        let told: Vec<usize> = settled.arrived.iter().map(|taken| taken.number).collect();
        assert_eq!((told, settled.bytes, settled.failed), (arrived, bytes, failed));
        assert_eq!(settled.error.as_deref(), (failed > 0).then_some("refused"));
        let nothing = settled.arrived.is_empty() && settled.hopeless.is_empty();
        assert_eq!(settled.rest, nothing.then_some(self.rest));
        self.rest = if nothing { (self.rest * 2).min(RESTS[1]) } else { RESTS[0] };
        self.held = stay;
        self.now += settled.rest.unwrap_or_default();
        for it in settled.hopeless {
            // There may be no place for it.
            if source.chance(1, 4) {
                let held = Held {
                    number: it.taken.number,
                    len: it.record.bytes.len(),
                    strikes: 0,
                    due: self.now,
                };
                self.held.insert(0, held);
                self.window.hold_again(it.taken, it.record);
            }
        }
    }

    /// A target that takes everything is sent everything; or all is let go of, the newest first.
    fn end(mut self) {
        if self.records.is_multiple_of(2) {
            self.now += LONGEST_WAIT;
            self.round(&mut Source::new(&[]));
            assert!(self.window.is_empty());
        }
        self.gone.borrow_mut().clear();
        self.window.clear();
        let held: Vec<usize> = self.held.iter().rev().map(|held| held.number).collect();
        assert_eq!(*self.gone.borrow(), held);
    }
}
