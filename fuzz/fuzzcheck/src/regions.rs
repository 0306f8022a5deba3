//! The regions of the core: which there are, and which an input reaches.

use std::path::Path;

use fuzzcheck::sensors_and_pools::CodeCoverageSensor;
use fuzzcheck::{SaveToStatsFolder, Sensor};
use serde::Deserialize;

/// Whether coverage of a file counts. The compiler records absolute paths, which fuzzcheck's own
/// filter leaves out.
pub(crate) fn is_watched(file: &Path, _function: &str) -> bool {
    let Some(file) = file.to_str() else { return false };
    (file.contains("/core/src/") || file.starts_with("core/src/") || is_target_beside(file))
        && !file.contains("/rustlib/")
}

/// What targets are of outside of the core. The server's is there with the feature `server` alone, and coverage is
/// counted without it.
fn is_target_beside(file: &str) -> bool {
    const FILES: [&str; 5] = [
        "runtime/src/address.rs",
        "server/src/backup/manifest.rs",
        "server/src/dead_letters/letter.rs",
        "server/src/forward/doubt.rs",
        "server/src/forward/window.rs",
    ];
    file.contains("server/src/config/") || FILES.iter().any(|known| file.ends_with(known))
}

/// Watches the regions of the core.
///
/// # Errors
/// There are none: the fuzzer would be blind.
pub(crate) fn sensor() -> Result<CodeCoverageSensor, String> {
    let sensor = CodeCoverageSensor::new(is_watched);
    if sensor.count_instrumented == 0 {
        return Err("no region of the core is instrumented: the fuzzer would be blind. Was it \
                    built by fuzz/run, from fuzz/fuzzcheck?"
            .to_owned());
    }
    Ok(sensor)
}

/// Which regions an input reaches, by index, and how often.
pub(crate) fn reached(sensor: &mut CodeCoverageSensor, check: impl FnOnce()) -> Vec<(usize, u64)> {
    sensor.start_recording();
    check();
    sensor.stop_recording();
    sensor.get_observations()
}

#[derive(Debug, Deserialize)]
struct Map {
    functions: Vec<Function>,
}

/// A function with its regions.
#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) counters: Vec<Counter>,
}

/// A region as the sensor counts it: one counter, and the places in the source that it stands for.
#[derive(Debug, Deserialize)]
pub(crate) struct Counter {
    pub(crate) id: usize,
    pub(crate) regions: Vec<Place>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) lines: (usize, usize),
    pub(crate) cols: (usize, usize),
}

/// Every function that is watched.
///
/// # Errors
/// The sensor's map is not as it was.
pub(crate) fn functions(sensor: &CodeCoverageSensor) -> Result<Vec<Function>, String> {
    let files = sensor.save_to_stats_folder();
    let (_, text) = files.first().ok_or("the sensor gives no map of regions")?;
    let map: Map = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(map.functions)
}
