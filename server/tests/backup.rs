//! What a destination says of backups, read by the million and from whatever bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use windhover_server::backup::manifest::{
    Cut, LogEntry, Manifest, ManifestSegment, Parent, Part, PruneEntry, QueueCount,
};
use windhover_server::backup::{Codec, DirectoryDestination, Repository, layout::ObjectId};

/// A manifest of segments with so many parts each.
fn manifest(sequence: u64, first: u64, parts: &[u64], text: &str) -> Manifest {
    let mut segments: Vec<ManifestSegment> = Vec::new();
    for (number, count) in (first..).zip(parts) {
        let (previous, previous_end) =
            segments.last().map_or((first - 1, 9), |last| (last.number, last.end()));
        let part = |n: u64| {
            let hash = format!("{number:032x}{n:032x}");
            let object = ObjectId { hash, sequence: sequence.min(number) }.to_string();
            Part { end: 64 + 1000 * (n + 1), object, stored: 5, records: n }
        };
        let parts = (0..*count).map(part).collect();
        segments.push(ManifestSegment {
            number,
            salt: 7,
            previous,
            previous_end,
            created: 9,
            parts,
        });
    }
    let end = segments.last().map_or((0, 0), |last| (last.number, last.end()));
    Manifest {
        parent: (sequence > 1).then(|| Parent { sequence: sequence - 1, sha256: text.to_owned() }),
        oldest: first,
        cut: Cut { segment: end.0, offset: end.1 },
        segments,
        queues: Some(vec![QueueCount { name: text.to_owned(), items: sequence }]),
        ..Manifest::new(sequence, text.to_owned(), sequence * 3_600_000)
    }
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let parts = prop::collection::vec(1..4_u64, 0..6);
    (1..1000_u64, 1..1000_u64, parts, any::<String>())
        .prop_map(|(sequence, first, parts, text)| manifest(sequence, first, &parts, &text))
}

proptest! {
    #[test]
    fn what_is_written_is_read(manifest in manifests(), kept in prop::collection::vec(0..9_u64, 0..5)) {
        let sequence = manifest.sequence;
        let entry = LogEntry::Backup(manifest);
        prop_assert_eq!(LogEntry::decode(&entry.encode(), sequence), Ok(entry.clone()));
        prop_assert!(LogEntry::decode(&entry.encode(), sequence + 1).is_err());
        let prune = PruneEntry { format: 1, sequence: 9, id: String::new(), at: 1, kept };
        let prune = LogEntry::Prune(prune);
        prop_assert_eq!(LogEntry::decode(&prune.encode(), 9), Ok(prune));
    }

    /// Any bytes are read or refused; what is read means what it says, and is written as something that means the same.
    #[test]
    fn whatever_is_read_makes_sense(
        manifest in manifests(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
    ) {
        let sequence = manifest.sequence;
        let mut json = LogEntry::Backup(manifest).encode();
        for (at, byte, how) in changes {
            let at = at.index(json.len().max(1));
            match how {
                0 if at < json.len() => json[at] = byte,
                // A digit for another keeps it JSON.
                1 => if let Some(digit) = json[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                    *digit = b'0' + byte % 10;
                },
                _ => drop(json.drain(at..json.len().min(at + usize::from(byte % 8)))),
            }
        }
        if let Ok(entry) = LogEntry::decode(&json, sequence) {
            prop_assert_eq!(LogEntry::decode(&entry.encode(), sequence), Ok(entry.clone()));
            if let LogEntry::Backup(manifest) = entry {
                for part in manifest.parts() {
                    let name = part.id().unwrap().name();
                    prop_assert!(name.starts_with("objects/") && !name.contains(".."));
                }
                for segment in &manifest.segments {
                    prop_assert!(segment.stretches().all(|(start, part)| start < part.end));
                }
                let _ = (manifest.bytes(), manifest.items());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(LogEntry::decode(&bytes, 1).is_err());
        prop_assert!(Codec::default().decode("name", bytes, Some(7)).is_err());
    }
}

fn windhover() -> PathBuf {
    std::env::var_os("WINDHOVER_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_windhover").into(), PathBuf::from)
}

fn timed(root: &Path, words: &[&str]) -> (Duration, String) {
    let mut command = Command::new(windhover());
    command.args(["backup", words[0], "--json", "--from"]).arg(root).args(&words[1..]);
    let begun = Instant::now();
    let output = command.output().unwrap();
    let took = begun.elapsed();
    assert!(output.status.success(), "{output:?}");
    (took, String::from_utf8(output.stdout).unwrap())
}

/// Ten backups of a journal of 10,000 segments, each with some of its own.
#[test]
fn ten_thousand_segments_are_listed_and_pruned_soon() {
    let root = std::env::temp_dir().join(format!("windhover-segments-{}", std::process::id()));
    let destination = DirectoryDestination::new(&root, Arc::default());
    let repository = Repository::new(Box::new(destination), Codec::default());
    for sequence in 1..=10 {
        let manifest = manifest(sequence, sequence * 100, &vec![1; 10_000], "events");
        for part in manifest.parts() {
            let path = root.join(part.id().unwrap().name());
            if !path.exists() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "bytes").unwrap();
            }
        }
        repository.commit(&LogEntry::Backup(manifest)).unwrap();
    }
    let (list, listed) = timed(&root, &["list"]);
    assert_eq!(listed.matches("\"segments\":10000").count(), 10);
    let (prune, pruned) = timed(&root, &["prune", "--dry-run", "--keep-last", "3"]);
    assert!(pruned.contains("\"kept\":[8,9,10]"), "{pruned}");
    eprintln!("    10 backups of 10,000 segments: list {list:.2?}, prune --dry-run {prune:.2?}");
    // A loose bound, of a machine that does much else; the figure is five seconds for each.
    assert!(list.max(prune) < Duration::from_secs(60));
    fs::remove_dir_all(&root).unwrap();
}
