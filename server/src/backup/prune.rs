//! Deleting what no kept backup needs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::error::BackupError;
use super::key::to_hex;
use super::layout::{self, CHECKS, Check, OBJECTS, ObjectId};
use super::manifest::{FORMAT, LogEntry, Manifest, PruneEntry};
use super::progress::Progress;
use super::repository::Repository;
use super::retention::{Dated, Retention};

/// What a prune deleted, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Backups that stay, oldest first.
    pub kept: Vec<u64>,
    /// Backups that go.
    pub deleted: Vec<u64>,
    /// Objects that go, those of backups that were never finished included.
    pub objects: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes of the objects that stay.
    pub left: u64,
    /// Nothing was deleted.
    pub dry_run: bool,
}

/// Deletes the backups that `retention` does not keep, and the objects that no kept one needs.
///
/// It takes a number of the log first. A backup that runs meanwhile was to have that number, and loses; one that
/// begins later has objects of a larger number, which are left alone, and builds on the last backup, which stays.
///
/// # Errors
/// [`BackupError`]; when an entry cannot be read, what it needs is not known and nothing is deleted.
/// [`BackupError::Overtaken`] when a backup was finished meanwhile: run it again.
pub fn prune(
    repository: &Repository,
    retention: &Retention,
    dry_run: bool,
    now: u64,
    progress: &mut Progress,
) -> Result<PruneReport, BackupError> {
    let log = repository.log()?;
    let backups: Vec<Manifest> =
        repository.manifests(&log)?.into_iter().map(|found| found.entry).collect();
    // Earlier prunes, and what they did not keep.
    let counted: BTreeSet<u64> = backups.iter().map(|backup| backup.sequence).collect();
    let others: Vec<u64> = log.entries.difference(&counted).copied().collect();
    let dated: Vec<Dated> = backups
        .iter()
        .map(|backup| Dated { sequence: backup.sequence, taken: backup.taken })
        .collect();
    let kept = retention.kept(&dated);
    let is_kept = |sequence: &u64| kept.contains(sequence);
    let needed: BTreeSet<ObjectId> = backups
        .iter()
        .filter(|backup| is_kept(&backup.sequence))
        .flat_map(|backup| backup.parts().filter_map(super::manifest::Part::id))
        .collect();
    let sequence = log.next();
    let (mut objects, mut bytes, mut left) = (Vec::new(), 0, 0);
    for listed in repository.destination().list(OBJECTS)? {
        // What is not named as an object is somebody else's.
        let Some(id) = ObjectId::of_name(&listed.name) else { continue };
        if needed.contains(&id) || id.sequence > sequence {
            left += listed.len;
        } else {
            bytes += listed.len;
            objects.push(listed);
        }
    }
    let deleted: Vec<u64> =
        dated.iter().map(|backup| backup.sequence).filter(|it| !is_kept(it)).collect();
    let report = PruneReport {
        kept: kept.iter().copied().collect(),
        deleted,
        objects: objects.len() as u64,
        bytes,
        left,
        dry_run,
    };
    // The last prune stays, until another one says what it said.
    let nothing = report.deleted.is_empty() && objects.is_empty() && others.len() < 2;
    if dry_run || nothing {
        return Ok(report);
    }
    let mut id = [0; 8];
    getrandom::fill(&mut id)
        .map_err(|error| BackupError::io("random bytes")(std::io::Error::other(error)))?;
    let (id, kept) = (to_hex(&id), report.kept.clone());
    let entry = PruneEntry { format: FORMAT, sequence, id, at: now, kept };
    repository.commit(&LogEntry::Prune(entry))?;
    let destination = repository.destination();
    // Entries first: one that is there has all that it needs. A prune after what it did not keep, and the last at
    // the end: what it says holds as long as any of that is there.
    for sequence in report.deleted.iter().chain(&others) {
        destination.delete(&layout::sum_name(*sequence))?;
        destination.delete(&layout::entry_name(*sequence))?;
    }
    for sum in log.sums.iter().filter(|sum| !log.entries.contains(sum)) {
        destination.delete(&layout::sum_name(*sum))?;
    }
    progress.expect(bytes);
    for object in objects {
        destination.delete(&object.name)?;
        progress.did(object.len);
    }
    forget_old_checks(repository)?;
    destination.tidy()?;
    Ok(report)
}

/// Only the last of each kind is asked for.
fn forget_old_checks(repository: &Repository) -> Result<(), BackupError> {
    let listed = repository.destination().list(CHECKS)?;
    for check in [Check::Verified, Check::Drilled] {
        let time = |listed: &super::destination::Listed| check.time_of(&listed.name);
        let last = listed.iter().filter_map(time).max();
        for old in listed.iter().filter(|it| time(it).is_some() && time(it) < last) {
            repository.destination().delete(&old.name)?;
        }
    }
    Ok(())
}
