//! Whether everything that backups need is at the destination, as it was stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::destination::DestinationError;
use super::error::BackupError;
use super::layout::{Check, OBJECTS, ObjectId, entry_name};
use super::manifest::{LogEntry, Manifest, Part};
use super::progress::Progress;
use super::repository::{LogNames, Repository, is_of_key};
use crate::journal::count_records;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Fault {
    /// An entry of the log is not there.
    EntryLost {
        /// Its number.
        sequence: u64,
    },
    /// An entry of the log is not what it was.
    EntryDamaged {
        /// Its number.
        sequence: u64,
        /// What is wrong.
        what: String,
    },
    /// An object is not there.
    ObjectLost {
        /// The object.
        object: String,
        /// The backups that need it.
        backups: Vec<u64>,
    },
    /// An object is not what it was.
    ObjectDamaged {
        /// The object.
        object: String,
        /// The backups that need it.
        backups: Vec<u64>,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |backups: &[u64]| {
            let numbers: Vec<String> = backups.iter().map(u64::to_string).collect();
            numbers.join(", ")
        };
        match self {
            Self::EntryLost { sequence } => write!(f, "{} is lost", entry_name(*sequence)),
            Self::EntryDamaged { sequence, what } => {
                write!(f, "{} is damaged: {what}", entry_name(*sequence))
            }
            Self::ObjectLost { object, backups } => {
                write!(f, "object {object} is lost; needed by backup {}", list(backups))
            }
            Self::ObjectDamaged { object, backups, what } => {
                write!(f, "object {object} is damaged: {what}; needed by backup {}", list(backups))
            }
        }
    }
}

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The backups, oldest first.
    pub backups: Vec<u64>,
    /// Objects that they need.
    pub objects: u64,
    /// Of these, the ones that were read back.
    pub read: u64,
    /// Bytes that were read back, as stored.
    pub read_bytes: u64,
    /// What is wrong; empty when all is well.
    pub faults: Vec<Fault>,
}

/// A part that some backups need.
struct Needed {
    part: Part,
    /// Where the part begins, and the salt of its segment.
    start: u64,
    salt: u32,
    backups: Vec<u64>,
}

/// Looks whether the log is whole and every object is there and as long as it should be, and reads `sample` percent
/// of the objects back. Of one backup, or of all but what is pruned meanwhile.
///
/// # Errors
/// [`BackupError`] when the destination fails or the key is wrong, and [`BackupError::NoBackup`] when there is none, or
/// none any more; what is damaged is found, not failed with.
pub fn verify(
    repository: &Repository,
    only: Option<u64>,
    sample: f64,
    progress: &mut Progress,
) -> Result<VerifyReport, BackupError> {
    // First: what a backup puts meanwhile is no fault.
    let log = repository.log()?;
    let mut faults = Vec::new();
    let manifests = read_log(repository, &log, &mut faults)?;
    faults.retain(|fault| match (only, fault) {
        (Some(only), Fault::EntryLost { sequence } | Fault::EntryDamaged { sequence, .. }) => {
            *sequence == only
        }
        _ => true,
    });
    let manifests: Vec<Manifest> = manifests
        .into_iter()
        .filter(|manifest| only.is_none_or(|only| only == manifest.sequence))
        .collect();
    let missing = |since: &str| {
        let wanted = only.map_or("backup".to_owned(), |only| format!("backup {only}"));
        BackupError::NoBackup { wanted: wanted + since }
    };
    if manifests.is_empty() && faults.is_empty() {
        return Err(missing(""));
    }
    let needed = needed(&manifests);
    let there: BTreeMap<String, u64> = repository
        .destination()
        .list(OBJECTS)?
        .into_iter()
        .map(|listed| (listed.name, listed.len))
        .collect();
    let mut report = VerifyReport {
        backups: manifests.iter().map(|manifest| manifest.sequence).collect(),
        objects: needed.len() as u64,
        read: 0,
        read_bytes: 0,
        faults,
    };
    let sampled = sampled(needed.len(), sample)?;
    let chosen = needed.values().enumerate().filter(|(at, _)| sampled.contains(at));
    progress.expect(chosen.map(|(_, needed)| needed.part.stored).sum());
    for (at, (id, needed)) in needed.iter().enumerate() {
        let fault = match there.get(&id.name()) {
            None => Some(lost(id, needed)),
            Some(len) if *len != needed.part.stored => {
                let what =
                    format!("it has {len} bytes, and was stored with {}", needed.part.stored);
                Some(damaged(id, needed, what))
            }
            Some(_) if sampled.contains(&at) => {
                report.read += 1;
                report.read_bytes += needed.part.stored;
                progress.did(needed.part.stored);
                read_back(repository, id, needed)?
            }
            Some(_) => None,
        };
        report.faults.extend(fault);
    }
    leave_out_pruned(repository, &mut report)?;
    if report.backups.is_empty() && report.faults.is_empty() {
        return Err(missing(" any more"));
    }
    Ok(report)
}

/// Notes that what was read back was good, when all that was.
///
/// # Errors
/// [`BackupError::Destination`].
pub(super) fn note(
    repository: &Repository,
    report: &VerifyReport,
    now: u64,
) -> Result<(), BackupError> {
    match report.backups.last().filter(|_| report.faults.is_empty()) {
        Some(last) => repository.note(Check::Verified, *last, now),
        None => Ok(()),
    }
}

fn read_log(
    repository: &Repository,
    log: &LogNames,
    faults: &mut Vec<Fault>,
) -> Result<Vec<Manifest>, BackupError> {
    let mut manifests = Vec::new();
    let mut kept: Option<(u64, BTreeSet<u64>)> = None;
    for &sequence in &log.entries {
        let sum = repository.sum(sequence)?;
        match repository.entry(sequence) {
            Ok(found) if sum.as_ref().is_some_and(|sum| *sum != found.sha256) => {
                let what = "it is not what its checksum says".to_owned();
                faults.push(Fault::EntryDamaged { sequence, what });
            }
            Ok(found) => match found.entry {
                LogEntry::Backup(manifest) => manifests.push(manifest),
                LogEntry::Prune(prune) => {
                    kept = Some((sequence, prune.kept.into_iter().collect()));
                }
            },
            // Pruned since the log was listed, or lost: the newest list tells.
            Err(BackupError::Destination(DestinationError::NotFound { .. })) => {}
            Err(error) if is_of_key(&error) || error.exit_code() != 3 => return Err(error),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let what = source.unwrap_or_else(|| error.to_string());
                faults.push(Fault::EntryDamaged { sequence, what });
            }
        }
    }
    // What a prune did not keep may be gone, and what it kept must be there; behind it all that has a checksum.
    let (pruned, kept) = kept.unwrap_or_default();
    let later = log.sums.iter().copied().filter(|sequence| *sequence > pruned);
    let expected = kept.iter().copied().chain(later);
    let now = repository.log()?;
    let missing = expected.filter(|sequence| !log.entries.contains(sequence));
    // A prune may have begun meanwhile.
    let missing = missing.filter(|_| now.next() == log.next());
    faults.extend(missing.map(|sequence| Fault::EntryLost { sequence }));
    // Left to a prune that was interrupted.
    manifests.retain(|manifest| manifest.sequence > pruned || kept.contains(&manifest.sequence));
    Ok(manifests)
}

fn needed(manifests: &[Manifest]) -> BTreeMap<ObjectId, Needed> {
    let mut all: BTreeMap<ObjectId, Needed> = BTreeMap::new();
    for manifest in manifests {
        for segment in &manifest.segments {
            for (start, part) in segment.stretches() {
                let Some(id) = part.id() else { continue };
                let needed = all.entry(id).or_insert_with(|| Needed {
                    part: part.clone(),
                    start,
                    salt: segment.salt,
                    backups: Vec::new(),
                });
                needed.backups.push(manifest.sequence);
            }
        }
    }
    all
}

/// Which of so many are read back: as many percent, at random, one at least.
fn sampled(count: usize, percent: f64) -> Result<BTreeSet<usize>, BackupError> {
    if percent >= 100.0 {
        return Ok((0..count).collect());
    }
    let mut numbered: Vec<(u64, usize)> = Vec::with_capacity(count);
    for at in 0..count {
        let random = getrandom::u64().map_err(std::io::Error::other);
        numbered.push((random.map_err(BackupError::io("random bytes"))?, at));
    }
    numbered.sort_unstable();
    // A count of objects is far below what this cannot say exactly.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let wanted = (count as f64 * percent / 100.0).ceil() as usize;
    Ok(numbered.into_iter().take(wanted.max(1)).map(|(_, at)| at).collect())
}

/// Leaves out what was pruned meanwhile: backups that lack an object, and the objects that no others need.
fn leave_out_pruned(repository: &Repository, report: &mut VerifyReport) -> Result<(), BackupError> {
    let mut lacking = BTreeSet::new();
    for fault in &report.faults {
        if let Fault::ObjectLost { backups, .. } = fault {
            lacking.extend(backups);
        }
    }
    let mut pruned = BTreeSet::new();
    for sequence in lacking {
        if repository.is_pruned(sequence)? {
            pruned.insert(sequence);
        }
    }
    report.backups.retain(|sequence| !pruned.contains(sequence));
    report.faults.retain_mut(|fault| match fault {
        Fault::ObjectLost { backups, .. } => {
            backups.retain(|sequence| !pruned.contains(sequence));
            !backups.is_empty()
        }
        _ => true,
    });
    Ok(())
}

fn lost(id: &ObjectId, needed: &Needed) -> Fault {
    Fault::ObjectLost { object: id.to_string(), backups: needed.backups.clone() }
}

fn damaged(id: &ObjectId, needed: &Needed, what: String) -> Fault {
    Fault::ObjectDamaged { object: id.to_string(), backups: needed.backups.clone(), what }
}

fn read_back(
    repository: &Repository,
    id: &ObjectId,
    needed: &Needed,
) -> Result<Option<Fault>, BackupError> {
    let Needed { part, start, salt, .. } = needed;
    let content = match repository.content(part, part.end - start) {
        Ok(content) => content,
        Err(BackupError::Destination(DestinationError::NotFound { .. })) => {
            return Ok(Some(lost(id, needed)));
        }
        Err(error) if is_of_key(&error) || error.exit_code() != 3 => return Err(error),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let what = source.unwrap_or_else(|| "its content is not what its name says".to_owned());
            return Ok(Some(damaged(id, needed, what)));
        }
    };
    let records = count_records(&content, *salt, *start);
    Ok((records != Ok(part.records))
        .then(|| damaged(id, needed, "its records are not those of the journal".to_owned())))
}
