//! The text of a configuration file.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use windhover_server::config::{ConfigFile, check_text};

/// Some of the flags that there are.
const FLAGS: &[&str] = &["http", "max-queue-bytes", "all-or-nothing", "redirect-host", "fsync"];
const TABLES: &[&str] = &["queues", "aliases", "tokens"];
const NUMBERS: &[&str] =
    &["max-queue-items", "max-queue-bytes", "max-item-bytes", "max-open-reads"];
const TIMES: &[&str] = &["max-item-age", "open-timeout", "max-queue-age"];
const SWITCHES: &[&str] = &["discard-old", "fanout-only"];
const TEXTS: &[&str] = &["move-expired-to", "fsync"];

/// A file is taken as a whole, and then what is printed of it says the same; or refused with faults, which name
/// every name that nothing has, and every value of a wrong type.
pub fn config_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (table, errors) = DeTable::parse_recoverable(text);
    let parsed = ConfigFile::parse(text, FLAGS);
    if errors.is_empty() {
        let wrong = wrong_names(table.get_ref());
        let told = parsed.as_ref().err();
        for name in &wrong {
            let names = |message: &str| message.contains(&format!("`{name}`"));
            assert!(
                told.is_some_and(|faults| faults.iter().any(|fault| names(&fault.message))),
                "nothing is said of `{name}`: {told:?}"
            );
        }
    } else {
        assert!(parsed.is_err(), "no TOML: {errors:?}");
    }
    match parsed {
        Ok(file) => {
            go_together(&file);
            let printed = file.to_string();
            let again = ConfigFile::parse(&printed, FLAGS).expect(&printed);
            assert_eq!(again.to_string(), printed);
            assert_eq!((&again.queues, &again.aliases), (&file.queues, &file.aliases), "{printed}");
            assert_eq!(again.tokens, file.tokens, "{printed}");
        }
        Err(faults) => {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!(!faults.is_empty(), "refused without a fault");
            for fault in faults {
                assert!(
                    (1..=lines).contains(&fault.line) && !fault.message.is_empty(),
                    "{fault:?}"
                );
            }
        }
    }
    // And all flags with their values: each fault tells of the file.
    if let Err(error) = check_text(Path::new("file.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
}

/// No name of a file that is taken means two things, or leads to itself.
fn go_together(file: &ConfigFile) {
    let is_alias = |name: &str| file.aliases.contains_key(name);
    for (alias, named) in &file.aliases {
        assert!(!file.queues.contains_key(alias) && !alias.contains('+'), "{alias}");
        assert!(!named.iter().any(|name| is_alias(name)), "{alias}: {named:?}");
    }
    for (queue, table) in &file.queues {
        let other = table.move_expired_to.as_ref();
        assert!(other.is_none_or(|other| other != queue && !is_alias(other)), "{queue}: {other:?}");
    }
    for (token, table) in &file.tokens {
        let queues = [&table.queues.events, &table.queues.engage, &table.queues.groups];
        assert!(!queues.into_iter().flatten().any(|queue| is_alias(queue)), "{token}: {queues:?}");
    }
}

/// The names that are wrong for themselves, or for the type of what they are given.
fn wrong_names(table: &DeTable<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().replace('_', "-");
        let value = value.get_ref();
        if name == "queues" {
            match value {
                DeValue::Table(queues) => wrong_of_queues(queues, &mut wrong),
                _ => wrong.push(name),
            }
        } else if TABLES.contains(&&*name) {
            wrong.extend(value.as_table().is_none().then_some(name));
        } else if !FLAGS.contains(&&*name) {
            wrong.push(key.get_ref().to_string());
        } else if matches!(value, DeValue::Table(_) | DeValue::Datetime(_)) {
            wrong.push(name);
        }
    }
    wrong
}

fn wrong_of_queues(queues: &DeTable<'_>, wrong: &mut Vec<String>) {
    for (queue, table) in queues {
        let queue = queue.get_ref();
        // What is wrong with the queue's own name is told alone.
        if windhover_core::queue::check_name(queue.as_bytes()).is_err() || queue == "dead-letters" {
            continue;
        }
        let Some(table) = table.get_ref().as_table() else {
            wrong.push(queue.to_string());
            continue;
        };
        for (key, value) in table {
            let (name, value) = (key.get_ref().replace('_', "-"), value.get_ref());
            let is_right = match &*name {
                name if NUMBERS.contains(&name) => value.is_integer(),
                name if TIMES.contains(&name) => value.is_integer() || value.is_float(),
                name if SWITCHES.contains(&name) => value.is_bool(),
                name if TEXTS.contains(&name) => value.is_str(),
                _ => {
                    wrong.push(key.get_ref().to_string());
                    true
                }
            };
            wrong.extend((!is_right).then_some(name));
        }
    }
}
