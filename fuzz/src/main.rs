//! `windhover-fuzz`: makes inputs smaller, shows what they do, writes what the generators make, and
//! sends it to other implementations. Needs no nightly compiler.

use std::process::ExitCode;
use std::{env, fs};

use windhover_core::memcache::Dialect;
use windhover_fuzz::generate::memcache;
use windhover_fuzz::{Source, TARGETS, minimise, mutate, peer, target};

const USAGE: &str = "usage:
  windhover-fuzz list                   what targets there are: their inputs are protocol text, which
                                        others can use, or scripts for our state machines
  windhover-fuzz minimise TARGET FILE   writes FILE.min
  windhover-fuzz replay TARGET FILE...  says which fail, and how
  windhover-fuzz generate TARGET NUMBER FOLDER [DIALECT]
                                        writes so many new inputs; of memcache_requests also in one
                                        dialect alone: memcached, kestrel, darner, siberite
  windhover-fuzz peer ADDRESS [ADDRESS] --seconds N
                                        sends commands to a memcached; to two, and compares";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["minimise", name, file] => shrink(name, file),
        ["list"] => {
            list();
            Ok(())
        }
        ["generate", name, number, folder] => generate(name, number, folder, None),
        ["generate", name, number, folder, dialect] => {
            generate(name, number, folder, Some(dialect))
        }
        ["peer", ref addresses @ .., "--seconds", seconds] if !addresses.is_empty() => {
            peer(addresses, seconds)
        }
        ["replay", name, ref files @ ..] if !files.is_empty() => replay(name, files),
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

fn read(file: &str) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{file}: {error}"))
}

fn shrink(name: &str, file: &str) -> Result<(), String> {
    let (least, failure) = minimise::minimise(target(name)?, &read(file)?)?;
    let to = format!("{file}.min");
    fs::write(&to, &least).map_err(|error| format!("{to}: {error}"))?;
    println!(
        "{} at {}\n{} bytes: {}",
        failure.message,
        failure.place,
        least.len(),
        least.escape_ascii()
    );
    println!(
        "kept as {to}; once it is mended: move it to fuzz/regressions/{name}/ under a name that \
         says what was wrong, and tell its story in fuzz/regressions/stories.txt"
    );
    Ok(())
}

fn replay(name: &str, files: &[&str]) -> Result<(), String> {
    let target = target(name)?;
    let mut failed = 0;
    for file in files {
        if let Err(failure) = minimise::run(target, &read(file)?) {
            failed += 1;
            println!("{file}: {} at {}", failure.message, failure.place);
        }
    }
    if failed > 0 { Err(format!("{failed} of {} fail", files.len())) } else { Ok(()) }
}

fn list() {
    for target in TARGETS {
        println!("{:<20} {:<7} {}", target.name, target.shape.name(), target.holds);
    }
}

fn generate(name: &str, number: &str, folder: &str, dialect: Option<&str>) -> Result<(), String> {
    let target = target(name)?;
    let dialect = dialect.map(|word| dialect_named(word, name)).transpose()?;
    let number: usize = number.parse().map_err(|_| format!("{number} is no number of inputs"))?;
    fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut random = fastrand::Rng::new();
    for at in 0..number {
        let path = format!("{folder}/{at}");
        let input = match dialect {
            None => mutate::create(&target.shape, &mut random),
            Some(dialect) => {
                let choices: Vec<u8> = (0..random.usize(..=96)).map(|_| random.u8(..)).collect();
                memcache::text_in(&[dialect], &mut Source::new(&choices))
            }
        };
        fs::write(&path, input).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn dialect_named(word: &str, target: &str) -> Result<Dialect, String> {
    if target != "memcache_requests" {
        return Err(format!("{target} has no dialects; memcache_requests has"));
    }
    let named = |dialect: &Dialect| format!("{dialect:?}").eq_ignore_ascii_case(word);
    Dialect::ALL.into_iter().find(named).ok_or_else(|| {
        format!("`{word}` is no dialect; there are memcached, kestrel, darner and siberite")
    })
}

fn peer(addresses: &[&str], seconds: &str) -> Result<(), String> {
    let seconds = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
    let addresses = addresses
        .iter()
        .map(|text| text.parse().map_err(|_| format!("{text} is no address and port")))
        .collect::<Result<Vec<_>, _>>()?;
    let seed = match env::var("WINDHOVER_SEED") {
        Ok(text) => text.parse().map_err(|_| format!("WINDHOVER_SEED={text} is no number"))?,
        Err(_) => fastrand::u64(..),
    };
    let sent = peer::fuzz(&addresses, seconds, seed)
        .map_err(|difference| format!("{difference}\n(WINDHOVER_SEED={seed} repeats it)"))?;
    println!("{sent} commands, answered as the protocol says; seed {seed}");
    Ok(())
}
