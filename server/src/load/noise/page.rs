//! All of it on one page.

use super::{Distribution, Noise};
use crate::load::report;
use crate::load::svg::{Chart, Scale};

pub(super) fn text(noise: &Noise) -> String {
    let (gaps, clock, machine) = (&noise.gaps, &noise.clock, &noise.machine);
    let mut lines = vec![
        format!("{}, {:.0} s", noise.began, noise.seconds),
        format!("{}; {}, {} usable", machine.system, machine.processor, machine.processors),
        String::new(),
        format!(
            "scheduling  a thread that only wants to run lost {:.3} % of its time; gaps a second:",
            gaps.lost_percent
        ),
        format!(
            "            {:.1} above 10 µs, {:.1} above 100 µs, {:.2} above 1 ms, {:.2} above 10 ms",
            gaps.above_10_us, gaps.above_100_us, gaps.above_1_ms, gaps.above_10_ms
        ),
    ];
    if let Some(share) = &noise.processors {
        lines.push(format!(
            "processors  {:.2} % stolen by other machines, {:.1} % busy, {:.2} % for devices",
            share.stolen, share.busy, share.interrupts
        ));
    }
    lines.push(format!(
        "clock       the time of the day jumped by {} at most, and drifted by {:.1} ppm",
        report::time(clock.largest_jump),
        clock.drift_ppm
    ));
    let memory = &noise.memory;
    lines.push(format!(
        "memory      {:.1} GB/s to copy it ({:.1} to {:.1})",
        memory.median, memory.least, memory.most
    ));
    lines.push(String::new());
    lines.push(format!(
        "{:<26}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "how many", "p50", "p99", "p99.9", "p99.99", "max"
    ));
    for (name, distribution) in distributions(noise) {
        let times = &distribution.times;
        let times = [times.p50, times.p99, times.p999, times.p9999, times.max].map(report::time);
        let [p50, p99, p999, p9999, max] = times;
        let count = distribution.count;
        lines.push(format!("{name:<26}{count:>9}{p50:>10}{p99:>10}{p999:>10}{p9999:>10}{max:>10}"));
    }
    if !noise.not_seen.is_empty() {
        lines.push(String::new());
    }
    lines.extend(noise.not_seen.iter().map(|what| format!("not seen    {what}")));
    lines.join("\n")
}

fn distributions(noise: &Noise) -> impl Iterator<Item = (&'static str, &Distribution)> {
    [
        ("gaps above 1 µs", Some(&noise.gaps.lengths)),
        ("append 4 KiB and fsync", noise.sync.as_ref()),
        ("loopback round trip", Some(&noise.loopback)),
    ]
    .into_iter()
    .filter_map(|(name, distribution)| Some((name, distribution?)))
}

/// The times by how few are longer: what two machines are told apart by is at the right.
pub(super) fn charts(noise: &Noise) -> (String, Vec<Chart>) {
    let (machine, gaps) = (&noise.machine, &noise.gaps);
    let stolen = noise
        .processors
        .map_or_else(String::new, |share| format!("; stolen {:.2} %", share.stolen));
    let title = format!(
        "{}; {}, {}; lost {:.3} %{stolen}; clock jumped {}; memory {:.1} GB/s",
        noise.began,
        machine.system,
        machine.processor,
        gaps.lost_percent,
        report::time(noise.clock.largest_jump),
        noise.memory.median
    );
    let ticks = [(0.0, "all"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")];
    let lines = distributions(noise).map(|(name, it)| (name.to_owned(), curve(it)));
    let chart = Chart {
        title: "so many were not longer".to_owned(),
        ticks: ticks.map(|(at, words)| (at, words.to_owned())).into(),
        scale: Scale::Logarithmic,
        label: report::time,
        lines: lines.collect(),
    };
    (title, vec![chart])
}

#[allow(clippy::cast_precision_loss)] // there are less than 2^53
fn curve(distribution: &Distribution) -> Vec<(f64, f64)> {
    let total = distribution.count.max(1) as f64;
    let mut longer = distribution.count;
    let steps = distribution.histogram.iter().map(|(time, count)| {
        let at = -(longer as f64 / total).log10();
        longer = longer.saturating_sub(*count);
        (at.clamp(0.0, 4.0), *time)
    });
    steps.collect()
}
