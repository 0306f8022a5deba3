//! The figures as text.

use std::fmt::Write as _;

use super::figures::{COMPLETE, Run, Times, What};

/// From here on the threads that send are likely to be the limit.
const BUSY_PERCENT: f64 = 90.0;

/// All that an operator wants to know of a run.
pub(super) fn text(what: &What, run: &Run) -> String {
    let mut text = String::new();
    write(&mut text, what, run).unwrap_or_else(|_| unreachable!("a string takes what is written"));
    text
}

fn write(text: &mut String, what: &What, run: &Run) -> std::fmt::Result {
    let pace = match what.rate {
        Some(rate) => format!("open loop, {rate} requests/s"),
        None => "closed loop, as many as are answered".to_owned(),
    };
    let (connections, threads) = (what.connections, what.threads);
    writeln!(text, "{} {}; {}", what.protocol, what.address, what.requests)?;
    writeln!(
        text,
        "{pace}; {connections} connections, {threads} threads, {} in flight on each; {:.1} s\n",
        what.pipeline, run.seconds
    )?;
    let rates = run.rounds.iter().map(|round| round.per_second);
    let least = rates.clone().fold(f64::INFINITY, f64::min);
    let most = rates.fold(0.0, f64::max);
    writeln!(
        text,
        "requests/s    {:<12} rounds: {least:.0} to {most:.0}",
        format!("{:.0}", run.per_second)
    )?;
    if (what.events_each - 1.0).abs() > f64::EPSILON {
        writeln!(text, "events/s      {:.0}", run.events_per_second)?;
    }
    writeln!(
        text,
        "\n{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"
    )?;
    row(text, "latency", &run.latency)?;
    if let Some(times) = &run.from_sending {
        row(text, "from sending", times)?;
    }
    if let Some(times) = &run.sent_late {
        row(text, "sent late by", times)?;
    }
    writeln!(
        text,
        "\nof all, with the warm-up: {} requests = {} good + {} failed",
        run.requests, run.good, run.failed
    )?;
    for (kind, count) in &run.failures {
        writeln!(text, "{count:>12}  {kind}")?;
    }
    for (name, count) in &run.counts {
        writeln!(text, "{name:<14}{count}")?;
    }
    if let (Some(stored), Some(taken)) = (run.counts.get("stored"), run.counts.get("taken")) {
        match stored.checked_sub(*taken) {
            Some(left) => writeln!(text, "left in the queue by this run: {left}")?,
            None => writeln!(text, "taken that others had put: {}", taken - stored)?,
        }
    }
    if run.connections_made_again > 0 {
        writeln!(text, "connections made again: {}", run.connections_made_again)?;
    }
    for (kind, count) in &run.connection_failures {
        writeln!(text, "{count:>12}  connections: {kind}")?;
    }
    if let Some(percent) = run.generator_percent {
        write!(text, "generator     {percent:.0} % of each thread's core")?;
        let is_limit = what.rate.is_none() && percent > BUSY_PERCENT;
        writeln!(text, "{}", if is_limit { ": it was the limit, not the server" } else { "" })?;
    }
    if let Some(late) = run.sent_late.filter(|late| late.p99 > run.latency.p99 / 2.0) {
        writeln!(
            text,
            "sent late     p99 {}: connections were too few, or the generator too slow, for this rate",
            time(late.p99)
        )?;
    }
    if let Some(server) = &run.server {
        let each = server.cpu_us_each;
        writeln!(
            text,
            "server        {each:.2} µs of processor time each; {} KiB before, {} KiB connected, {} KiB after",
            server.memory_before_kib, server.memory_connected_kib, server.memory_after_kib
        )?;
    }
    if run.ended != COMPLETE {
        writeln!(text, "\ncut short: {}", run.ended)?;
    }
    Ok(())
}

fn row(text: &mut String, name: &str, times: &Times) -> std::fmt::Result {
    write!(text, "{name:<14}")?;
    for value in [times.mean, times.p50, times.p90, times.p99, times.p999, times.p9999, times.max] {
        write!(text, "{:>10}", time(value))?;
    }
    writeln!(text)
}

/// Microseconds, in the unit that suits them.
pub(super) fn time(micros: f64) -> String {
    match micros {
        ..100.0 => format!("{micros:.1} µs"),
        100.0..1000.0 => format!("{micros:.0} µs"),
        1000.0..10_000.0 => format!("{:.2} ms", micros / 1e3),
        10_000.0..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_a_unit() {
        let times = [0.4, 99.9, 100.0, 999.0, 1234.0, 12_345.0, 999_000.0, 1.5e6];
        assert_eq!(
            times.map(time),
            ["0.4 µs", "99.9 µs", "100 µs", "999 µs", "1.23 ms", "12.3 ms", "999.0 ms", "1.50 s"]
        );
    }
}
