//! Charts, as SVG.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::error::LoadError;
use super::figures::{Round, Run, What};
use super::report;

const WIDTH: f64 = 860.0;
/// Of one chart, with its title.
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 44.0;
const INK: &str = "#1f2933";
const GRID: &str = "#d9e2ec";
/// Told apart by those who do not see all colours, too.
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#d55e00", "#009e73"];

/// How the axis of values is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// Lines over one axis.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What is below the axis, and where.
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) scale: Scale,
    /// How a value is written.
    pub(super) label: fn(f64) -> String,
    /// Name and points; those whose value is no number above 0 are left out of a logarithmic one.
    pub(super) lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Writes charts, one below the other, to a file.
pub(super) fn write(file: &Path, title: &str, charts: &[Chart]) -> Result<(), LoadError> {
    fs::write(file, page(title, charts)).map_err(|source| LoadError::file(file, source))
}

/// A run over its time.
pub(super) fn of_run(what: &What, run: &Run) -> (String, Vec<Chart>) {
    let title = format!("{} {}, {}", what.protocol, what.address, run.began);
    #[allow(clippy::cast_precision_loss)] // there are some hundred parts
    let time = |part: usize| run.seconds * (part as f64 + 0.5) / run.parts.len().max(1) as f64;
    let line = |name: &str, of: fn(&Round) -> f64| {
        let points = run.parts.iter().enumerate().map(|(part, round)| (time(part), of(round)));
        (name.to_owned(), points.collect())
    };
    let ticks: Vec<(f64, String)> = (0..=5)
        .map(|fifth| run.seconds * f64::from(fifth) / 5.0)
        .map(|seconds| (seconds, format!("{seconds:.1} s")))
        .collect();
    let latency = Chart {
        title: "latency".to_owned(),
        ticks: ticks.clone(),
        scale: Scale::Logarithmic,
        label: report::time,
        lines: vec![
            line("p50", |round| round.p50),
            line("p99", |round| round.p99),
            line("max", |round| round.max),
        ],
    };
    let rate = Chart {
        title: "good answers a second".to_owned(),
        ticks,
        scale: Scale::Linear,
        label: |value| format!("{value:.0}"),
        lines: vec![line("requests/s", |round| round.per_second)],
    };
    (title, vec![latency, rate])
}

#[allow(clippy::cast_precision_loss)] // there are few charts
fn page(title: &str, charts: &[Chart]) -> String {
    let height = 40.0 + HEIGHT * charts.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        title = escaped(title)
    );
    text(&mut svg, (LEFT, 28.0), "start", INK, title);
    for (number, chart) in charts.iter().enumerate() {
        draw(&mut svg, chart, 40.0 + HEIGHT * number as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, chart: &Chart, top: f64) {
    let is_shown = |value: f64| value.is_finite() && (chart.scale == Scale::Linear || value > 0.0);
    let points = || chart.lines.iter().flat_map(|(_, points)| points).filter(|it| is_shown(it.1));
    let most = points().map(|it| it.1).fold(f64::MIN_POSITIVE, f64::max);
    let least = match chart.scale {
        Scale::Linear => 0.0,
        Scale::Logarithmic => points().map(|it| it.1).fold(most, f64::min),
    };
    let marks = marks(chart.scale, least, most);
    let (low, high) = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
    let ends = chart.ticks.iter().map(|tick| tick.0);
    let (begin, end) = (ends.clone().fold(f64::MAX, f64::min), ends.fold(f64::MIN, f64::max));
    let (upper, lower) = (top + TOP, top + HEIGHT - BOTTOM);
    let x = |at: f64| LEFT + (at - begin) / (end - begin).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let on_scale = |value: f64| match chart.scale {
        Scale::Linear => value,
        Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
    };
    let y = |value: f64| {
        let part = (on_scale(value) - on_scale(low)) / (on_scale(high) - on_scale(low)).max(1e-9);
        lower - part * (lower - upper)
    };
    text(svg, (LEFT, top + 22.0), "start", INK, &chart.title);
    for mark in &marks {
        let at = y(*mark);
        line(svg, (LEFT, at), (WIDTH - RIGHT, at));
        text(svg, (LEFT - 8.0, at + 4.0), "end", INK, &(chart.label)(*mark));
    }
    for (at, words) in &chart.ticks {
        line(svg, (x(*at), lower), (x(*at), lower + 5.0));
        text(svg, (x(*at), lower + 20.0), "middle", INK, words);
    }
    for (number, (name, points)) in chart.lines.iter().enumerate() {
        let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or(INK);
        let path: Vec<String> = points
            .iter()
            .filter(|point| is_shown(point.1))
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
            .collect();
        let path = path.join(" ");
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        );
        #[allow(clippy::cast_precision_loss)] // there are few lines
        let at = LEFT + 130.0 * number as f64;
        text(svg, (at, top + 42.0), "start", colour, &format!("— {name}"));
    }
}

/// Where the axis of values has its lines: from below the least to above the greatest.
fn marks(scale: Scale, least: f64, most: f64) -> Vec<f64> {
    match scale {
        Scale::Linear => {
            let rough = most / 5.0;
            let power = 10f64.powf(rough.log10().floor());
            let step =
                [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|it| *it >= rough);
            let step = step.unwrap_or(rough);
            (0..=5).map(|number| f64::from(number) * step).collect()
        }
        Scale::Logarithmic => {
            let (low, high) =
                (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
            #[allow(clippy::cast_possible_truncation)] // powers of ten that a number can have
            (low as i32..=high as i32).map(|power| 10f64.powi(power)).collect()
        }
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{GRID}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, colour: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>",
        at.0,
        at.1,
        escaped(words)
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_where_its_points_are() {
        let chart = Chart {
            title: "a <b> & c".to_owned(),
            ticks: vec![(0.0, "0 s".to_owned()), (10.0, "10 s".to_owned())],
            scale: Scale::Logarithmic,
            label: report::time,
            lines: vec![("p50".to_owned(), vec![(0.0, 10.0), (5.0, 0.0), (10.0, 1000.0)])],
        };
        let svg = page("t", &[chart]);
        // From the left below to the right above; what is nothing has no place on such an axis.
        assert!(svg.contains("points=\"80.0,296.0 840.0,96.0\""), "{svg}");
        assert!(svg.contains("a &lt;b> &amp; c") && svg.contains(">1.00 ms<"), "{svg}");
    }

    #[test]
    fn an_axis_is_divided_by_round_numbers() {
        assert_eq!(marks(Scale::Linear, 0.0, 74_512.0), [0.0, 2e4, 4e4, 6e4, 8e4, 1e5]);
        assert_eq!(
            marks(Scale::Logarithmic, 0.9, 2345.0),
            [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]
        );
        assert_eq!(marks(Scale::Logarithmic, 10.0, 10.0), [10.0, 100.0]);
    }
}
