//! Queues that are larger than memory: a gigabyte goes through 64 MiB of it, and 512 MiB of the disk. With
//! `WINDHOVER_LARGE=20` it is so many gigabytes, through 256 MiB and 3 GB.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{Runtime, Setup, TempDir, memory, on_each_runtime, report};

const ITEM: usize = 16 * 1024;
const GIB: u64 = 1 << 30;
/// What puts on their way to the journal may take, and the server itself.
const BESIDE: u64 = 96 << 20;

/// How much goes through, how much memory there is for items, and how much of the disk.
fn sizes() -> (u64, u64, u64) {
    match std::env::var("WINDHOVER_LARGE") {
        Ok(gibibytes) => {
            (gibibytes.parse::<u64>().expect("a number") * GIB, 256 << 20, 3_000_000_000)
        }
        Err(_) => (GIB, 64 << 20, 512 << 20),
    }
}

/// The start of an item tells which one it is.
fn item(number: u64) -> Vec<u8> {
    let mut item = number.to_le_bytes().repeat(ITEM / 8);
    item[ITEM / 2..].fill(b'.');
    item
}

fn disk(data: &Path) -> u64 {
    let files = fs::read_dir(data.join("journal")).expect("the journal is there").flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

fn a_gigabyte_goes_through_little_memory(runtime: Runtime) {
    let (bytes, queue_memory, journal) = sizes();
    let items = bytes / ITEM as u64;
    let directory = TempDir::new("larger_than_memory");
    let data = directory.path().join("data");
    let setup = Setup::new(&data)
        .runtime(runtime)
        .flag("--fsync", "never")
        .flag("--queue-memory", &queue_memory.to_string())
        .flag("--max-journal-bytes", &journal.to_string())
        .flag("--max-queue-bytes", "100000000000");
    let server = setup.start();
    let before = memory(server.pid());
    let started = Instant::now();
    let (done, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let (most_memory, most_disk) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most_memory.fetch_max(memory(server.pid()), Ordering::Relaxed);
                most_disk.fetch_max(disk(&data), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        scope.spawn(|| {
            let mut client = server.queue_client();
            for number in 0..items {
                // A full journal is what its bound is for.
                while client.set("large", &item(number)).expect("an answer") != "STORED" {
                    refused.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let mut client = server.queue_client();
        // The backlog grows until the journal is full.
        while refused.load(Ordering::Relaxed) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        for number in 0..items {
            let got = client.get("large/t=5000").expect("an answer");
            assert!(got.is_some_and(|got| got == item(number)), "item {number} is lost");
        }
        done.store(true, Ordering::Relaxed);
    });
    let (most_memory, most_disk) = (most_memory.into_inner(), most_disk.into_inner());
    let mebibytes = |bytes: u64| bytes >> 20;
    report(&format!(
        "{} GiB in {:.1?}: at most {} MiB of memory ({} at the start), {} MiB of disk",
        bytes / GIB,
        started.elapsed(),
        mebibytes(most_memory),
        mebibytes(before),
        mebibytes(most_disk),
    ));
    assert!(most_memory <= queue_memory + BESIDE, "{} MiB of memory", mebibytes(most_memory));
    assert!(most_disk <= journal, "{} MiB of disk", mebibytes(most_disk));
    assert!(most_disk > 4 * queue_memory, "the backlog was never larger than memory");
    server.stop();
}

on_each_runtime!(a_gigabyte_goes_through_little_memory);
