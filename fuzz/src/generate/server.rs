//! What an operator writes into a configuration file, and what backups say of themselves.

use windhover_core::UnixTime;
use windhover_server::backup::Manifest;
use windhover_server::backup::manifest::{
    Cut, LogEntry, ManifestSegment, Parent, Part, PruneEntry, QueueCount,
};
use windhover_server::dead_letters::{DeadLetter, Origin};

use crate::Source;

/// Parts of a configuration file.
pub const CONFIG: &[&[u8]] = &[
    b"http",
    b"fsync",
    b"redirect-host",
    b"all_or_nothing",
    b"max-queue-bytes",
    b"max-queue-items",
    b"max-item-bytes",
    b"max-item-age",
    b"max-open-reads",
    b"open-timeout",
    b"max-queue-age",
    b"move-expired-to",
    b"fanout-only",
    b"discard-old",
    b"queue-name",
    b"rate",
    b"burst",
    b"[queues.q]\n",
    b"[queues.\"p+c\"]\n",
    b"[aliases]\n",
    b"[tokens.t]\n",
    b"[queues.dead-letters]\n",
    b" = ",
    b"\"interval=5\"",
    b"\"never\"",
    b"\"q\"",
    b"[\"q\", \"r\"]",
    b"true",
    b"0x10",
    b"1_000",
    b"0.5",
    b"1e9",
    b"-1",
    b"inf",
    b"nan",
    b"18446744073709551616",
    b"1979-05-27",
    b"{}",
    b"[]",
    b"#",
    b"\n",
    b"\\u0000",
    b"\"\"\"",
    b"\'",
];

const NAMES: [&str; 16] = [
    "http",
    "fsync",
    "redirect_host",
    "all-or-nothing",
    "max-queue-items",
    "max-queue-bytes",
    "max-item-age",
    "open-timeout",
    "move-expired-to",
    "fanout-only",
    "discard-old",
    "rate",
    "burst",
    "queue-name",
    "a",
    "typo",
];
const VALUES: [&str; 20] = [
    "true",
    "false",
    "0",
    "7",
    "0x10",
    "0.25",
    "-1",
    "1e300",
    "\"q\"",
    "\"never\"",
    "\"interval=5\"",
    "\"a\\nb\"",
    "'a\\b'",
    "[\"q\"]",
    "[\"q\", 7]",
    "[]",
    "{}",
    "1979-05-27",
    "\"127.0.0.1:1\"",
    "nan",
];

/// A configuration file, or something like one.
pub fn config(source: &mut Source<'_>) -> Vec<u8> {
    let mut file = String::new();
    for _ in 0..source.between(0, 4) {
        let heads =
            ["", "[queues.q]\n", "[queues.\"p+c\"]\n", "[aliases]\n", "[tokens.t]\n", "[other]\n"];
        file.push_str(source.pick(&heads));
        for _ in 0..source.between(0, 3) {
            file.push_str(&format!("{} = {}\n", source.pick(&NAMES), source.pick(&VALUES)));
        }
    }
    file.into_bytes()
}

/// Parts of an entry.
pub const MANIFEST: &[&[u8]] = &[
    b"{\"backup\":",
    b"{\"prune\":",
    b"\"format\":1",
    b"\"sequence\":3",
    b"\"parent\":null",
    b"\"segments\":[]",
    b"\"parts\":[]",
    b"\"end\":",
    b"\"object\":",
    b"\"cut\":",
    b"\"oldest\":",
    b"\"previous_end\":",
    b"\"kept\":[1]",
    b"18446744073709551615",
    b"0",
    b"-3",
    b"..",
    b"/",
    b"null",
    b",",
    b"}",
    b"]",
];

/// An entry, most of them as they should be.
pub fn manifest(source: &mut Source<'_>) -> Vec<u8> {
    let sequence = source.between(1, 4) as u64;
    if source.chance(1, 4) {
        let kept = (0..source.below(3) as u64).collect();
        let (id, at) = ("x".to_owned(), 1);
        return LogEntry::Prune(PruneEntry { format: 1, sequence, id, at, kept }).encode();
    }
    let mut manifest = Manifest::new(sequence, "id".to_owned(), 5);
    if source.chance(1, 2) {
        let sequence = sequence.saturating_sub(source.pick(&[1, 1, 0]));
        manifest.parent = Some(Parent { sequence, sha256: "00".to_owned() });
    }
    let (mut previous, mut previous_end) = (0, 0);
    for number in 1..=source.below(3) as u64 {
        let number = number + u64::from(source.chance(1, 6));
        let mut end = 0;
        let mut parts = Vec::new();
        for _ in 0..source.pick(&[1, 2, 1, 0]) {
            end += source.pick(&[100, 64, u64::MAX / 2, 1, 0]);
            let object = format!("{}-{}", source.pick(&["0f", "..", "0F"]).repeat(32), sequence);
            parts.push(Part { end, object, stored: source.pick(&[10, u64::MAX]), records: 1 });
        }
        manifest.segments.push(ManifestSegment {
            number,
            salt: 7,
            previous,
            previous_end,
            created: 9,
            parts,
        });
        (previous, previous_end) = (number, end);
    }
    manifest.cut = Cut { segment: previous, offset: previous_end + u64::from(source.chance(1, 8)) };
    if source.chance(1, 2) {
        let items = source.pick(&[3, u64::MAX]);
        manifest.queues = Some(vec![QueueCount { name: "events".to_owned(), items }; 2]);
    }
    LogEntry::Backup(manifest).encode()
}

/// Parts of a dead letter.
pub const DEAD_LETTER: &[&[u8]] = &[
    b"{\"time\":1",
    b",\"reason\":\"r\"",
    b",\"reason\":\"\"",
    b",\"detail\":\"\\n\"",
    b",\"origin\":\"queue:q\"",
    b",\"origin\":\"/track?verbose=1\"",
    b",\"origin\":\"/a b\"",
    b",\"token\":7",
    b",\"token\":\"\"",
    b",\"content_type\":\"a\\r\\nb: c\"",
    b",\"content_encoding\":\"gzip\"",
    b",\"other\":[null]",
    b"}\n",
    b"\n",
    b"\\u007f",
    b"\xc3\xa9",
];

/// A dead letter, most of them as they should be.
pub fn dead_letter(source: &mut Source<'_>) -> Vec<u8> {
    let mut text =
        || source.pick(&["a", "", "gzip", "\u{e9}", "a\r\nb: c", "\"\\", "\u{7f}"]).to_owned();
    let [reason, detail, token, content_type, content_encoding] =
        [text(), text(), text(), text(), text()];
    let origin = match source.below(3) {
        0 => Origin::Queue(source.pick(&["q", "", "a b"]).to_owned()),
        _ => Origin::Path(
            source.pick(&["/track", "/import?strict=1", "/a b", "/\n", "a", "/\u{e9}"]).to_owned(),
        ),
    };
    let time = UnixTime::from_millis(source.edgy());
    let [token, content_type, content_encoding] =
        [token, content_type, content_encoding].map(|text| source.chance(1, 2).then_some(text));
    let bytes = source.bytes(8).to_vec().into();
    let letter =
        DeadLetter { reason, detail, origin, token, time, content_type, content_encoding, bytes };
    let mut item = Vec::new();
    letter.write(&mut item);
    item
}
