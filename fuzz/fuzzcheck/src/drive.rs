//! One target, for some seconds.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fuzzcheck::builder::default_sensor_and_pool_with_custom_filter;
use fuzzcheck::{Arguments, ByteSerializer, ReasonForStopping, SensorExt, fuzz_test};
use windhover_fuzz::{Target, corpus, minimise};

use crate::mutator::InputMutator;
use crate::regions;
use crate::watch::Watch;

/// No input is longer, in bytes.
const LONGEST: f64 = 1500.0;

/// Fuzzes a target from its corpus on, until something is found or the time is over, and prints a
/// line of figures.
///
/// # Errors
/// What was found.
pub(crate) fn fuzz(target: &'static Target, seconds: u64, folder: &Path) -> Result<(), String> {
    let instrumented = regions::sensor()?.count_instrumented;
    let known = corpus::of_target(target.name).map_err(|error| error.to_string())?;
    let start = folder.join("start").join(target.name);
    let found = folder.join("corpus").join(target.name);
    let finds = folder.join("finds");
    for folder in [&start, &found] {
        let _ = fs::remove_dir_all(folder);
    }
    for folder in [&start, &found, &finds] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    for (at, (path, input)) in known.iter().enumerate() {
        fs::copy(path, start.join(at.to_string())).map_err(|error| error.to_string())?;
        // A find of old fails with its words, before anything else.
        minimise::run(target, input).map_err(|failure| {
            format!("{}: {} at {}", path.display(), failure.message, failure.place)
        })?;
    }

    let reached = Rc::new(RefCell::new(vec![false; instrumented]));
    let executions = Rc::new(Cell::new(0_u64));
    let (sensor, pool) = default_sensor_and_pool_with_custom_filter(regions::is_watched).finish();
    let seen = Rc::clone(&reached);
    let sensor = sensor.map(move |observed| {
        let mut seen = seen.borrow_mut();
        for (region, _) in &observed.0 {
            seen[*region] = true;
        }
        observed
    });
    let random = fastrand::u64(..);
    let counted = Rc::clone(&executions);
    let check = target.check;
    let mut arguments = Arguments::for_internal_documentation_test();
    arguments.max_input_cplx = LONGEST;
    arguments.maximum_duration = Duration::from_secs(seconds);
    arguments.detect_infinite_loop = false;
    arguments.corpus_in = Some(start);
    arguments.corpus_out = Some(found.clone());
    arguments.artifacts_folder = Some(finds.clone());
    let watch = Watch::start(finds.join(format!("{}-endless", target.name)));
    let started = Instant::now();
    let result = fuzz_test(move |input: &Vec<u8>| {
        counted.set(counted.get() + 1);
        watch.begin(input);
        check(input);
        watch.end();
    })
    .mutator(InputMutator::new(target.shape, random))
    .serializer(ByteSerializer::new("input"))
    .sensor_and_pool(sensor, pool)
    .arguments(arguments)
    .launch();
    let elapsed = started.elapsed();

    let covered = reached.borrow().iter().filter(|reached| **reached).count();
    let inputs = corpus::read(&found).map_err(|error| error.to_string())?.len();
    let executions = executions.get();
    let rate = u128::from(executions) * 1000 / elapsed.as_millis().max(1);
    let count = u8::from(result.found_test_failure);
    eprintln!(
        "{:24} {executions:>10} executions {rate:>8}/s {covered:>5} of {instrumented} regions \
         {:>5} known + {inputs:>4} new inputs {count} finds",
        target.name,
        known.len(),
    );
    if covered == 0 {
        return Err(format!("{} reached no region of the core: the fuzzer was blind", target.name));
    }
    let ReasonForStopping::TestFailure(input) = result.reason_for_stopping else {
        return Ok(());
    };
    let name = format!("{}-{:016x}", target.name, hash(&input));
    let path = finds.join(name);
    fs::write(&path, &input).map_err(|error| error.to_string())?;
    let said = minimise::run(target, &input).err().map_or_else(
        || "it does not fail again: something outside of the input decides".to_owned(),
        |failure| format!("{} at {}", failure.message, failure.place),
    );
    let path = path.display();
    Err(format!("{}: {said}\n  the input is kept; next: fuzz/minimise {path}", target.name))
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    // FNV-1a.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
