//! For others: holds any server to the vectors (`play`), and any client to a hostile server (`attack`).

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use windhover_conformance::attack::{Attack, AttackOptions, FAULTS, fault};
use windhover_conformance::play::{PlayOptions, play};

const USAGE: &str = "\
usage:
  windhover-conformance play HOST:PORT --as memcached@1.6.45|memcached@1.6.18|kestrel|darner
      Plays what is true of such a server, and says what holds, what differs, and what the server does not
      have. It is to be a server for this alone: every vector empties it.
      --only WORD        vectors whose file or name has the word; may be given often
      --flush HOST:PORT  where items are, behind a proxy: emptied in its place; may be given often
      --timeout SECONDS  how long an answer may take (2)
      --configured       the server has the settings of vectors/kestrel.toml
      --json             for programs
      Exit codes: 0 when nothing differs, 1 when something does, 2 when it cannot be asked.
  windhover-conformance attack [FAULT...] [--listen HOST:PORT] [--every N] [--times N] [--seconds N]
      Listens (127.0.0.1:11311) for a client under test, whose every key is there with `value of KEY`, and
      plays a fault to every Nth request (2), each of them in turn (all, where none is named), N times
      at most (without an end).
  windhover-conformance attack list
      What faults there are, and what a right client does.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.split_first() {
        Some((&"play", rest)) => play_command(rest),
        Some((&"attack", ["list"])) => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        Some((&"attack", rest)) => attack_command(rest),
        Some((&("--help" | "-h" | "help"), _)) => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(USAGE.to_owned()),
    };
    done.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::from(2)
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
    found.next().ok_or_else(|| format!("{text} has no address"))
}

fn number<N: std::str::FromStr>(text: &str, what: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of {what}"))
}

fn play_command(mut words: &[&str]) -> Result<ExitCode, String> {
    let (mut server, mut role, mut json, mut configured) = (None, None, false, false);
    let (mut only, mut holders, mut timeout) = (Vec::new(), Vec::new(), Duration::from_secs(2));
    loop {
        words = match words {
            [] => break,
            ["--as", text, rest @ ..] => {
                role = Some(text.parse()?);
                rest
            }
            ["--only", word, rest @ ..] => {
                only.push((*word).to_owned());
                rest
            }
            ["--flush", text, rest @ ..] => {
                holders.push(address(text)?);
                rest
            }
            ["--timeout", text, rest @ ..] => {
                timeout = Duration::from_secs(number::<u64>(text, "seconds")?.max(1));
                rest
            }
            ["--configured", rest @ ..] => {
                configured = true;
                rest
            }
            ["--json", rest @ ..] => {
                json = true;
                rest
            }
            [text, rest @ ..] if server.is_none() && !text.starts_with("--") => {
                server = Some(address(text)?);
                rest
            }
            [text, ..] => return Err(format!("`{text}` is not expected here\n{USAGE}")),
        };
    }
    let (Some(address), Some(role)) = (server, role) else { return Err(USAGE.to_owned()) };
    let report = play(&PlayOptions { address, role, only, holders, timeout, configured })?;
    if json {
        println!("{:#}", report.json());
    } else {
        println!("{report}");
    }
    Ok(ExitCode::from(u8::from(!report.differing().is_empty())))
}

fn list() {
    for fault in FAULTS {
        println!("{:<14} {}\n{:14} a right client: {}", fault.name, fault.does, "", fault.right);
    }
}

fn attack_command(mut words: &[&str]) -> Result<ExitCode, String> {
    let (mut faults, mut seconds) = (Vec::new(), u64::MAX);
    let (mut every, mut times) = (2, usize::MAX);
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 11311));
    loop {
        words = match words {
            [] => break,
            ["--listen", text, rest @ ..] => {
                listen = address(text)?;
                rest
            }
            ["--every", text, rest @ ..] => {
                every = number::<usize>(text, "requests")?.max(1);
                rest
            }
            ["--times", text, rest @ ..] => {
                times = number(text, "faults")?;
                rest
            }
            ["--seconds", text, rest @ ..] => {
                seconds = number(text, "seconds")?;
                rest
            }
            [name, rest @ ..] => {
                faults.push(fault(name)?);
                rest
            }
        };
    }
    if faults.is_empty() {
        faults = FAULTS.iter().collect();
    }
    let end = Instant::now().checked_add(Duration::from_secs(seconds.min(86_400 * 365)));
    for fault in &faults {
        println!("{:<14} a right client: {}", fault.name, fault.right);
    }
    let attack = Attack::start(AttackOptions { listen, faults, every, times })
        .map_err(|error| format!("{listen}: {error}"))?;
    println!("listening on {}", attack.address());
    loop {
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        match attack.log().recv_timeout(left.min(Duration::from_secs(60))) {
            Ok(line) => println!("{line}"),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Ok(ExitCode::SUCCESS),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(ExitCode::SUCCESS),
        }
    }
}
