//! Mixed load for as long as one likes, while everything goes wrong in turn: processes hang and are killed, the disk
//! is full, the date jumps, no descriptor and no memory is to be had. What was acknowledged comes out, no reply is
//! anybody else's, no wait is longer than it may be, and neither memory nor descriptors grow.
//!
//! `WINDHOVER_SOAK=120` takes as many minutes (`conformance/soak` sets it); without it it is less than one. A
//! picture of each run is in `target/soak`.
#![allow(clippy::panic, clippy::expect_used)]

mod chart;
mod faults;
mod load;
mod peer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{Random, Runtime, on_each_runtime, report, target_dir};

use crate::chart::Samples;
use crate::faults::Fault;
use crate::load::Load;
use crate::peer::Place;

/// Everything that was acknowledged has come out so long after a fault is over. Loose: the machine may be busy.
const BOUND: Duration = Duration::from_secs(300);
const SAMPLES: usize = 600;

fn takes() -> Duration {
    std::env::var("WINDHOVER_SOAK").map_or(Duration::from_secs(40), |minutes| {
        Duration::from_secs(60 * minutes.parse::<u64>().expect("WINDHOVER_SOAK is a number"))
    })
}

fn all_goes_wrong_and_nothing_is_lost(runtime: Runtime) {
    let mut random = Random::new(Random::seed_from_environment() + runtime as u64);
    let (takes, begun) = (takes(), Instant::now());
    let place = Place::start(runtime);
    let is_long = takes > Duration::from_secs(300);
    let load = Load::new(Duration::from_millis(if is_long { 30 } else { 10 }));
    let has_ended = AtomicBool::new(false);
    let (samples, faults) = thread::scope(|scope| {
        let _end = EndOnDrop(&has_ended);
        load.start(scope, &place, &has_ended, random.number());
        let every =
            (takes / u32::try_from(SAMPLES).expect("it is small")).max(Duration::from_millis(500));
        let samples = scope.spawn({
            let (place, load, has_ended) = (&place, &load, &has_ended);
            move || Samples::take(place, load, every, has_ended)
        });
        let mut faults = Vec::new();
        while begun.elapsed() < takes {
            for fault in Fault::shuffled(&mut random) {
                // The rest is at its pace, so that an hour is no more than some hundred of each.
                let rest = if is_long { 2000 } else { 200 };
                thread::sleep(random.millis(rest / 2, rest));
                faults.push((begun.elapsed(), fault));
                fault.happen(&place, &load, &mut random);
                load.assert_all_comes_out(BOUND);
            }
        }
        thread::sleep(Duration::from_secs(1));
        load.assert_all_comes_out(BOUND);
        has_ended.store(true, Ordering::Relaxed);
        (samples.join().expect("samples can be taken"), faults)
    });
    let totals = load.close(&place);
    let chart = target_dir().join("soak").join(format!("{}.svg", runtime.name()));
    samples.draw(&chart, runtime, &faults);
    report(&format!(
        "{}, {:.0?}: {totals}; {} faults, {} processes that an allocation ended; 0 violations; {}; {}",
        runtime.name(),
        begun.elapsed(),
        faults.len(),
        place.ended(),
        samples.summary(),
        chart.display(),
    ));
    samples.assert_flat();
    place.stop();
}

/// Ends the load, also when the test fails on its way.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

on_each_runtime!(all_goes_wrong_and_nothing_is_lost);
