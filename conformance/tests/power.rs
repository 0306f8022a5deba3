//! The power fails under load: what was acknowledged is there, whatever the disk forgot that was not synced.
//!
//! `WINDHOVER_POWER_CUTS=200` makes as many cuts on all runtimes together; without it they are a few on each.
#![allow(clippy::panic, clippy::expect_used)]

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use windhover_conformance::{
    HttpClient, Item, Ledger, Outcome, Power, QueueLedger, Random, Runtime, Server, Setup, TempDir,
    WRITERS, binary, on_each_runtime, report, run,
};

const BOUND: Duration = Duration::from_secs(60);
/// `windhover backup`: there is none yet.
const NO_BACKUP: i32 = 10;
/// As many items of a queue a connection may have open.
const MOST_OPEN: usize = 100;

/// On each runtime.
fn cuts() -> u64 {
    std::env::var("WINDHOVER_POWER_CUTS").map_or(4, |count| {
        count.parse::<u64>().expect("WINDHOVER_POWER_CUTS is a number").div_ceil(3)
    })
}

/// A server whose power fails, and the books of what it acknowledged.
struct Place {
    directory: TempDir,
    power: Power,
    runtime: Runtime,
    events: Ledger,
    jobs: QueueLedger,
    /// Backups that were told to be there.
    backups: BTreeSet<u64>,
    unsynced: usize,
}

impl Place {
    fn new(runtime: Runtime, lies: bool) -> Self {
        let directory = TempDir::new("power");
        let power = Power::new(directory.path());
        Self {
            power: if lies { power.lying() } else { power },
            directory,
            runtime,
            events: Ledger::default(),
            jobs: QueueLedger::new("jobs"),
            backups: BTreeSet::new(),
            unsynced: 0,
        }
    }

    fn setup(&self, number: u64) -> Setup {
        let setup = Setup::new(self.directory.path().join("data"))
            .within(self.power.within())
            .runtime(self.runtime)
            // Small, so that segments rotate and are deleted under the cuts too.
            .flag("--segment-bytes", "65536")
            .flag("--max-queue-bytes", "10000000000");
        // The default has to be as safe.
        if number.is_multiple_of(2) { setup.flag("--fsync", "always") } else { setup }
    }

    /// `windhover backup` of the data to a directory with the same power, or about one.
    fn backup(&self, words: &[&str]) -> Command {
        let within = self.power.within();
        let mut command = Command::new(&within[0]);
        command
            .args(&within[1..])
            .arg(binary())
            .arg("backup")
            .args(words)
            .args(["--json", "--quiet"]);
        let to = self.directory.path().join("backups");
        if words.is_empty() {
            command.arg("--data").arg(self.directory.path().join("data")).arg("--to").arg(to);
        } else {
            command.arg("--from").arg(to);
        }
        command
    }

    /// Loads the server, and makes a backup beside it, until the power fails.
    fn load_until_cut(&mut self, server: Server, random: &mut Random) {
        let mut backup = self.backup(&[]);
        let backup = backup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut backup = backup.spawn().expect("a backup can be begun");
        let (http, queue) = (server.http(), server.queue());
        // Now and then while it has just begun.
        let (seed, moment) = (random.number(), random.millis(0, 300));
        let (events, jobs, power) = (&self.events, &self.jobs, &mut self.power);
        let mut told = None;
        thread::scope(|scope| {
            for batch in [1, 7] {
                scope.spawn(move || {
                    let Ok(mut client) = HttpClient::connect(http) else { return };
                    while events.send(&mut client, batch) {}
                });
            }
            for writer in 0..WRITERS {
                scope.spawn(move || jobs.write(writer, queue));
            }
            scope.spawn(move || jobs.read(queue, Random::new(seed)));
            thread::sleep(moment);
            self.unsynced += power.cut(random, || {
                told = finished(&mut backup);
                server.kill();
            });
        });
        self.backups.extend(told);
    }

    /// The server starts on what the disk has, and has what it acknowledged. Returns what is missing.
    fn missing(&mut self, server: &Server, takes_all: bool) -> (usize, usize) {
        let events = if takes_all {
            server.queue_client().drain("events").expect("the queue gives its items")
        } else {
            opened(server, "events")
        };
        for item in &events {
            self.events.saw(item);
        }
        let there: BTreeSet<Item> =
            opened(server, "jobs").iter().map(|item| QueueLedger::decode(item)).collect();
        let books = self.jobs.books();
        assert_eq!(books.phantom(&there), None, "nobody put it");
        (self.events.lost().len(), books.lost(&there).len())
    }

    /// The backups that were made are good.
    fn check_backups(&self) {
        let verified = self.run(&["verify"]);
        if self.backups.is_empty() && verified.status.code() == Some(NO_BACKUP) {
            return;
        }
        verified.expect_code(0);
        let listed = self.run(&["list"]);
        listed.expect_code(0);
        let listed: Vec<Value> = serde_json::from_str(&listed.stdout).expect("JSON");
        let there: BTreeSet<u64> =
            listed.iter().filter_map(|backup| backup["backup"].as_u64()).collect();
        let lost: Vec<&u64> = self.backups.difference(&there).collect();
        assert!(lost.is_empty(), "backups that were told to be there: {lost:?}");
    }

    fn run(&self, words: &[&str]) -> Outcome {
        run(&mut self.backup(words), BOUND)
    }
}

/// The number of the backup, if it was made; kills it if it was not.
fn finished(backup: &mut Child) -> Option<u64> {
    let has_ended = backup.try_wait().expect("a child can be waited for").is_some();
    let _ = backup.kill();
    let status = backup.wait().expect("a child can be waited for");
    let mut told = String::new();
    let mut stdout = backup.stdout.take().expect("stdout is piped");
    std::io::Read::read_to_string(&mut stdout, &mut told).expect("it can be read");
    if !has_ended || !status.success() {
        return None;
    }
    let told: Value = serde_json::from_str(&told).expect("JSON");
    told["sequence"].as_u64()
}

/// Everything in a queue, which goes back to it.
fn opened(server: &Server, queue: &str) -> Vec<Vec<u8>> {
    let count = usize::try_from(server.items(queue)).expect("a queue of a test");
    let (mut items, mut clients) = (Vec::new(), Vec::new());
    while items.len() < count {
        let mut client = server.queue_client();
        let most = u32::try_from((count - items.len()).min(MOST_OPEN)).expect("it is small");
        items.extend(client.monitor(queue, 30, most).expect("the queue gives its items"));
        clients.push(client);
    }
    items
}

fn nothing_acknowledged_is_lost_when_the_power_fails(runtime: Runtime) {
    let mut random = Random::from_environment();
    let mut place = Place::new(runtime, false);
    let (cuts, begun) = (cuts(), Instant::now());
    let mut server = place.setup(0).start();
    for number in 1..=cuts {
        place.load_until_cut(server, &mut random);
        place.check_backups();
        server = place.setup(number).start();
        let missing = place.missing(&server, number.is_multiple_of(3) || number == cuts);
        assert_eq!(missing, (0, 0), "events and items that were acknowledged and are lost");
    }
    let events = place.events.balance();
    let jobs = place.jobs.books();
    assert!(events.accepted > 0 && !jobs.stored.is_empty(), "the load never got through");
    assert!(place.unsynced > 0, "something was always left to be forgotten");
    report(&format!(
        "{}, {cuts} cuts in {:.1?}: {events}; {} sets answered `STORED`, {} confirmed; 0 lost; {} backups, all good; {} \
         changes were not synced",
        runtime.name(),
        begun.elapsed(),
        jobs.stored.len(),
        jobs.done.len(),
        place.backups.len(),
        place.unsynced,
    ));
    server.stop();
}

/// With a disk that forgets what it was told to sync, this test finds what is lost: so it would find a sync that is
/// missing.
fn what_a_lying_disk_loses_is_found(runtime: Runtime) {
    let mut random = Random::from_environment();
    for number in 0..20 {
        let mut place = Place::new(runtime, true);
        let server = place.setup(number).start();
        place.load_until_cut(server, &mut random);
        // It may have noticed.
        let Ok(server) = place.setup(number).try_start() else { continue };
        let missing = place.missing(&server, true);
        server.stop();
        if missing != (0, 0) {
            report(&format!(
                "{}, no sync: {} events and {} items that were acknowledged are lost at cut {}",
                runtime.name(),
                missing.0,
                missing.1,
                number + 1
            ));
            return;
        }
    }
    panic!("nothing was lost in 20 cuts, though no sync did anything");
}

on_each_runtime!(
    nothing_acknowledged_is_lost_when_the_power_fails,
    what_a_lying_disk_loses_is_found,
);
