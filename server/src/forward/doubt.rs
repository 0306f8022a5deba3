//! Which events a queue server will never take.
//!
//! Some servers say so. But `NOT_STORED` is what kestrel answers when the queue is full, and also when the item is too large; an
//! event must not be given up for the former. So the events are compared: one that is larger than any
//! that was ever taken is sent once more now and then, alone, and right behind it those that wait. Where
//! it is refused, and one of them is taken, again and again, it is for its size. While nothing is taken
//! at all the queue counts as full, and every event waits.

use std::time::{Duration, Instant};

/// So often an event has to be refused while others, sent right behind it, are taken.
const STRIKES: u32 = 7;
/// Until it is sent again for the first time; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Why an event was refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForGood {
    /// The server calls the request wrong.
    Refused,
    /// Others are taken, and smaller.
    TooLarge,
}

impl ForGood {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Refused => "refused_by_queue_server",
            Self::TooLarge => "too_large_for_queue_server",
        }
    }
}

/// What a server's answer says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is wrong.
    Wrong,
    /// It was not stored, for its size or because the queue is full.
    NotStored,
    /// It is larger than anything that is taken there.
    TooLarge,
    /// Nothing: there was no answer, or one that says as little.
    None,
}

/// An event that may never be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    strikes: u32,
    pause: Duration,
    /// When it is sent again.
    pub(super) due: Instant,
}

/// What a refusal means for an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// It is sent again with the others.
    Again,
    /// It is sent again later, alone.
    Doubted(Doubt),
    /// It will never be taken.
    Never(ForGood),
}

/// Checks an event that was not taken. `doubt` is what was thought of it before, `others_taken` whether
/// one was taken that was sent with it, or right behind it when it was sent alone; `is_largest` whether none
/// as large was ever taken.
pub(super) fn check(
    doubt: Option<Doubt>,
    answer: Answer,
    is_largest: bool,
    others_taken: bool,
    now: Instant,
) -> Verdict {
    if answer == Answer::TooLarge {
        return Verdict::Never(ForGood::TooLarge);
    }
    if answer == Answer::None {
        return match doubt {
            Some(doubt) => Verdict::Doubted(Doubt { due: now + doubt.pause, ..doubt }),
            None => Verdict::Again,
        };
    }
    if answer == Answer::NotStored && !is_largest {
        return Verdict::Again;
    }
    if answer == Answer::Wrong && others_taken {
        return Verdict::Never(ForGood::Refused);
    }
    let Some(Doubt { strikes, pause, .. }) = doubt else {
        return Verdict::Doubted(Doubt { strikes: 0, pause: PAUSE, due: now + PAUSE });
    };
    let strikes = strikes + u32::from(others_taken);
    if strikes >= STRIKES {
        return Verdict::Never(ForGood::TooLarge);
    }
    let pause = (pause * 2).min(LONGEST_PAUSE);
    Verdict::Doubted(Doubt { strikes, pause, due: now + pause })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often an event is sent until it is given up, when it is answered so each time.
    fn sent(answer: Answer, is_largest: bool, others_taken: bool) -> Option<u32> {
        let mut doubt = None;
        for sent in 1..1000 {
            match check(doubt, answer, is_largest, others_taken, Instant::now()) {
                Verdict::Again => doubt = None,
                Verdict::Doubted(it) => doubt = Some(it),
                Verdict::Never(_) => return Some(sent),
            }
        }
        None
    }

    #[test]
    fn what_is_wrong_goes_when_others_are_taken() {
        assert_eq!(sent(Answer::Wrong, false, true), Some(1));
        assert_eq!(sent(Answer::Wrong, true, false), None, "the server takes nothing at all");
    }

    #[test]
    fn what_is_too_large_goes_when_smaller_ones_are_taken_behind_it_each_time() {
        assert_eq!(sent(Answer::NotStored, true, true), Some(STRIKES + 1));
    }

    #[test]
    fn what_is_known_to_be_too_large_goes_at_once() {
        for (is_largest, others_taken) in [(true, true), (true, false), (false, false)] {
            assert_eq!(sent(Answer::TooLarge, is_largest, others_taken), Some(1));
        }
    }

    #[test]
    fn nothing_goes_because_a_queue_is_full_or_a_server_away() {
        assert_eq!(sent(Answer::NotStored, true, false), None);
        assert_eq!(sent(Answer::NotStored, false, true), None, "larger ones were taken before");
        for (is_largest, others_taken) in [(true, true), (true, false), (false, true)] {
            assert_eq!(sent(Answer::None, is_largest, others_taken), None);
        }
    }
}
