//! What the corpora reach, and which inputs are worth keeping.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use windhover_fuzz::{TARGETS, Target, corpus, minimise};

use crate::regions::{self, reached};

/// A line and a column.
type Point = (usize, usize);

/// What is not reached, by file and function.
type Unreached = BTreeMap<(String, String), usize>;

/// Replays every corpus and prints, by file, how many regions of the core were reached and which
/// were not.
///
/// # Errors
/// Less than `percent` was reached, or more is not reached than `fuzz/unreached.txt` explains.
pub(crate) fn report(percent: f64) -> Result<(), String> {
    let mut sensor = regions::sensor()?;
    let mut seen = vec![false; sensor.count_instrumented];
    for target in TARGETS {
        for (_, input) in corpus::of_target(target.name).map_err(|error| error.to_string())? {
            let regions = reached(&mut sensor, || drop(minimise::run(target, &input)));
            for (region, _) in regions {
                seen[region] = true;
            }
        }
    }
    // A generic function has a record for each of its instances: a place is reached when one is.
    let mut places: BTreeMap<(String, Point, Point), (bool, String)> = BTreeMap::new();
    for function in regions::functions(&sensor)? {
        let file = match function.file.rsplit_once("core/src/") {
            Some((_, file)) => file.to_owned(),
            // Beside the core, named from there.
            None => match function.file.rsplit_once("runtime/src/") {
                Some((_, file)) => format!("../../runtime/src/{file}"),
                None => function.file.clone(),
            },
        };
        for counter in function.counters {
            let Some(place) = counter.regions.first() else { continue };
            let start = (place.lines.0, place.cols.0);
            let end = (place.lines.1, place.cols.1);
            let entry = places
                .entry((file.clone(), start, end))
                .or_insert_with(|| (false, function.name.clone()));
            entry.0 |= seen[counter.id];
        }
    }
    let mut files: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((file, _, _), (reached, _)) in &places {
        let counts = files.entry(file).or_default();
        counts.0 += usize::from(*reached);
        counts.1 += 1;
    }
    for (file, (reached, all)) in &files {
        println!("{reached:>5} of {all:>5}  {file}");
    }
    let mut unreached = Unreached::new();
    let (mut sources, mut impossible) = (Sources::default(), 0);
    println!("\nnot reached:");
    for ((file, start, end), (_, function)) in places.iter().filter(|(_, (reached, _))| !reached) {
        if sources.leads_to_helper(file, *start, *end)? {
            impossible += 1;
            continue;
        }
        let function = short(function);
        println!("core/src/{file}:{}:{}  {function}", start.0, start.1);
        *unreached.entry((file.clone(), function.to_owned())).or_default() += 1;
    }
    let (explained, left_out) = explained(&unreached)?;
    let all = places.len() - left_out - impossible;
    let covered = places.values().filter(|(reached, _)| *reached).count();
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let share = covered as f64 * 100.0 / all.max(1) as f64;
    println!(
        "\n{impossible} regions say that they cannot happen, {left_out} more are left out by name"
    );
    println!("{covered} of {all} other regions of the core: {share:.2} %");
    if share < percent {
        return Err(format!("{share:.2} % is below {percent} %"));
    }
    is_explained(&unreached, &explained)
}

/// What says that it cannot happen: the function in `core/src/cannot_happen.rs`.
const HELPER: &str = "cannot_happen";

/// The source files of the core, read once.
#[derive(Default)]
struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Whether a region does nothing but say that it cannot happen.
    fn leads_to_helper(&mut self, file: &str, start: Point, end: Point) -> Result<bool, String> {
        if Path::new(file) == Path::new(HELPER).with_extension("rs") {
            return Ok(true);
        }
        if !self.0.contains_key(file) {
            let path = corpus::corpora().join("../../core/src").join(file);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            self.0.insert(file.to_owned(), text);
        }
        let lines = self.0.get(file).into_iter().flat_map(|text| text.lines());
        let region = lines.enumerate().skip(start.0 - 1).take(end.0 + 1 - start.0);
        let mut text = String::new();
        for (at, line) in region {
            let until = if at + 1 == end.0 { end.1 - 1 } else { line.len() };
            let from = if at + 1 == start.0 { start.1 - 1 } else { 0 };
            text.push_str(line.get(from..until.min(line.len())).unwrap_or_default());
        }
        let said = text.trim_start_matches(['{', ' ']).trim_start_matches("return ");
        Ok(said.starts_with(HELPER))
    }
}

/// The name of a function without its path, its closures and what it is generic over.
fn short(name: &str) -> &str {
    let (mut depth, mut from, mut found) = (0_usize, 0, name);
    for (at, byte) in name.bytes().chain(*b"::").enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                let part = name.get(from..at).unwrap_or_default();
                if !part.is_empty() && !part.starts_with(['<', '{']) {
                    found = part;
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// What `fuzz/unreached.txt` has a reason for, and how much of what is not reached stands in sections that
/// are left out of the figure.
fn explained(unreached: &Unreached) -> Result<(Unreached, usize), String> {
    let list = corpus::corpora().with_file_name("unreached.txt");
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut explained = Unreached::new();
    let mut outside = Unreached::new();
    let mut is_left_out = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("== ") {
            is_left_out = title.ends_with("Left out of the figure.");
        }
        if let [count, file, function] = line.split(' ').collect::<Vec<_>>()[..]
            && let Ok(count) = count.parse::<usize>()
        {
            let place = (file.to_owned(), function.to_owned());
            if is_left_out {
                *outside.entry(place.clone()).or_default() += count;
            }
            *explained.entry(place).or_default() += count;
        }
    }
    let left = |place| unreached.get(place).copied().unwrap_or(0);
    let left_out = outside.iter().map(|(place, count)| left(place).min(*count)).sum();
    Ok((explained, left_out))
}

/// Whether there is a reason for everything that is not reached.
fn is_explained(unreached: &Unreached, explained: &Unreached) -> Result<(), String> {
    let reason = |place| explained.get(place).copied().unwrap_or(0);
    for (place, count) in explained {
        let left = unreached.get(place).copied().unwrap_or(0);
        if left < *count {
            println!("unreached.txt has {count} of {} {}, and {left} are left", place.0, place.1);
        }
    }
    let new: Vec<String> = unreached
        .iter()
        .filter(|(place, count)| **count > reason(place))
        .map(|(place, count)| format!("{count} {} {}", place.0, place.1))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    Err(format!("not reached, and unreached.txt does not say why:\n{}", new.join("\n")))
}

/// Adds those inputs below `folder` to the target's corpus that reach a region, or a region more
/// often by a power of two, that no smaller input does; inputs of the corpus that are not needed go.
pub(crate) fn keep(target: &'static Target, folder: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let place = corpus::corpora().join(target.name);
    let known = corpus::read(&place).map_err(told)?;
    let mut inputs: Vec<Vec<u8>> = known.iter().map(|(_, input)| input.clone()).collect();
    inputs.extend(corpus::read(folder).map_err(told)?.into_iter().map(|(_, input)| input));
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    inputs.dedup();
    let mut sensor = regions::sensor()?;
    let mut seen: HashSet<(usize, u32)> = HashSet::new();
    let mut kept = Vec::new();
    for input in inputs {
        let mut failed = false;
        let regions = reached(&mut sensor, || failed = minimise::run(target, &input).is_err());
        if failed {
            return Err(format!("{}: an input fails: run fuzz/run {0}", target.name));
        }
        let before = seen.len();
        // Seldom, some times, often: how often to the last is the fuzzer's business, not the corpus's.
        seen.extend(regions.into_iter().map(|(region, hits)| (region, hits.ilog2().min(4) / 2)));
        if seen.len() > before {
            kept.push(input);
        }
    }
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).map_err(told)?;
    let bytes: usize = kept.iter().map(Vec::len).sum();
    for input in &kept {
        fs::write(place.join(format!("{:016x}", crate::drive::hash(input))), input)
            .map_err(told)?;
    }
    println!("{:24} {} inputs, {bytes} bytes", target.name, kept.len());
    Ok(())
}
