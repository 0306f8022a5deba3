//! The entries of a backup's log, as they are read back from a directory or a bucket.

use serde_json::Value;
use windhover_server::backup::Manifest;
use windhover_server::backup::layout::ObjectId;
use windhover_server::backup::manifest::{FORMAT, LogEntry, ManifestError};

/// An entry is refused with a reason; or it is of this format and number, what it says fits together, and it is
/// written again as it was read.
pub fn backup_manifest(input: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(input).ok();
    let says = value.as_ref().and_then(|value| {
        let entry = value.as_object()?.values().next()?;
        entry.get("sequence")?.as_u64()
    });
    let sequence = says.unwrap_or(7);
    let decoded = LogEntry::decode(input, sequence);
    let entry = match decoded {
        Ok(entry) => entry,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let is_json = matches!(error, ManifestError::Json(_));
            assert!(value.is_some() || is_json, "{error}");
            return;
        }
    };
    assert_eq!(says, Some(sequence));
    let wrong = LogEntry::decode(input, sequence.wrapping_add(1));
    assert_eq!(wrong, Err(ManifestError::Sequence { says: sequence }));
    assert_eq!(LogEntry::decode(&entry.encode(), sequence), Ok(entry.clone()));
    match &entry {
        LogEntry::Backup(manifest) => fits_together(manifest),
        LogEntry::Prune(prune) => {
            assert_eq!(prune.format, FORMAT);
            assert!(prune.kept.iter().all(|kept| *kept < sequence));
        }
    }
}

fn fits_together(manifest: &Manifest) {
    assert_eq!(manifest.format, FORMAT);
    assert!(manifest.parent.as_ref().is_none_or(|parent| parent.sequence < manifest.sequence));
    let mut before = (0, 0);
    for (n, segment) in manifest.segments.iter().enumerate() {
        let follows = (segment.previous, segment.previous_end) == before;
        assert!(if n == 0 { segment.previous < manifest.oldest } else { follows }, "{n}");
        assert!(segment.number > before.0 && segment.number >= manifest.oldest);
        let mut end = 0;
        for (start, part) in segment.stretches() {
            assert!(start == end && part.end > start, "a stretch of nothing");
            end = part.end;
            let id = part.id().expect("an object that can be");
            assert_eq!(ObjectId::of_name(&id.name()), Some(id.clone()));
            let name = id.name();
            assert!(name.starts_with("objects/") && !name.contains(".."), "{name}");
            assert!(id.sequence <= manifest.sequence);
        }
        before = (segment.number, end);
    }
    let cut = (manifest.cut.segment, manifest.cut.offset);
    assert!(before == cut || manifest.segments.is_empty() && cut.0 < manifest.oldest);
    // None of these may overflow, whoever wrote the numbers.
    let most = manifest.parts().map(|part| part.records).max().unwrap_or(0);
    assert!(manifest.records() >= most && manifest.bytes() >= cut.1.min(manifest.bytes()));
    let _ = (manifest.stored(), manifest.items());
}
