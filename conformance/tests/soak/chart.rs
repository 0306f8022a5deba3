//! Memory, descriptors and throughput over time.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{Runtime, status_kib};

use crate::faults::{Fault, open_files};
use crate::load::Load;
use crate::peer::Place;

const COLORS: [&str; 4] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 160.0;

/// One figure of one process over time; there is none while the process is not there.
#[derive(Debug)]
struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

#[derive(Debug)]
pub(crate) struct Samples {
    /// In MiB.
    memory: Vec<Series>,
    descriptors: Vec<Series>,
    /// Requests answered each second.
    served: Vec<Series>,
    takes: f64,
}

impl Samples {
    /// Takes them until it has ended.
    pub(crate) fn take(
        place: &Place,
        load: &Load,
        every: Duration,
        has_ended: &AtomicBool,
    ) -> Self {
        let begun = Instant::now();
        let series = || -> Vec<Series> {
            let named = |(name, _)| Series { name, points: Vec::new() };
            place.processes().into_iter().map(named).collect()
        };
        let (mut memory, mut descriptors) = (series(), series());
        let mut served = Series { name: "answers/s", points: Vec::new() };
        let mut before = load.served();
        while !has_ended.load(Ordering::Relaxed) {
            thread::sleep(every);
            let at = begun.elapsed().as_secs_f64();
            for (number, (_, pid)) in place.processes().into_iter().enumerate() {
                let Some(pid) = pid else { continue };
                if let Some(kib) = status_kib(pid, "RssAnon") {
                    memory[number].points.push((at, as_f64(kib) / 1024.0));
                }
                if let Some(open) = open_files(pid) {
                    descriptors[number].points.push((at, as_f64(open)));
                }
            }
            let now = load.served();
            served.points.push((at, as_f64(now - before) / every.as_secs_f64()));
            before = now;
        }
        Self { memory, descriptors, served: vec![served], takes: begun.elapsed().as_secs_f64() }
    }

    /// The medians of the second and the last quarter, of each process.
    pub(crate) fn summary(&self) -> String {
        let told = |series: &Series| {
            let (early, late) = self.quarters(series);
            format!("{} {early:.0}→{late:.0}", series.name)
        };
        let all = |series: &[Series]| series.iter().map(told).collect::<Vec<_>>().join(", ");
        format!("MiB: {}; descriptors: {}", all(&self.memory), all(&self.descriptors))
    }

    fn quarters(&self, series: &Series) -> (f64, f64) {
        let quarter = |from: f64| {
            let range = self.takes * from..self.takes * (from + 0.25);
            let points = series.points.iter().filter(|(at, _)| range.contains(at));
            let mut values: Vec<f64> = points.map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        (quarter(0.25), quarter(0.75))
    }

    /// Nothing grows. Loose: what a process takes depends on when it was started last.
    #[track_caller]
    pub(crate) fn assert_flat(&self) {
        for (figures, more) in [(&self.memory, 32.0), (&self.descriptors, 16.0)] {
            for series in figures {
                let (early, late) = self.quarters(series);
                assert!(late <= 1.5 * early + more, "{} grew: {}", series.name, self.summary());
            }
        }
    }

    /// Draws them, with a line for each fault.
    #[track_caller]
    pub(crate) fn draw(&self, path: &Path, runtime: Runtime, faults: &[(Duration, Fault)]) {
        let panels = [
            ("anonymous memory, MiB", &self.memory),
            ("descriptors", &self.descriptors),
            ("answers each second", &self.served),
        ];
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"50\" y=\"16\">{}: {:.0} \
             s, {} faults (grey)</text>\n",
            WIDTH + 200.0,
            3.0 * (HEIGHT + 40.0) + 30.0,
            runtime.name(),
            self.takes,
            faults.len(),
        );
        for (number, (title, series)) in panels.into_iter().enumerate() {
            let top = 40.0 + [0.0, 1.0, 2.0][number] * (HEIGHT + 40.0);
            self.panel(&mut svg, top, title, series, faults);
        }
        svg.push_str("</svg>\n");
        std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .and_then(|()| std::fs::write(path, svg))
            .expect("a picture can be written");
    }

    fn panel(
        &self,
        svg: &mut String,
        top: f64,
        title: &str,
        series: &[Series],
        faults: &[(Duration, Fault)],
    ) {
        let values = series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
        let most = values.fold(1.0, f64::max);
        let x = |at: f64| 50.0 + WIDTH * at / self.takes;
        let y = |value: f64| top + HEIGHT * (1.0 - value / most);
        for (at, fault) in faults {
            let at = x(at.as_secs_f64());
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{}\" stroke=\"#ddd\"><title>{fault:?}</title></line>",
                top + HEIGHT
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"50\" y=\"{}\">{title}, {most:.0} at most</text><path d=\"M50 {top}V{}H{}\" fill=\"none\" \
             stroke=\"black\"/>",
            top - 4.0,
            top + HEIGHT,
            50.0 + WIDTH
        );
        for (number, Series { name, points }) in series.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let line: Vec<String> = points
                .iter()
                .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\"/><text x=\"{}\" y=\"{}\" \
                 fill=\"{color}\">{name}</text>",
                line.join(" "),
                60.0 + WIDTH,
                top + 12.0 * (1.0 + as_f64(number as u64))
            );
        }
    }
}

/// Figures of a picture: what is beyond 52 bits is none of them.
fn as_f64(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
