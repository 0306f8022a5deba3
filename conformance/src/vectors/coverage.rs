//! What the vectors ask and what they are answered: commands, meta flags and error lines.

use std::collections::BTreeSet;

use windhover_core::memcache::command::{Command, TABLE};
use windhover_core::memcache::meta::FLAGS;
use windhover_core::memcache::request::{self, ErrorRecovery, Request};
use windhover_core::memcache::{Dialect, Limits, Parsed};

use super::{Captures, Protocol, ServerKind, Vector};

/// Where the codec and the cache keep the error lines that they answer.
const SOURCES: [&str; 3] = [
    include_str!("../../../core/src/memcache/request/error.rs"),
    include_str!("../../../cache/src/handler.rs"),
    include_str!("../../../cache/src/stats.rs"),
];

/// What no vector shows, of all there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Verbs in a dialect.
    pub commands: Vec<String>,
    /// Flags of a meta command that takes them.
    pub flags: Vec<String>,
    /// Error lines.
    pub errors: Vec<String>,
}

/// Goes through the table of commands, the table of flags and the error lines in the code. The
/// vectors know two dialects, memcached's and kestrel's.
pub fn missing(vectors: &[Vector]) -> Missing {
    let mut commands = BTreeSet::new();
    let mut flags = BTreeSet::new();
    let mut answers = BTreeSet::new();
    for vector in vectors {
        let (dialect, mut captures) = (dialect(vector), Captures::new());
        let (mut input, mut answer) = (vector.given.example(&mut captures), Vec::new());
        for step in &vector.steps {
            input.extend(step.send.example(&mut captures));
            answer.extend(step.expect.example(&mut captures));
        }
        let lines = answer.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end().to_vec());
        answers.extend(lines);
        if vector.server == ServerKind::Authentication && answer.starts_with(b"STORED\r\n") {
            commands.insert(name(Command::Authenticate, dialect));
        }
        each_request(&input, dialect, |request, verb| {
            commands.insert(format!("{verb} in {dialect:?}"));
            for letter in letters(request) {
                flags.insert(flag_name(request.command(), letter));
            }
        });
    }

    let mut missing = Missing::default();
    for row in TABLE {
        for &dialect in row.dialects.iter().filter(|dialect| DIALECTS.contains(dialect)) {
            let name = match row.command {
                Command::Authenticate => name(row.command, dialect),
                _ => format!("{} in {dialect:?}", row.verb),
            };
            if !commands.contains(&name) {
                missing.commands.push(name);
            }
        }
    }
    let of_flags = FLAGS.iter().flat_map(|row| row.commands.iter().map(|of| (*of, row.letter)));
    missing.flags.extend(
        of_flags
            .map(|(command, letter)| flag_name(command, letter))
            .filter(|name| !flags.contains(name)),
    );
    missing.errors.extend(error_lines().filter(|line| !answers.contains(line.as_bytes())));
    missing
}

const DIALECTS: [Dialect; 2] = [Dialect::Memcached, Dialect::Kestrel];

fn dialect(vector: &Vector) -> Dialect {
    match vector.protocol {
        Protocol::Memcached => Dialect::Memcached,
        Protocol::Kestrel => Dialect::Kestrel,
    }
}

fn name(command: Command, dialect: Dialect) -> String {
    format!("{command:?} in {dialect:?}")
}

fn flag_name(command: Command, letter: u8) -> String {
    format!("{} of {command:?}", char::from(letter))
}

fn letters(request: &Request<'_>) -> Vec<u8> {
    match request {
        Request::MetaGet(meta)
        | Request::MetaSet(meta)
        | Request::MetaDelete(meta)
        | Request::MetaArithmetic(meta) => meta.flags.iter().map(|flag| flag.letter).collect(),
        Request::MetaDebug { base64: true, .. } => vec![b'b'],
        _ => Vec::new(),
    }
}

/// The commands that a vector sends, by their verbs in lower case: those of legal requests, and those that a
/// step begins with.
pub fn verbs(vector: &Vector) -> BTreeSet<String> {
    let (mut captures, mut input) = (Captures::new(), Vec::new());
    input.extend(vector.given.example(&mut captures));
    let mut verbs = BTreeSet::new();
    for step in &vector.steps {
        let sent = step.send.example(&mut captures);
        verbs.extend(first_verb(&sent, dialect(vector)));
        input.extend(sent);
    }
    each_request(&input, dialect(vector), |_, verb| {
        verbs.insert(verb.to_owned());
    });
    verbs
}

/// The verb that the first line begins with, if it is one.
fn first_verb(sent: &[u8], dialect: Dialect) -> Option<String> {
    let line = sent.trim_ascii_start().to_ascii_lowercase();
    let word = line.split(|byte| b" \r\n".contains(byte)).next()?;
    let rows = TABLE.iter().filter(|row| row.dialects.contains(&dialect));
    rows.into_iter().find(|row| row.verb.as_bytes() == word).map(|row| row.verb.to_owned())
}

/// Hands out every legal request of the input, with its verb in lower case.
fn each_request(mut input: &[u8], dialect: Dialect, mut each: impl FnMut(&Request<'_>, &str)) {
    let limits = Limits::default();
    loop {
        input = match request::parse(input, dialect, &limits) {
            Ok(Parsed::Complete { message, consumed }) => {
                let line = input.trim_ascii_start().to_ascii_lowercase();
                let verb = line.split(|byte| b" \r\n".contains(byte)).next().unwrap_or_default();
                each(&message.request, &String::from_utf8_lossy(verb));
                &input[consumed..]
            }
            Ok(Parsed::Incomplete { .. }) => return,
            Err(error) => match error.recovery {
                ErrorRecovery::Skip(bytes) => input.get(bytes..).unwrap_or_default(),
                ErrorRecovery::Close => return,
            },
        };
    }
}

/// The error lines in the text of the code, whole ones and those without their first word.
fn error_lines() -> impl Iterator<Item = String> {
    let literals = SOURCES.iter().flat_map(|source| {
        let begins = [
            ("Error(b\"", ""),
            ("\"ERROR", "ERROR"),
            ("\"CLIENT_ERROR", "CLIENT_ERROR"),
            ("\"SERVER_ERROR", "SERVER_ERROR"),
            ("ClientError(b\"", "CLIENT_ERROR "),
            ("ServerError(b\"", "SERVER_ERROR "),
            ("=> b\"", "SERVER_ERROR "),
        ];
        begins.into_iter().flat_map(move |(mark, word)| {
            source.match_indices(mark).filter_map(move |(at, _)| {
                let text = source[at + mark.len()..].split('"').next()?;
                // `Response::Error` alone is spelt like the end of the other two.
                let whole = mark != "Error(b\"" || text.is_empty();
                whole.then(|| {
                    if text.is_empty() && mark == "Error(b\"" {
                        "ERROR".to_owned()
                    } else {
                        format!("{word}{text}")
                    }
                })
            })
        })
    });
    literals.collect::<BTreeSet<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_lines_are_found_in_the_code() {
        let lines: Vec<String> = error_lines().collect();
        for line in [
            "ERROR",
            "CLIENT_ERROR",
            "CLIENT_ERROR bad data chunk",
            "CLIENT_ERROR cannot increment or decrement non-numeric value",
            "SERVER_ERROR object too large for cache",
            "SERVER_ERROR out of memory storing object",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not among {lines:#?}");
        }
        assert!(lines.len() >= 25, "{lines:#?}");
    }

    #[test]
    fn without_vectors_everything_is_missing() {
        let missing = missing(&[]);
        assert!(missing.commands.contains(&"get in Memcached".to_owned()));
        assert!(missing.commands.contains(&"monitor in Kestrel".to_owned()));
        assert!(missing.commands.contains(&"Authenticate in Memcached".to_owned()));
        assert!(missing.flags.contains(&"x of MetaDelete".to_owned()));
        assert_eq!(missing.errors.len(), error_lines().count());
    }
}
