//! Whether a server is held up by a backup: a measurement.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{Server, Setup, eventually, report};

use super::{BOUND, Place, fill};

/// The time of each put of 20,000 in a second, without backups and with one after the other, each of which sends what
/// is new: the coordinator of a measurement runs it on a quiet machine, by `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn the_server_is_not_held_up() {
    let place = Place::new("backup-latency");
    rounds(&place, "one backup of what is new after the other", &|| {
        place.backup();
    });
}

/// The same where the backups go to another file system, as they should: one in memory, which stands for another
/// disk. What the journal's disk has to do for them is left out.
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn the_server_is_not_held_up_by_backups_to_elsewhere() {
    let place = Place::new("backup-latency-elsewhere");
    let elsewhere = Path::new("/dev/shm").join(format!("windhover-{}", std::process::id()));
    fs::create_dir(&elsewhere).expect("a file system in memory");
    symlink(&elsewhere, place.to()).expect("a link");
    rounds(&place, "one backup to elsewhere after the other", &|| {
        place.backup();
    });
    fs::remove_dir_all(&elsewhere).expect("it goes");
}

/// The same beside a backup that begins each second, sixty times as often as the documentation has it.
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn the_server_is_not_held_up_by_a_backup_each_second() {
    let place = Place::new("backup-latency-each-second");
    rounds(&place, "a backup of what is new each second", &|| {
        let begun = Instant::now();
        place.backup();
        thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    });
}

/// The same beside backups of everything, as the first one to a destination is.
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn the_server_is_held_up_by_whole_backups() {
    let place = Place::new("backup-latency-whole");
    rounds(&place, "one whole backup after the other", &|| {
        let _ = fs::remove_dir_all(place.to());
        place.backup();
    });
}

/// Tells the 99th percentiles without and with that beside, one after the other, and the median of five ratios.
fn rounds(place: &Place, what: &str, beside: &(dyn Fn() + Sync)) {
    let server = Setup::new(place.data()).flag("--max-queue-bytes", "4000000000").start();
    fill(&server, "old", 6400, 16_000);
    place.backup();
    let mut ratios: Vec<f64> = (0..5)
        .map(|_| {
            let without = p99(&server, &|_| {});
            let count = AtomicU32::new(0);
            let with = p99(&server, &|end| {
                while !end.load(Ordering::Relaxed) {
                    beside();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            report(&format!(
                "p99 without a backup {without:.2?}, with {what} ({} of them) {with:.2?}: {ratio:.2}",
                count.load(Ordering::Relaxed)
            ));
            ratio
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    report(&format!("{what}: median of the ratios {:.2}", ratios[2]));
    server.stop();
}

/// The 99th percentile of the time from when puts were due to the answer to the last of them: 20,000 in a second for
/// three seconds, ten in each write, so that what is asked for is not more than there are syncs for.
fn p99(server: &Server, beside: &(dyn Fn(&AtomicBool) + Sync)) -> Duration {
    const CONNECTIONS: u32 = 20;
    const BURSTS_PER_SECOND: u32 = 100;
    const SECONDS: u32 = 3;
    let burst = format!("set load 0 0 200\r\n{}\r\n", "x".repeat(200)).repeat(10);
    let end = AtomicBool::new(false);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let besides = scope.spawn(|| beside(&end));
        let writers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = TcpStream::connect(server.queue()).expect("a connection");
                    client.set_nodelay(true).expect("an option");
                    let mut answers = vec![0; "STORED\r\n".len() * 10];
                    let began = Instant::now();
                    let mut times = Vec::new();
                    for n in 0..BURSTS_PER_SECOND * SECONDS {
                        let due = Duration::from_secs(1) * n / BURSTS_PER_SECOND;
                        thread::sleep(due.saturating_sub(began.elapsed()));
                        client.write_all(burst.as_bytes()).expect("it is written");
                        client.read_exact(&mut answers).expect("answers");
                        assert_eq!(answers, "STORED\r\n".repeat(10).as_bytes());
                        times.push(began.elapsed().saturating_sub(due));
                    }
                    times
                })
            })
            .collect();
        let times =
            writers.into_iter().flat_map(|writer| writer.join().expect("it ends")).collect();
        end.store(true, Ordering::Relaxed);
        besides.join().expect("it ends");
        times
    });
    eventually("the queue is empty", BOUND, || {
        let mut client = server.queue_client();
        client.command("flush load").ok()
    });
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
