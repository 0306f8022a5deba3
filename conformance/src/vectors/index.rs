//! The index: which vectors show which section of the specifications.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Player, Protocol, Vector};

/// A section and, where no vector shows it, why.
type Section = (&'static str, &'static str);

/// The sections of memcached's `protocol.txt`, in its order.
const PROTOCOL_TXT: &[Section] = &[
    ("Protocol", ""),
    ("Keys", ""),
    ("Commands", "says how the other sections are to be read"),
    ("Meta Commands", "says how the other sections are to be read"),
    ("Expiration times", ""),
    ("Error strings", ""),
    ("Authentication", ""),
    ("Storage commands", ""),
    ("Retrieval command", ""),
    ("Deletion", ""),
    ("Increment/Decrement", ""),
    ("Touch", ""),
    ("Get And Touch", ""),
    ("Meta Debug", ""),
    ("Meta Get", ""),
    ("Meta Set", ""),
    ("Meta Delete", ""),
    ("Meta Arithmetic", ""),
    ("Meta No-Op", ""),
    ("Slabs Reassign", ""),
    ("Slabs Automove", ""),
    ("LRU Tuning", ""),
    ("LRU_Crawler", ""),
    ("Watchers", ""),
    ("Statistics", ""),
    ("General-purpose statistics", ""),
    ("Settings statistics", ""),
    ("Item statistics", ""),
    ("Item size statistics", ""),
    ("Slab statistics", ""),
    ("Connection statistics", ""),
    ("TLS statistics", "there is no TLS on this port; the form of statistics is shown above"),
    ("Other commands", ""),
    ("Security restrictions", ""),
    ("UDP protocol", "UDP is not spoken"),
];

/// The sections of kestrel's guide, in its order.
const GUIDE: &[Section] = &[
    ("Configuration", ""),
    ("Full queues", ""),
    ("The journal file", "docs/journal.md; `damage` and `kill` test it"),
    ("Item expiration", ""),
    ("Queue expiration", "core/tests/queue/fanout.rs; it takes seconds at least"),
    ("Fanout Queues", ""),
    ("Queue Aliases", ""),
    ("Thrift", "not spoken"),
    ("Memcache", ""),
    ("Reliable reads", ""),
    ("Text protocol", "not spoken"),
    ("Server Status", ""),
    ("ZooKeeper Server Sets", "not spoken"),
    ("Server stats", ""),
    ("Kestrel as a library", "not of the wire"),
];

const HEAD: &str = "\
# Index of the vectors

<!-- Drawn from conformance/vectors by conformance/tests/vectors.rs: run that test with
     WINDHOVER_BLESS=1 after a change. -->

Which vectors show which section of memcached's `protocol.txt` and of kestrel's guide. The numbers
are lines in the file named. The installed memcached checks every vector of its protocol that is true
of its version; `(s)` marks what the specification does not say and that server does.
";

/// The index as a page.
///
/// # Panics
/// When a vector names a section that there is not, or a section has neither a vector nor a reason.
#[track_caller]
pub fn index(vectors: &[Vector]) -> String {
    let mut page = String::from(HEAD);
    let mut files = BTreeMap::<&str, usize>::new();
    for vector in vectors {
        *files.entry(&vector.file).or_default() += 1;
    }
    let _ = writeln!(page, "\n| file | vectors |\n|---|---|");
    for (file, count) in &files {
        let _ = writeln!(page, "| [`{file}`](vectors/{file}.vectors) | {count} |");
    }
    let _ = writeln!(page, "| **all** | **{}** |", vectors.len());

    let _ = writeln!(page, "\n## Who plays them\n\n| player | vectors |\n|---|---|");
    for player in [Player::Codec, Player::Cache, Player::Memcached, Player::Queue] {
        let count = vectors.iter().filter(|vector| vector.is_for(player)).count();
        let _ = writeln!(page, "| {} | {count} |", player.name());
    }
    sections(&mut page, "protocol.txt", PROTOCOL_TXT, vectors);
    sections(&mut page, "kestrel's guide", GUIDE, vectors);
    limited(&mut page, vectors);
    page
}

fn sections(page: &mut String, document: &str, sections: &[Section], vectors: &[Vector]) {
    let _ = writeln!(page, "\n## {document}\n");
    let prefix = format!("{document}, ");
    let mut of_section = BTreeMap::<&str, Vec<&Vector>>::new();
    for vector in vectors {
        if let Some(section) = vector.source.strip_prefix(&prefix) {
            let known = sections.iter().any(|(name, _)| *name == section);
            assert!(known, "{vector}: {document} has no section `{section}`");
            of_section.entry(section).or_default().push(vector);
        } else {
            let other = ["protocol.txt, ", "kestrel's guide, "];
            let known = other.iter().any(|prefix| vector.source.starts_with(prefix));
            assert!(known, "{vector}: `{}` is no source", vector.source);
        }
    }
    for (section, reason) in sections {
        let found = of_section.get(section).map_or(&[][..], Vec::as_slice);
        if found.is_empty() {
            assert!(!reason.is_empty(), "no vector shows `{section}` of {document}");
            let _ = writeln!(page, "### {section}\n\nNone: {reason}.\n");
            continue;
        }
        let _ = writeln!(page, "### {section}\n");
        for vector in found {
            let seen = if vector.seen.is_some() { " (s)" } else { "" };
            let Vector { file, line, name, .. } = vector;
            let name = name.replace('|', "\\|");
            let _ = writeln!(page, "- `{file}` {line}: {name}{seen}");
        }
        page.push('\n');
    }
    page.pop();
}

/// What is not played by everybody, and why.
fn limited(page: &mut String, vectors: &[Vector]) {
    let _ = writeln!(
        page,
        "\n## Not played by everybody\n\n| vector | played by | reason |\n|---|---|---|"
    );
    for vector in vectors {
        let place = format!("`{}` {}", vector.file, vector.line);
        let players: Vec<&str> = vector
            .protocol
            .players()
            .iter()
            .filter(|&&player| vector.is_for(player))
            .map(|player| player.name())
            .collect();
        let players = players.join(", ");
        if let Some(versions) = &vector.versions {
            let _ = writeln!(page, "| {place} | {players} | true of memcached {versions} |");
        }
        if let Some((_, reason)) = &vector.only {
            let _ = writeln!(page, "| {place} | {players} | {reason} |");
        }
    }
    debug_assert!(Protocol::Kestrel.players().contains(&Player::Queue));
}
