//! A thread that asks for the time and does nothing else.

use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Distribution;
use crate::load::record::histogram;

/// Less than that between two answers is what asking takes.
const GAP: u64 = 1_000;
/// From here on a gap is said to have been taken from the thread: an interrupt, another one's turn, another machine's.
const TAKEN: u64 = 10_000;
/// Between two looks at the other clock.
const LOOK: Duration = Duration::from_millis(1);
/// Both clocks are read within that, or the reading is thrown away.
const TOGETHER: Duration = Duration::from_micros(5);

/// What was taken from it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Gaps {
    pub(super) seconds: f64,
    /// How often it asked.
    pub(super) asked: u64,
    /// Of its time, what gaps above 10 µs took.
    pub(super) lost_percent: f64,
    /// Gaps a second.
    pub(super) above_10_us: f64,
    pub(super) above_100_us: f64,
    pub(super) above_1_ms: f64,
    pub(super) above_10_ms: f64,
    /// Those above a microsecond.
    pub(super) lengths: Distribution,
}

/// The clock of the day beside the one that never goes back.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Clock {
    /// How far they came apart from one look to the next, at most.
    pub(super) largest_jump: f64,
    /// How far they came apart in all, in millionths of the time.
    pub(super) drift_ppm: f64,
    pub(super) looks: u64,
}

pub(super) fn spin(time: Duration) -> (Gaps, Clock) {
    let mut gaps = histogram();
    let begun = Instant::now();
    let (mut last, mut asked, mut lost) = (begun, 0_u64, 0_u64);
    let mut clock = Clocks::default();
    let mut look_at = begun;
    while last.duration_since(begun) < time {
        let now = Instant::now();
        asked += 1;
        let gap = u64::try_from(now.duration_since(last).as_nanos()).unwrap_or(u64::MAX);
        if gap >= GAP {
            // No gap is longer than what it holds, which is days.
            let _ = gaps.record(gap);
            if gap >= TAKEN {
                lost += gap;
            }
        }
        last = now;
        if now >= look_at {
            clock.look(begun);
            look_at = now + LOOK;
            // The look is not a gap.
            last = Instant::now();
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    (counted(&gaps, seconds, asked, lost), clock.compared(seconds))
}

#[allow(clippy::cast_precision_loss)] // 2^53 ns are a hundred days
fn counted(gaps: &Histogram<u64>, seconds: f64, asked: u64, lost: u64) -> Gaps {
    let above = |least: u64| gaps.count_between(least, u64::MAX) as f64 / seconds;
    Gaps {
        seconds,
        asked,
        lost_percent: lost as f64 / 1e7 / seconds,
        above_10_us: above(TAKEN),
        above_100_us: above(100_000),
        above_1_ms: above(1_000_000),
        above_10_ms: above(10_000_000),
        lengths: Distribution::of(gaps),
    }
}

/// How far the clock of the day is from the other one, in nanoseconds, each time that it was looked at.
#[derive(Debug, Default)]
struct Clocks {
    first: Option<i128>,
    last: Option<i128>,
    largest: u128,
    looks: u64,
}

impl Clocks {
    fn look(&mut self, begun: Instant) {
        let before = Instant::now();
        let day = SystemTime::now();
        if before.elapsed() > TOGETHER {
            return;
        }
        let day = day.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let steady = before.duration_since(begun).as_nanos();
        self.note(i128::try_from(day).unwrap_or(0) - i128::try_from(steady).unwrap_or(0));
    }

    fn note(&mut self, apart: i128) {
        self.looks += 1;
        if let Some(last) = self.last {
            self.largest = self.largest.max((apart - last).unsigned_abs());
        }
        self.first.get_or_insert(apart);
        self.last = Some(apart);
    }

    #[allow(clippy::cast_precision_loss)] // they come apart by less than years
    fn compared(&self, seconds: f64) -> Clock {
        let apart = self.last.zip(self.first).map_or(0, |(last, first)| last - first);
        Clock {
            largest_jump: self.largest as f64 / 1000.0,
            drift_ppm: apart as f64 / 1000.0 / seconds,
            looks: self.looks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_by_their_length() {
        let mut gaps = histogram();
        for nanos in [2_000, 20_000, 200_000, 2_000_000, 20_000_000] {
            gaps.record(nanos).unwrap();
        }
        let counted = counted(&gaps, 2.0, 7, 22_220_000);
        let above =
            [counted.above_10_us, counted.above_100_us, counted.above_1_ms, counted.above_10_ms];
        assert_eq!(above.map(|it| format!("{it:.1}")), ["2.0", "1.5", "1.0", "0.5"]);
        assert!((counted.lost_percent - 1.111).abs() < 1e-9, "{counted:?}");
    }

    #[test]
    fn a_clock_that_is_set_has_jumped() {
        let mut clocks = Clocks::default();
        for apart in [1_000_000, 1_000_010, 6_000_010, 6_000_000] {
            clocks.note(apart);
        }
        let compared = clocks.compared(1.0);
        assert_eq!((compared.largest_jump, compared.looks), (5000.0, 4));
        assert!((compared.drift_ppm - 5000.0).abs() < 1e-9);
    }
}
