//! Random requests over few keys with small values. A seed gives one stream, always the same.

use std::fmt;

use super::rules::{Filter, Peer};
use crate::Random;

/// The keys; few, so that requests meet each other's items.
pub(super) const KEYS: &[&str] = &["a", "b", "c", "count:1", "count:2", "Zm9v", "k/6", LONG];
/// 250 bytes, the longest there may be.
const LONG: &str = "long_key_________________________________________________________________\
    _______________________________________________________________________________________\
    __________________________________________________________________________________________";
/// Never about now, so that no reply depends on the moment; 4294967295 is -1, without the `-`.
const EXPTIMES: &[&str] = &["0", "0", "0", "100000", "200000", "4294967295", "2000000000"];
const NUMBERS: &[&str] =
    &["0", "1", "7", "10", "99", "1000", "18446744073709551615", "18446744073709551610"];

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Requests by the book, with real cas uniques.
    WellFormed,
    /// The same with random bytes changed, put in, taken out or doubled.
    Mangled,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Bytes(Vec<u8>),
    /// The key's cas unique as it was at the beginning of the phase.
    CasOf(&'static str),
}

type Command = Vec<Part>;

/// Requests in phases; between two, the client looks at all cas uniques.
#[derive(Clone, Debug)]
pub struct Stream(Vec<Vec<Command>>);

impl Stream {
    pub(super) fn random(random: &mut Random, form: Form, peer: Peer) -> Self {
        match form {
            Form::WellFormed => {
                let next = |random: &mut Random| request(random, peer);
                Self((0..3).map(|_| phase(random, 40, next, Filter::of(peer))).collect())
            }
            Form::Mangled => {
                let next = |random: &mut Random| mangled(random, peer);
                Self(vec![phase(random, 60, next, Filter::of_mangled(peer))])
            }
        }
    }

    pub(super) fn phases(&self) -> &[Vec<Command>] {
        &self.0
    }

    /// How many requests it has.
    pub(super) fn commands(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// A stream without the requests from `from` to `to`.
    pub(super) fn without(&self, from: usize, to: usize) -> Self {
        let mut at = 0;
        let mut keep = |_: &Command| {
            at += 1;
            !(from..to).contains(&(at - 1))
        };
        let phases = &self.0;
        Self(
            phases
                .iter()
                .map(|phase| phase.iter().filter(|command| keep(command)).cloned().collect())
                .collect(),
        )
    }
}

/// So many requests that may be sent, one behind the other.
fn phase(
    random: &mut Random,
    count: usize,
    next: impl Fn(&mut Random) -> Command,
    mut filter: Filter,
) -> Vec<Command> {
    let mut phase = Vec::new();
    let mut refused = 0;
    while phase.len() < count {
        let command = next(random);
        refused += 1;
        assert!(refused < 100_000, "no request fits behind {filter:?}");
        if filter.passes(&flat(&command)) {
            phase.push(command);
            refused = 0;
        }
    }
    phase
}

/// A request's bytes, with some cas unique.
fn flat(command: &Command) -> Vec<u8> {
    let parts = command.iter().map(|part| match part {
        Part::Bytes(bytes) => bytes.as_slice(),
        Part::CasOf(_) => b"1".as_slice(),
    });
    parts.collect::<Vec<_>>().concat()
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, phase) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f, "  (gets of all keys)")?;
            }
            for command in phase {
                write!(f, "  ")?;
                for part in command {
                    match part {
                        Part::Bytes(bytes) => write!(f, "{}", bytes.escape_ascii())?,
                        Part::CasOf(key) => write!(f, "<cas unique of {key}>")?,
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    from[random.below(from.len())]
}

fn one_in(random: &mut Random, of: usize) -> bool {
    random.below(of) == 0
}

fn value(random: &mut Random) -> String {
    match random.below(8) {
        0 => String::new(),
        1..=3 => pick(random, NUMBERS).to_owned(),
        4 => pick(random, &["a\r\nb", "END\r\nEND", "\r\n5", "get a\r\n", " 5", "5 ", "+1"])
            .to_owned(),
        _ => "xyz".repeat(1 + random.below(12)),
    }
}

fn noreply(random: &mut Random) -> &'static str {
    if one_in(random, 5) { " noreply" } else { "" }
}

fn keys(random: &mut Random) -> String {
    let count = 1 + if one_in(random, 20) { 30 } else { random.below(4) };
    let keys: Vec<&str> = (0..count).map(|_| pick(random, KEYS)).collect();
    keys.join(" ")
}

fn bytes(text: String) -> Command {
    vec![Part::Bytes(text.into_bytes())]
}

fn cas_part(random: &mut Random) -> (Part, &'static str) {
    let key = KEYS[random.below(KEYS.len())];
    let part = if one_in(random, 3) {
        Part::Bytes(pick(random, &["0", "1", "4611686018427387904"]).as_bytes().to_vec())
    } else {
        Part::CasOf(key)
    };
    (part, key)
}

fn request(random: &mut Random, peer: Peer) -> Command {
    let key = pick(random, KEYS);
    let exptime = pick(random, EXPTIMES);
    match random.below(26) {
        0..=3 => bytes(format!("get {}\r\n", keys(random))),
        4 => bytes(format!("gets {}\r\n", keys(random))),
        5 => {
            let verb = pick(random, &["gat", "gats"]);
            bytes(format!("{verb} {exptime} {}\r\n", keys(random)))
        }
        6..=10 => {
            let verb = pick(random, &["set", "set", "add", "replace", "append", "prepend"]);
            let (value, flags) = (value(random), pick(random, &["0", "7", "4294967295"]));
            let length = value.len();
            let noreply = noreply(random);
            bytes(format!("{verb} {key} {flags} {exptime} {length}{noreply}\r\n{value}\r\n"))
        }
        11 => {
            let (cas, key) = cas_part(random);
            let value = value(random);
            let before = format!("cas {key} 3 {exptime} {} ", value.len());
            let behind = format!("{}\r\n{value}\r\n", noreply(random));
            vec![Part::Bytes(before.into_bytes()), cas, Part::Bytes(behind.into_bytes())]
        }
        12 => bytes(format!("delete {key}{}\r\n", noreply(random))),
        13..=14 => {
            let verb = pick(random, &["incr", "decr"]);
            bytes(format!("{verb} {key} {}{}\r\n", pick(random, NUMBERS), noreply(random)))
        }
        15 => bytes(format!("touch {key} {exptime}{}\r\n", noreply(random))),
        16 => bytes(pick(random, OTHERS).to_owned()),
        17..=19 => meta(random, peer, "mg", OF_MG, None),
        20..=22 => {
            let value = value(random);
            meta(random, peer, "ms", OF_MS, Some(&value))
        }
        23 => meta(random, peer, "md", OF_MD, None),
        24 => meta(random, peer, "ma", OF_MA, None),
        _ => bytes(format!("me {key}\r\n")),
    }
}

/// What flags are taken from.
#[rustfmt::skip]
const OF_MG: &[&str] = &[
    "v", "f", "c", "s", "t", "k", "h", "l", "u", "q", "O1", "T0", "T100000", "N0", "N100000", "R30", "Px",
    "Ly", "E71",
];
#[rustfmt::skip]
const OF_MS: &[&str] = &[
    "c", "k", "q", "O2", "F9", "T0", "T100000", "T4294967295", "I", "MS", "ME", "MR", "MA", "MP", "MSET",
    "Px", "E72", "N100000", "s",
];
const OF_MD: &[&str] = &["k", "q", "O3", "I", "T100000", "T0", "Ly", "x", "E70"];
#[rustfmt::skip]
const OF_MA: &[&str] = &[
    "c", "k", "q", "v", "t", "O4", "T100000", "N0", "J13", "D10", "D18446744073709551615", "MI", "MD", "M+",
    "MINCR", "Mdecr", "E73",
];

/// Those with few variations.
const OTHERS: &[&str] = &[
    "version\r\n",
    "verbosity 0\r\n",
    "verbosity 0 noreply\r\n",
    "mn\r\n",
    "flush_all\r\n",
    "flush_all 0 noreply\r\n",
    "bogus\r\n",
    "get\r\n",
    "set a 0 0 5\r\ntoo long\r\n",
    "\r\n",
    "incr a x\r\n",
    "touch a x\r\n",
    "stats unknown\r\n",
    "delete a 1\r\n",
    "set a x 0 9\r\nflush_all\r\n",
    "set a 0 x 9 noreply\r\nflush_all\r\n",
    "cas a 0 0 9\r\nflush_all\r\n",
    "set a 0 0 1 x y z\r\n7\r\n",
    "incr a +1\r\n",
    "touch a 0 x y\r\n",
    "ms a x\r\n",
    "gat 0\r\n",
    "bogus noreply\r\n",
    "x\r\n",
];

/// A meta request with some of these flags, each of its letters once.
fn meta(
    random: &mut Random,
    peer: Peer,
    verb: &str,
    known: &[&str],
    value: Option<&str>,
) -> Command {
    loop {
        let (cas, cas_key) = cas_part(random);
        let with_cas = one_in(random, 4);
        let key = if with_cas { cas_key } else { pick(random, KEYS) };
        let mut letters = Vec::new();
        let mut flags = String::new();
        for _ in 0..random.below(6) {
            let flag = pick(random, known);
            let letter = flag.as_bytes()[0];
            if !letters.contains(&letter) {
                letters.push(letter);
                flags.push(' ');
                flags.push_str(flag);
            }
        }
        if key == "Zm9v" && one_in(random, 2) {
            flags.push_str(" b");
        }
        let length = value.map_or(String::new(), |value| format!(" {}", value.len()));
        let line = format!("{verb} {key}{length}{flags}");
        let mut command = vec![Part::Bytes(line.clone().into_bytes())];
        if with_cas {
            command.extend([Part::Bytes(b" C".to_vec()), cas]);
        }
        let block = value.map_or(String::new(), |value| format!("{value}\r\n"));
        command.push(Part::Bytes(format!("\r\n{block}").into_bytes()));
        let cas = if with_cas { " C1" } else { "" };
        // The line is judged here, with any block of its length; what the block says, with the phase.
        let any = value.map_or(String::new(), |value| "x".repeat(value.len()) + "\r\n");
        if Filter::of(peer).passes(format!("{line}{cas}\r\n{any}").as_bytes()) {
            return command;
        }
    }
}

/// A request, every other one with some bytes changed.
fn mangled(random: &mut Random, peer: Peer) -> Command {
    let bytes: Vec<u8> = loop {
        let command = request(random, peer);
        let whole = command.iter().map(|part| match part {
            Part::Bytes(bytes) => Some(bytes.as_slice()),
            Part::CasOf(_) => None,
        });
        if let Some(parts) = whole.collect::<Option<Vec<_>>>() {
            break parts.concat();
        }
    };
    let mut bytes = bytes;
    if one_in(random, 2) {
        for _ in 0..=random.below(3) {
            mangle(random, &mut bytes);
        }
    }
    vec![Part::Bytes(bytes)]
}

fn mangle(random: &mut Random, bytes: &mut Vec<u8>) {
    const BYTES: &[u8] = b"  \r\n\t0123456789+abckqvtTNRMDJICOFgsmnedil!=/\x01\x7f\x80\xff";
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let byte = BYTES[random.below(BYTES.len())];
    match random.below(5) {
        0 => bytes[at] = byte,
        1 => bytes.insert(at, byte),
        2 => drop(bytes.remove(at)),
        3 => {
            let to = (at + 1 + random.below(6)).min(bytes.len());
            let again = bytes[at..to].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let to = (at + 1 + random.below(6)).min(bytes.len());
            bytes.drain(at..to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream() {
        for form in [Form::WellFormed, Form::Mangled] {
            for peer in [Peer::Old, Peer::New, Peer::Any] {
                let stream = |seed| Stream::random(&mut Random::new(seed), form, peer).to_string();
                assert_eq!(stream(5), stream(5));
                assert_ne!(stream(5), stream(6));
            }
        }
        assert_eq!(LONG.len(), 250);
    }

    #[test]
    fn every_seed_gives_a_stream() {
        for seed in 0..200 {
            let form = if seed % 2 == 0 { Form::WellFormed } else { Form::Mangled };
            for peer in [Peer::Old, Peer::New, Peer::Any] {
                assert!(Stream::random(&mut Random::new(seed), form, peer).commands() >= 60);
            }
        }
    }

    #[test]
    fn requests_can_be_taken_out() {
        let stream = Stream::random(&mut Random::new(1), Form::WellFormed, Peer::New);
        assert_eq!(stream.commands(), 120);
        assert_eq!(stream.without(10, 90).commands(), 40);
        assert_eq!(stream.without(0, 120).commands(), 0);
    }
}
