//! Backups of a journal that is being written: what is restored is what was acknowledged up to the cut and not
//! confirmed before it, whoever is killed meanwhile; and everything that is wrong at the destination is found.
//!
//! `WINDHOVER_BACKUP_CUTS` says how many cuts are made (200 to be sure; some by default).
#![allow(clippy::panic, clippy::expect_used)]

mod bucket;
mod continuous;
mod cuts;
mod directory;
mod latency;
mod store;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::Value;
use windhover_conformance::{Outcome, Random, Server, Setup, TempDir, binary, full_binary, run};

const BOUND: Duration = Duration::from_secs(120);

const GOOD: i32 = 0;
const DAMAGED: i32 = 3;
const NOT_EMPTY: i32 = 4;
const OVERTAKEN: i32 = 5;
const OTHER_JOURNAL: i32 = 7;
const NO_BACKUP: i32 = 10;
const FAILED: i32 = 11;
const NO_KEY: i32 = 12;

/// A data directory, and where its backups go.
struct Place {
    directory: TempDir,
    key: Option<PathBuf>,
    /// Where the backups go, when that is no directory, and the variables that its store needs.
    bucket: Option<(String, Vec<(&'static str, String)>)>,
}

impl Place {
    fn new(purpose: &str) -> Self {
        Self { directory: TempDir::new(purpose), key: None, bucket: None }
    }

    fn with_key(mut self) -> Self {
        let path = self.path("key");
        fs::write(&path, format!("{}\n", "0f".repeat(32))).expect("a key");
        self.key = Some(path);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn to(&self) -> PathBuf {
        self.path("backups")
    }

    /// `windhover backup` with that, and the destination.
    fn command(&self, words: &[&str]) -> Command {
        let program = if self.bucket.is_some() { full_binary() } else { binary() };
        let mut command = Command::new(program);
        command.arg("backup").args(words);
        let to = self.bucket.as_ref().map_or_else(|| self.to(), |(to, _)| to.into());
        match words {
            [first, ..] if !first.starts_with('-') => command.arg("--from").arg(to),
            _ => command.arg("--data").arg(self.data()).arg("--to").arg(to),
        };
        for (name, value) in self.bucket.iter().flat_map(|(_, variables)| variables) {
            command.env(name, value);
        }
        command.arg("--json").arg("--quiet");
        if let Some(key) = &self.key {
            command.arg("--key-file").arg(key);
        }
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Outcome {
        run(&mut self.command(words), BOUND)
    }

    /// What it tells, when it succeeds.
    #[track_caller]
    fn told(&self, words: &[&str]) -> Value {
        let outcome = self.run(words);
        outcome.expect_code(GOOD);
        serde_json::from_str(&outcome.stdout).expect("JSON")
    }

    #[track_caller]
    fn backup(&self) -> Value {
        self.told(&[])
    }

    /// Restores into a new directory.
    #[track_caller]
    fn restore(&self, name: &str, words: &[&str]) -> Setup {
        let data = self.path(name);
        let path = data.to_str().expect("a path in UTF-8").to_owned();
        self.told(&[&["restore", "--data", &path], words].concat());
        Setup::new(data)
    }

    /// The files at the destination below that folder.
    fn stored(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.to().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }

    fn entry(&self, sequence: u64) -> PathBuf {
        self.to().join(format!("log/{sequence:010}.json.zst"))
    }
}

fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {told}"))
}

/// Bytes that do not compress.
fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| random.number().to_le_bytes()).flatten().take(len).collect()
}

fn fill(server: &Server, queue: &str, items: usize, len: usize) {
    let mut random = Random::new(items as u64);
    let mut client = server.queue_client();
    for _ in 0..items {
        let stored = client.set(queue, &noise(&mut random, len)).expect("an answer");
        assert_eq!(stored, "STORED");
    }
}

#[track_caller]
fn drained(setup: &Setup, queue: &str) -> Vec<Vec<u8>> {
    let server = setup.start();
    let items = server.queue_client().drain(queue).expect("the queue gives its items");
    server.stop();
    items
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Begins a backup.
fn spawn(place: &Place) -> Child {
    let mut command = place.command(&[]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs")
}
