//! Variables of the environment that nearly are settings.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

/// What all names of settings begin with.
const PREFIX: &str = "WINDHOVER_";

/// Those of `names` that are no setting, each with the one that is nearest: where one is so near that it
/// was meant. Others are somebody else's: orchestrators name services in the same way
/// (`WINDHOVER_SERVICE_HOST`), and that is not an error.
///
/// ```
/// use windhover_server::environment::mistyped;
///
/// let names = ["WINDHOVER_FSYNCH", "WINDHOVER_FSYNC", "WINDHOVER_SERVICE_HOST", "PATH"];
/// assert_eq!(mistyped(names), [("WINDHOVER_FSYNCH", "WINDHOVER_FSYNC".to_owned())]);
/// ```
pub fn mistyped<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<(&'a str, String)> {
    let mut known = BTreeSet::new();
    gather(&Cli::command(), &mut known);
    let unknown = names.into_iter().filter(|name| !known.contains(*name));
    unknown.filter_map(|name| Some((name, nearest(name, &known)?))).collect()
}

/// The names of the settings of a command, and of those below it.
fn gather(command: &Command, into: &mut BTreeSet<String>) {
    let names = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    into.extend(names.map(str::to_owned));
    for command in command.get_subcommands() {
        gather(command, into);
    }
}

/// The one that differs in a letter or two, fewer in a short name.
fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let written = name.strip_prefix(PREFIX)?;
    let most = (written.len() / 3).min(2);
    let distance = |other: &String| {
        let behind = other.strip_prefix(PREFIX).unwrap_or(other);
        strsim::damerau_levenshtein(behind, written)
    };
    known.iter().min_by_key(|other| distance(other)).filter(|it| distance(it) <= most).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_too_many_too_few_or_another_is_seen() {
        let cases = [
            ("WINDHOVER_MAX_BODDY", Some("WINDHOVER_MAX_BODY")),
            ("WINDHOVER_MAX_BOY", Some("WINDHOVER_MAX_BODY")),
            ("WINDHOVER_MAXBODY", Some("WINDHOVER_MAX_BODY")),
            ("WINDHOVER_RUNTIM", Some("WINDHOVER_RUNTIME")),
            ("WINDHOVER_DTAA", Some("WINDHOVER_DATA")),
            ("WINDHOVER_MAX_BODY", None),
            // Of `cache`, whatever runs.
            ("WINDHOVER_LISTEN", None),
            ("WINDHOVER_SERVICE_HOST", None),
            ("WINDHOVER_PORT_8080_TCP", None),
            ("WINDHOVER_BIN", None),
            ("WINDHOVER_", None),
            ("MAX_BODDY", None),
        ];
        for (name, near) in cases {
            let expected = near.map(|near| (name, near.to_owned()));
            assert_eq!(mistyped([name]).pop(), expected, "{name}");
        }
    }
}
