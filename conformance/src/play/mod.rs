//! Playing the vectors against any server: what holds, what differs, what it does not have.

mod report;
mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use report::PlayReport;
pub use role::Role;

use crate::vectors::{self, Marker, Mismatch, Protocol, ServerKind, SocketPlayer, Vector, verbs};

/// What is played, and how.
#[derive(Clone, Debug)]
pub struct PlayOptions {
    /// Where the server listens.
    pub address: SocketAddr,
    /// What it is held to.
    pub role: Role,
    /// Words, one of which a vector's file or name has to contain; all are played without any.
    pub only: Vec<String>,
    /// Where items are, when not at `address`: the servers behind a proxy.
    pub holders: Vec<SocketAddr>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether the server has the settings of `vectors/kestrel.toml`.
    pub configured: bool,
}

/// What came of a vector.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The server answers as it should.
    Holds,
    /// It answers something else.
    Differs(Mismatch),
    /// It does not have these verbs.
    Unsupported(BTreeSet<String>),
    /// It was not asked, and why.
    NotAsked(&'static str),
}

/// Plays what is true of the role.
///
/// # Errors
/// A sentence, when the server cannot be asked: it is not there, it holds items, or it cannot be emptied.
pub fn play(options: &PlayOptions) -> Result<PlayReport, String> {
    let all: Vec<Vector> = vectors::load()
        .into_iter()
        .filter(|vector| vector.protocol == options.role.protocol())
        .filter(|vector| {
            options.only.is_empty()
                || options
                    .only
                    .iter()
                    .any(|it| vector.file.contains(it) || vector.name.contains(it))
        })
        .collect();
    if all.is_empty() {
        return Err(format!("no vector has {} in its file or name", options.only.join(" or ")));
    }
    let holders =
        if options.holders.is_empty() { vec![options.address] } else { options.holders.clone() };
    for &holder in &holders {
        must_be_empty(holder, options.timeout)?;
    }
    let marker = marker(options)?;
    let player = SocketPlayer { address: options.address, bound: options.timeout, marker };
    let mut played = Vec::new();
    for vector in all {
        let verdict = match not_asked(&vector, options) {
            Some(why) => Verdict::NotAsked(why),
            None => {
                for &holder in &holders {
                    empty(holder, options)?;
                }
                match player.play(&vector) {
                    Ok(()) => Verdict::Holds,
                    Err(mismatch) => Verdict::Differs(mismatch),
                }
            }
        };
        played.push((vector, verdict));
    }
    for &holder in &holders {
        empty(holder, options)?;
    }
    find_unsupported(&mut played);
    Ok(PlayReport { address: options.address, role: options.role.clone(), played })
}

/// Why a vector cannot be asked of a server that somebody else has started.
fn not_asked(vector: &Vector, options: &PlayOptions) -> Option<&'static str> {
    match vector.server {
        ServerKind::Shared => {}
        ServerKind::Own => return Some("needs a server that was just started"),
        ServerKind::Shutdown => return Some("needs a server that may be shut down"),
        ServerKind::Authentication => return Some("needs a server that asks for a password"),
    }
    if !options.role.has(vector) {
        return Some("is of another version, or of one server alone");
    }
    if vector.protocol == Protocol::Kestrel && !options.configured && names_configured(vector) {
        return Some("needs the settings of vectors/kestrel.toml (--configured)");
    }
    None
}

/// Whether it is about a queue that `kestrel.toml` has bounds for.
fn names_configured(vector: &Vector) -> bool {
    const SETTINGS: &str = include_str!("../../vectors/kestrel.toml");
    let tables =
        SETTINGS.lines().filter_map(|line| line.strip_prefix("[queues.")?.strip_suffix(']'));
    let aliases = SETTINGS.lines().filter_map(|line| Some(line.split_once(" = [")?.0));
    let names: Vec<&str> = tables.chain(aliases).collect();
    let mut captures = vectors::Captures::new();
    let mut sent = vector.given.example(&mut captures);
    for step in &vector.steps {
        sent.extend(step.send.example(&mut captures));
    }
    let sent = String::from_utf8_lossy(&sent).into_owned();
    let mut words = sent.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| names.contains(&word))
}

/// What the server answers whatever it holds: proxies do not have every command.
fn marker(options: &PlayOptions) -> Result<Marker, String> {
    let (address, timeout) = (options.address, options.timeout);
    TcpStream::connect_timeout(&address, timeout)
        .map_err(|error| format!("{address}: no connection: {error}"))?;
    let candidates = [
        Marker::of(options.role.protocol())?,
        Marker::new("version\r\n", "VERSION {...}\\r\\n")?,
        Marker::new("get windhover-end-of-vector\r\n", "END\\r\\n")?,
    ];
    candidates.into_iter().find(|marker| marker.is_answered(address, timeout)).ok_or_else(|| {
        format!(
            "{address} answers neither `mn` nor `version` nor a `get` of nothing within {timeout:?}"
        )
    })
}

/// A server that holds items is somebody's, and every vector empties it.
fn must_be_empty(address: SocketAddr, timeout: Duration) -> Result<(), String> {
    let lines = ask(address, "stats\r\n", "END", timeout)?;
    let count = lines
        .iter()
        .find_map(|line| line.strip_prefix("STAT curr_items ")?.trim().parse::<u64>().ok());
    match count {
        None | Some(0) => Ok(()),
        Some(count) => Err(format!(
            "{address} holds {count} items, and would be emptied: start a server for this alone"
        )),
    }
}

fn empty(address: SocketAddr, options: &PlayOptions) -> Result<(), String> {
    if options.role.protocol() == Protocol::Kestrel {
        // A vector may have stopped it.
        ask(address, "status up\r\n", "", options.timeout)?;
    }
    let answer = ask(address, "flush_all\r\n", "", options.timeout)?;
    match answer.first().map(String::as_str) {
        Some("OK" | "Flushed all queues.") => Ok(()),
        other => Err(format!(
            "{address} cannot be emptied: `flush_all` was answered {other:?}; behind a proxy, --flush names the \
             servers that can"
        )),
    }
}

/// The lines of an answer up to `last`, or its first where that is empty; fewer where the server closes.
fn ask(
    address: SocketAddr,
    request: &str,
    last: &str,
    timeout: Duration,
) -> Result<Vec<String>, String> {
    let told = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(told)?;
    stream.set_read_timeout(Some(timeout)).map_err(told)?;
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut lines = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(told)?;
        let is_last = last.is_empty() || line == last || line.starts_with("ERROR");
        lines.push(line);
        if is_last {
            break;
        }
    }
    Ok(lines)
}

/// What the server was never seen to have, and was refused as if it knew no such word, it does not have.
fn find_unsupported(played: &mut [(Vector, Verdict)]) {
    /// Whether a verb was seen to work, and whether all that failed was refused so.
    #[derive(Clone, Copy)]
    struct Seen {
        works: bool,
        refused: bool,
    }
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for (vector, verdict) in &*played {
        let asked = verbs(vector);
        for verb in asked {
            let entry = seen.entry(verb).or_insert(Seen { works: false, refused: true });
            match verdict {
                Verdict::Holds if expects_more_than_an_error(vector) => entry.works = true,
                Verdict::Differs(mismatch) if !is_unknown(mismatch) => entry.refused = false,
                _ => {}
            }
        }
    }
    for (vector, verdict) in played {
        let Verdict::Differs(mismatch) = verdict else { continue };
        if !is_unknown(mismatch) {
            continue;
        }
        let missing: BTreeSet<String> = verbs(vector)
            .into_iter()
            .filter(|verb| seen.get(verb).is_some_and(|seen| !seen.works && seen.refused))
            .collect();
        if !missing.is_empty() {
            *verdict = Verdict::Unsupported(missing);
        }
    }
}

fn is_unknown(mismatch: &Mismatch) -> bool {
    let got = &mismatch.got;
    got.starts_with(b"ERROR") || (got.is_empty() && mismatch.ended)
}

fn expects_more_than_an_error(vector: &Vector) -> bool {
    let mut captures = vectors::Captures::new();
    vector.steps.iter().any(|step| {
        let expected = step.expect.example(&mut captures);
        !expected.is_empty() && !expected.windows(5).any(|word| word == b"ERROR")
    })
}
