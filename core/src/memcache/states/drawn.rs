//! `docs/states.md` shows what the tables say. With `WINDHOVER_BLESS=1` in the environment it is written
//! anew.

use core::fmt::{Debug, Write as _};
use std::format;
use std::path::Path;
use std::prelude::v1::*;
use std::{env, fs};

use super::{CLIENT, ClientState, SERVER, ServerState, Transition};

const GENERATED: &str = "<!-- Drawn from the code's tables by core/src/memcache/states/drawn.rs: \
    edit those, then run the test with WINDHOVER_BLESS=1. -->\n";

#[test]
fn the_state_diagrams_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/states.md");
    let text = states();
    if env::var_os("WINDHOVER_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &text).unwrap();
    }
    let is_current = fs::read_to_string(&path).is_ok_and(|file| file == text);
    assert!(
        is_current,
        "docs/states.md is not what the tables say: run this with WINDHOVER_BLESS=1"
    );
}

fn states() -> String {
    let mut text = String::from("# States of a connection\n\n");
    text.push_str(GENERATED);
    text.push_str(
        "\nThe server role (`windhover_core::memcache::ServerConnection`) is in two states at a time: \
        where it is in\nthe bytes that come in, and whom it lets in. The client role \
        (`windhover_core::memcache::ClientConnection`)\nis in two as well: where it is in the bytes \
        that come in, and whether it takes requests. The machines check\nevery step against the same \
        tables (`core/src/memcache/states.rs`) in debug builds.\n",
    );
    let of_reading = |row: &&Transition<ServerState, _>| row.from.is_of_reading();
    text.push_str("\n## Server: reading\n");
    let last = Some((ServerState::Over, "all is answered and written"));
    region(&mut text, ServerState::Line, last, SERVER.iter().filter(of_reading));
    text.push_str("\n## Server: access\n");
    region(&mut text, ServerState::Open, None, SERVER.iter().filter(|row| !of_reading(row)));
    let of_reading = |row: &&Transition<ClientState, _>| row.from.is_of_reading();
    text.push_str("\n## Client: reading\n");
    let last = Some((ClientState::Failed, "every request under way was told its end"));
    region(&mut text, ClientState::Line, last, CLIENT.iter().filter(of_reading));
    text.push_str("\n## Client: asking\n");
    region(&mut text, ClientState::Asking, None, CLIENT.iter().filter(|row| !of_reading(row)));
    text
}

/// A diagram in which the ways from one state to another are one arrow, and the table behind it.
fn region<'a, S: Copy + PartialEq + Debug + 'a, E: Debug + 'a>(
    text: &mut String,
    first: S,
    last: Option<(S, &str)>,
    rows: impl Iterator<Item = &'a Transition<S, E>> + Clone,
) {
    let _ = write!(text, "\n```mermaid\nstateDiagram-v2\n    [*] --> {first:?}\n");
    let mut drawn = Vec::new();
    for row in rows.clone() {
        let arrow = (row.from, row.to);
        if drawn.contains(&arrow) {
            continue;
        }
        drawn.push(arrow);
        let events: Vec<_> = rows
            .clone()
            .filter(|other| (other.from, other.to) == arrow)
            .map(|other| words(&format!("{:?}", other.event)))
            .collect();
        let _ = writeln!(text, "    {:?} --> {:?}: {}", row.from, row.to, events.join(", "));
    }
    if let Some((state, when)) = last {
        let _ = writeln!(text, "    {state:?} --> [*]: {when}");
    }
    text.push_str("```\n\n| state | event | next | what happens |\n|---|---|---|---|\n");
    for row in rows {
        let event = words(&format!("{:?}", row.event));
        let _ = writeln!(text, "| {:?} | {event} | {:?} | {} |", row.from, row.to, row.action);
    }
}

/// `LargeBlockAnnounced` as `large block announced`.
fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
