//! What reads a backup beside a prune that takes it away: there is no such backup any more, and nothing is damaged.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use windhover_server::backup::layout::{ObjectId, entry_name};
use windhover_server::backup::manifest::{Cut, LogEntry, Manifest, ManifestSegment, Part};
use windhover_server::backup::retention::Retention;
use windhover_server::backup::{
    BackupError, Codec, Destination, DestinationError, DirectoryDestination, Fault, Listed,
    Progress, PutResult, Repository, RestoreOptions, VerifyReport, Which, drill, prune, restore,
    verify,
};

/// A destination of which somebody else has the turn, once, right before a certain call.
struct Interrupted {
    destination: DirectoryDestination,
    before: String,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted before {}", self.before)
    }
}

impl Interrupted {
    fn called(&self, call: &str) {
        if call.starts_with(&self.before)
            && let Some(meanwhile) = self.meanwhile.lock().unwrap().take()
        {
            meanwhile();
        }
    }
}

impl Destination for Interrupted {
    fn list(&self, prefix: &str) -> Result<Vec<Listed>, DestinationError> {
        self.called(&format!("list {prefix}"));
        self.destination.list(prefix)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DestinationError> {
        self.called(&format!("get {name}"));
        self.destination.get(name)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutResult, DestinationError> {
        self.destination.put_if_absent(name, bytes)
    }

    fn delete(&self, name: &str) -> Result<(), DestinationError> {
        self.destination.delete(name)
    }
}

/// A destination with backups 1 and 2, each of an object of its own.
struct Place {
    root: PathBuf,
    objects: Vec<ObjectId>,
}

impl Place {
    fn new(purpose: &str) -> Self {
        let name = format!("windhover-pruned-{purpose}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        let repository = open(&root);
        let objects = [1, 2].map(|sequence| {
            // A header, which nobody looks into, and no record.
            let content = [u8::try_from(sequence).unwrap(); 64];
            let (id, stored, _) = repository.put_object(&content, sequence).unwrap();
            let manifest = manifest(sequence, id.to_string(), stored);
            repository.commit(&LogEntry::Backup(manifest)).unwrap();
            id
        });
        Self { root, objects: objects.to_vec() }
    }

    /// The same, with that done before that call.
    fn interrupted(
        &self,
        before: &str,
        meanwhile: impl FnOnce(&Path) + Send + 'static,
    ) -> Repository {
        let root = self.root.clone();
        let destination = Interrupted {
            destination: DirectoryDestination::new(&root, Arc::default()),
            before: before.to_owned(),
            meanwhile: Mutex::new(Some(Box::new(move || meanwhile(&root)))),
        };
        Repository::new(Box::new(destination), Codec::default())
    }

    fn restore(&self, repository: &Repository) -> BackupError {
        let options = RestoreOptions { which: Which::Number(1), queue: None };
        let data = self.root.join("restored");
        restore(repository, &data, &options, &mut Progress::silent()).unwrap_err()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn open(root: &Path) -> Repository {
    let destination = DirectoryDestination::new(root, Arc::default());
    Repository::new(Box::new(destination), Codec::default())
}

fn manifest(sequence: u64, object: String, stored: u64) -> Manifest {
    let parts = vec![Part { end: 64, object, stored, records: 0 }];
    let segment =
        ManifestSegment { number: 1, salt: 7, previous: 0, previous_end: 0, created: 9, parts };
    Manifest {
        cut: Cut { segment: 1, offset: 64 },
        segments: vec![segment],
        ..Manifest::new(sequence, format!("id of {sequence}"), sequence)
    }
}

/// Keeps backup 2 alone.
fn pruned(root: &Path) {
    let retention = Retention { last: 1, ..Retention::default() };
    let report = prune(&open(root), &retention, false, 0, &mut Progress::silent()).unwrap();
    assert_eq!((report.kept, report.deleted), (vec![2], vec![1]));
}

/// The same, and a late backup puts itself under the number that it had looked up long before.
fn pruned_and_taken_again(root: &Path) {
    let entry = root.join(entry_name(1));
    let late = fs::read(&entry).unwrap();
    pruned(root);
    fs::write(&entry, late).unwrap();
}

#[track_caller]
fn assert_is_gone(error: &BackupError) {
    let told = error.to_string();
    assert_eq!(
        (error.exit_code(), &*told),
        (10, "there is no backup 1 any more at the destination")
    );
}

fn verified(repository: &Repository, only: Option<u64>) -> Result<VerifyReport, BackupError> {
    verify(repository, only, 100.0, &mut Progress::silent())
}

#[test]
fn a_restore_whose_backup_is_pruned_meanwhile_finds_no_backup() {
    for before in ["get log/0000000001", "get objects/"] {
        for meanwhile in [pruned, pruned_and_taken_again] {
            let place = Place::new("restore");

            let error = place.restore(&place.interrupted(before, meanwhile));

            assert_is_gone(&error);
        }
    }
}

#[test]
fn a_drill_whose_backup_is_pruned_meanwhile_finds_no_backup() {
    let place = Place::new("drill");
    let repository = place.interrupted("get objects/", pruned);

    let error = drill(&repository, &place.root, Which::Number(1), &mut Progress::silent());

    assert_is_gone(&error.unwrap_err());
}

#[test]
fn an_object_that_vanishes_from_a_backup_that_stays_is_damage() {
    let place = Place::new("damage");
    let name = place.objects[0].name();
    let removed = name.clone();
    let repository =
        place.interrupted("get objects/", move |root| fs::remove_file(root.join(removed)).unwrap());

    let error = place.restore(&repository);

    assert_eq!(
        (error.exit_code(), error.to_string()),
        (3, format!("{name} is not at the destination"))
    );
    let report = verified(&open(&place.root), None).unwrap();
    let object = place.objects[0].to_string();
    assert_eq!(report.faults, [Fault::ObjectLost { object, backups: vec![1] }]);
    assert_eq!(report.backups, [1, 2]);
}

#[test]
fn an_object_that_vanishes_is_damage_where_the_log_is_damaged_too() {
    let place = Place::new("log");
    let name = place.objects[0].name();
    let repository = place.interrupted("get objects/", |root| {
        fs::write(root.join(entry_name(2)), "no entry").unwrap();
        let objects = fs::read_dir(root.join("objects")).unwrap();
        objects.for_each(|folder| fs::remove_dir_all(folder.unwrap().path()).unwrap());
    });

    let error = place.restore(&repository);

    assert_eq!(
        (error.exit_code(), error.to_string()),
        (3, format!("{name} is not at the destination"))
    );
}

#[test]
fn what_is_pruned_while_it_is_verified_is_left_out() {
    for before in ["list objects/", "get objects/"] {
        for meanwhile in [pruned, pruned_and_taken_again] {
            let place = Place::new("verify");

            let report = verified(&place.interrupted(before, meanwhile), None).unwrap();

            assert_eq!((report.backups, report.faults), (vec![2], vec![]), "{before}");
        }
    }
}

#[test]
fn the_verification_of_a_backup_that_is_pruned_meanwhile_finds_no_backup() {
    for before in ["list objects/", "get objects/"] {
        let place = Place::new("verify-one");

        let error = verified(&place.interrupted(before, pruned), Some(1)).unwrap_err();

        assert_is_gone(&error);
    }
}
