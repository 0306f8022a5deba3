//! Drives the targets of `windhover-fuzz` with fuzzcheck, guided by the coverage of the core.
//!
//! `fuzz/run`, `fuzz/coverage` and `fuzz/keep` call it; it is no interface of its own.

mod coverage;
mod drive;
mod mutator;
mod regions;
mod watch;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage:
  windhover-fuzzcheck list
  windhover-fuzzcheck fuzz TARGET SECONDS FOLDER   finds and new inputs go to FOLDER
  windhover-fuzzcheck keep TARGET FOLDER           adds to the corpus what reaches more
  windhover-fuzzcheck coverage PERCENT             by the corpora; fails below PERCENT";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["list"] => {
            for target in windhover_fuzz::TARGETS {
                println!("{:24} {}", target.name, target.holds);
            }
            Ok(())
        }
        ["fuzz", target, seconds, folder] => windhover_fuzz::target(target).and_then(|target| {
            let seconds =
                seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
            drive::fuzz(target, seconds, Path::new(folder))
        }),
        ["keep", target, folder] => windhover_fuzz::target(target)
            .and_then(|target| coverage::keep(target, Path::new(folder))),
        ["coverage", percent] => percent
            .parse()
            .map_err(|_| format!("{percent} is no percentage"))
            .and_then(coverage::report),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
