//! `windhover load compare`: whether two loads differ by more than noise.
//!
//! Of each figure the rounds are compared (the runs, where both files have enough of them) by a permutation test of the
//! difference of the means of their logarithms: how often would rounds that were dealt out to both files at random
//! differ as much? The interval has the ratios that the same test does not refute, so that interval and verdict agree.

use std::io::{self, Write as _};
use std::path::Path;

use fastrand::Rng;
use serde::Serialize;

use super::args::LoadCompareArgs;
use super::error::LoadError;
use super::figures::{Round, Saved};
use super::report;

/// Below it, a difference counts as shown. There are three figures, so that a comparison of what is the same errs once in
/// a hundred.
const SIGNIFICANT: f64 = 0.01 / 3.0;
/// With fewer than that in each file, even the greatest difference is not shown.
const LEAST: usize = 6;
/// As many ways to deal them out are looked at.
const DEALS: usize = 2999;
/// The exit code when something is slower.
const SLOWER: u8 = 1;

/// What is said of a figure, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    NoDifferenceShown,
    Faster,
    Slower,
    FasterAndSlower,
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::NoDifferenceShown => "no difference shown",
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::FasterAndSlower => "faster in one figure, slower in another",
        }
    }
}

#[derive(Debug, Serialize)]
struct Comparison {
    /// `rounds` or `runs`.
    of: &'static str,
    samples: [usize; 2],
    failed: [u64; 2],
    figures: Vec<Compared>,
    verdict: Verdict,
}

#[derive(Debug, Serialize)]
struct Compared {
    name: &'static str,
    a: f64,
    b: f64,
    ratio: f64,
    interval: [f64; 2],
    p: f64,
    verdict: Verdict,
}

/// A figure of a round.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    of: fn(&Round) -> f64,
    more_is_faster: bool,
}

const FIGURES: [Figure; 3] = [
    Figure { name: "requests/s", of: |round| round.per_second, more_is_faster: true },
    Figure { name: "p50", of: |round| round.p50, more_is_faster: false },
    Figure { name: "p99", of: |round| round.p99, more_is_faster: false },
];

/// Compares two files; what the process ends with.
pub(super) fn run(args: &LoadCompareArgs) -> Result<u8, LoadError> {
    let (a, b) = (Saved::read(&args.a)?, Saved::read(&args.b)?);
    if !a.what.is_like(&b.what) {
        return Err(LoadError::Unlike { a: args.a.clone(), b: args.b.clone() });
    }
    let compared = compare((&args.a, &a), (&args.b, &b))?;
    let said = if args.json {
        serde_json::to_string(&compared).map_err(|error| LoadError::System(error.into()))?
    } else {
        text(&compared)
    };
    match writeln!(io::stdout().lock(), "{}", said.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(LoadError::System(error));
        }
        _ => {}
    }
    let is_slower = matches!(compared.verdict, Verdict::Slower | Verdict::FasterAndSlower);
    Ok(if is_slower { SLOWER } else { 0 })
}

fn compare(a: (&Path, &Saved), b: (&Path, &Saved)) -> Result<Comparison, LoadError> {
    let by_run = a.1.runs.len() >= LEAST && b.1.runs.len() >= LEAST;
    let mut figures = Vec::new();
    let mut samples = [0; 2];
    for figure in FIGURES {
        let of = |(file, saved): (&Path, &Saved)| values(file, saved, figure, by_run);
        let (a, b) = (of(a)?, of(b)?);
        samples = [a.len(), b.len()];
        figures.push(compare_figure(figure, &a, &b));
    }
    let has = |verdict| figures.iter().any(|figure: &Compared| figure.verdict == verdict);
    let verdict = match (has(Verdict::Faster), has(Verdict::Slower)) {
        (true, true) => Verdict::FasterAndSlower,
        (true, false) => Verdict::Faster,
        (false, true) => Verdict::Slower,
        (false, false) => Verdict::NoDifferenceShown,
    };
    let failed = [a.1, b.1].map(|saved| saved.runs.iter().map(|run| run.failed).sum());
    Ok(Comparison { of: if by_run { "runs" } else { "rounds" }, samples, failed, figures, verdict })
}

/// Of each round, or the median of each run's.
fn values(file: &Path, saved: &Saved, figure: Figure, by_run: bool) -> Result<Vec<f64>, LoadError> {
    let of_run = |rounds: &[Round]| rounds.iter().map(figure.of).collect::<Vec<f64>>();
    let runs = saved.runs.iter().map(|run| of_run(&run.rounds));
    let values: Vec<f64> =
        if by_run { runs.map(median).collect() } else { runs.flatten().collect() };
    if values.len() < LEAST {
        let (file, rounds) = (file.to_owned(), values.len());
        return Err(LoadError::TooFew { file, rounds, least: LEAST });
    }
    if values.iter().any(|value| *value <= 0.0) {
        return Err(LoadError::EmptyRound(file.to_owned()));
    }
    Ok(values)
}

fn compare_figure(figure: Figure, a: &[f64], b: &[f64]) -> Compared {
    let test = Test::new(a, b);
    let p = test.p(0.0);
    let verdict = match (p < SIGNIFICANT, (test.difference > 0.0) == figure.more_is_faster) {
        (false, _) => Verdict::NoDifferenceShown,
        (true, true) => Verdict::Faster,
        (true, false) => Verdict::Slower,
    };
    let interval = [test.bound(-1.0), test.bound(1.0)].map(f64::exp);
    let (a, b) = (mean(a), mean(b));
    Compared { name: figure.name, a, b, ratio: test.difference.exp(), interval, p, verdict }
}

/// A permutation test of two groups of numbers, by the means of their logarithms.
struct Test {
    /// Of the second group's mean from the first one's.
    difference: f64,
    /// For each way to deal the numbers out: that difference, and by how much it grows with each number of the first
    /// group.
    deals: Vec<(f64, f64)>,
}

impl Test {
    fn new(a: &[f64], b: &[f64]) -> Self {
        let mut numbers: Vec<(f64, f64)> = a.iter().map(|value| (value.ln(), 1.0)).collect();
        numbers.extend(b.iter().map(|value| (value.ln(), 0.0)));
        let sum = |numbers: &[(f64, f64)]| {
            numbers.iter().fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
        };
        let (all, sizes) = (sum(&numbers), [a.len(), b.len()].map(size));
        let deal = |numbers: &[(f64, f64)]| {
            let first = sum(numbers.get(..a.len()).unwrap_or_default());
            let apart = |all: f64, first: f64| (all - first) / sizes[1] - first / sizes[0];
            (apart(all.0, first.0), apart(all.1, first.1))
        };
        let (difference, _) = deal(&numbers);
        // The same numbers are dealt out alike each time, so that a verdict can be repeated.
        let mut random = Rng::with_seed(1);
        let deals = (0..DEALS).map(|_| {
            for at in 0..a.len() {
                let other = random.usize(at..numbers.len());
                numbers.swap(at, other);
            }
            deal(&numbers)
        });
        Self { difference, deals: deals.collect() }
    }

    /// How likely a difference as great as that is, if the second group were as the first one with `shift` added to
    /// its logarithms.
    #[allow(clippy::cast_precision_loss)] // there are a few thousand
    fn p(&self, shift: f64) -> f64 {
        // What was measured is one of the ways.
        let seen = (self.difference - shift).abs() - 1e-12;
        let as_great = self.deals.iter().filter(|(apart, by)| (apart + shift * by).abs() >= seen);
        (as_great.count() + 1) as f64 / (self.deals.len() + 1) as f64
    }

    /// The least or the greatest shift that is not refuted.
    fn bound(&self, direction: f64) -> f64 {
        let at = |distance: f64| self.difference + direction * distance;
        let mut refuted = 1e-3;
        while self.p(at(refuted)) >= SIGNIFICANT && refuted < 1e3 {
            refuted *= 2.0;
        }
        let mut held = 0.0;
        for _ in 0..16 {
            let middle = f64::midpoint(held, refuted);
            if self.p(at(middle)) < SIGNIFICANT {
                refuted = middle;
            } else {
                held = middle;
            }
        }
        at(held)
    }
}

#[allow(clippy::cast_precision_loss)] // there are a few thousand
fn size(count: usize) -> f64 {
    count.max(1) as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / size(values.len())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(upper), 0) => {
            let lower = values.get(middle.wrapping_sub(1)).unwrap_or(upper);
            f64::midpoint(*lower, *upper)
        }
        (middle, _) => middle.copied().unwrap_or_default(),
    }
}

fn text(compared: &Comparison) -> String {
    let mut lines =
        vec![format!("{:<12}{:>12}{:>12}{:>9}{:>18}{:>9}", "", "A", "B", "B ÷ A", "interval", "p")];
    for figure in &compared.figures {
        let value = |value: f64| {
            if figure.name == "requests/s" { format!("{value:.0}") } else { report::time(value) }
        };
        let [low, high] = figure.interval;
        lines.push(format!(
            "{:<12}{:>12}{:>12}{:>9.3}{:>18}{:>9.4}  {}",
            figure.name,
            value(figure.a),
            value(figure.b),
            figure.ratio,
            format!("{low:.3} to {high:.3}"),
            figure.p,
            figure.verdict.words(),
        ));
    }
    let ([a, b], [failed_a, failed_b]) = (compared.samples, compared.failed);
    lines.push(String::new());
    lines.push(format!(
        "of {a} and {b} {}; failed requests: {failed_a} and {failed_b}",
        compared.of
    ));
    if compared.of == "rounds" {
        lines.push(format!(
            "what differs from run to run is not in it: {LEAST} runs each, taken in turns (--append), have it"
        ));
    }
    let is_one = compared.verdict != Verdict::NoDifferenceShown;
    lines.push(format!("{}{}", if is_one { "B is " } else { "" }, compared.verdict.words()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::figures::{COMPLETE, FORMAT, Run, What};

    /// Rounds that differ by some percent, as those of a machine that does other things too.
    fn saved(seed: u64, factor: f64, runs: usize, rounds: usize) -> Saved {
        let mut random = Rng::with_seed(seed);
        let mut noise = |percent: f64| {
            let sum: f64 = (0..12).map(|_| random.f64()).sum();
            1.0 + (sum - 6.0) * percent / 100.0
        };
        let mut round = || Round {
            per_second: 50_000.0 * factor * noise(3.0),
            failed: 0,
            mean: 1000.0,
            p50: 900.0 / factor * noise(3.0),
            p99: 3000.0 / factor * noise(6.0),
            max: 9000.0,
        };
        let rounds: Vec<Vec<Round>> =
            (0..runs).map(|_| (0..rounds).map(|_| round()).collect()).collect();
        let run = |rounds| Run { ended: COMPLETE.to_owned(), rounds, ..Run::default() };
        let what = What { protocol: "queue".to_owned(), ..What::default() };
        Saved { format: FORMAT, what, runs: rounds.into_iter().map(run).collect() }
    }

    fn verdict(a: &Saved, b: &Saved) -> Verdict {
        compare((Path::new("a"), a), (Path::new("b"), b)).unwrap().verdict
    }

    #[test]
    fn of_the_same_no_difference_is_shown() {
        let shown = (0..200).filter(|seed| {
            let (a, b) = (saved(2 * seed, 1.0, 1, 10), saved(2 * seed + 1, 1.0, 1, 10));
            verdict(&a, &b) != Verdict::NoDifferenceShown
        });
        let shown = shown.count();
        assert!(shown <= 10, "{shown} of 200, of which two are expected");
    }

    #[test]
    fn a_tenth_is_found_and_its_direction() {
        for seed in 0..50 {
            let (a, b) = (saved(2 * seed, 1.0, 1, 10), saved(2 * seed + 1, 1.1, 1, 10));
            assert_eq!(verdict(&a, &b), Verdict::Faster, "{seed}");
            assert_eq!(verdict(&b, &a), Verdict::Slower, "{seed}");
        }
    }

    #[test]
    fn the_interval_holds_the_truth_and_agrees_with_the_verdict() {
        let mut held = 0;
        for seed in 0..60 {
            let (a, b) = (saved(2 * seed, 1.0, 1, 10), saved(2 * seed + 1, 1.05, 1, 10));
            let compared = compare((Path::new("a"), &a), (Path::new("b"), &b)).unwrap();
            let rate = &compared.figures[0];
            let [low, high] = rate.interval;
            held += usize::from((low..high).contains(&1.05));
            let has_one = (low..=high).contains(&1.0);
            assert_eq!(has_one, rate.verdict == Verdict::NoDifferenceShown, "{seed}: {rate:?}");
        }
        assert!(held >= 57, "{held} of 60");
    }

    #[test]
    fn runs_are_compared_where_there_are_enough_of_them() {
        let of = |runs| {
            let (a, b) = (saved(1, 1.0, runs, 10), saved(2, 1.0, runs, 10));
            let compared = compare((Path::new("a"), &a), (Path::new("b"), &b)).unwrap();
            (compared.of, compared.samples)
        };
        assert_eq!(of(5), ("rounds", [50, 50]));
        assert_eq!(of(6), ("runs", [6, 6]));
    }

    #[test]
    fn too_few_rounds_say_nothing() {
        let (a, b) = (saved(1, 1.0, 1, 4), saved(2, 9.0, 1, 10));
        let error = compare((Path::new("a"), &a), (Path::new("b"), &b)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("4 rounds"), "{error}");
    }

    #[test]
    fn six_rounds_that_do_not_overlap_are_a_difference() {
        let test = Test::new(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5], &[2.0, 2.1, 2.2, 2.3, 2.4, 2.5]);
        assert!(test.p(0.0) < SIGNIFICANT, "{}", test.p(0.0));
        let test = Test::new(&[1.0, 1.1, 1.2, 1.3, 2.15, 2.25], &[2.0, 2.1, 2.2, 2.3, 2.4, 2.5]);
        assert!(test.p(0.0) >= SIGNIFICANT, "{}", test.p(0.0));
    }
}
