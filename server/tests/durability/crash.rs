//! The real journal on a disk that forgets, tears and fails: what was acknowledged is there after
//! every crash, what was confirmed does not come back, and nothing appears that was never sent.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use crate::disk::{Faults, SimDirectory, random, random_index, seed};
use crate::journaled::serve;
use windhover_core::queue::segment::Header;
use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, Fsync, OpId, OpOutcome, PutBuilder,
};
use windhover_core::{Instant, Now, UnixTime};
use windhover_server::journal::{self, Directory, Journal, OpenError};

const STRICT: &str = "q";
const LAX: &str = "lax";
const BOTH: &str = "both";

fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

/// What the world outside knows.
#[derive(Debug, Default)]
struct World {
    sent: BTreeSet<u64>,
    /// To the queue that waits for no sync.
    sent_lax: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    /// Delivered, and the removal was made safe.
    gone: BTreeSet<u64>,
    next: u64,
    /// Segments begun in a file that had been another one.
    recycled: usize,
}

struct Server {
    directory: SimDirectory,
    journal: Journal<SimDirectory>,
    engine: Engine,
    op: u64,
    /// Items of the puts that are not yet settled.
    puts: Vec<(OpId, Vec<u64>)>,
    /// What the engine said of them, and nobody took note of.
    told: Vec<(OpId, OpOutcome)>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "told by the failing test's message")]
enum Violation {
    Damaged(String),
    Lost(BTreeSet<u64>),
    Appeared(BTreeSet<u64>),
    CameBack(BTreeSet<u64>),
}

impl Server {
    fn start(directory: &SimDirectory) -> Result<Self, Violation> {
        let put_aside = Mutex::new(0);
        let keep = |_: &str, bytes: &[u8]| {
            *put_aside.lock().unwrap() += bytes.len();
            Ok(())
        };
        let mut config = Config::default();
        config.compact_from = 0;
        config.compact_ratio = 2;
        // Little memory makes most items be in the journal alone, and starts use its index.
        config.queue_memory = [0, 600, 2_000, u64::MAX][random_index(4)];
        // A queue that waits for no sync, and a name that puts into both.
        let mut lax = config.queue.clone();
        lax.fsync = [Fsync::Never, Fsync::Interval(Duration::from_millis(1))][random_index(2)];
        config.queues.insert(LAX.into(), lax);
        config.aliases.insert(BOTH.into(), vec![STRICT.into(), LAX.into()]);
        let opened = journal::open(directory.clone(), &keep, 1_000, config, now().unix);
        match opened {
            Ok(opened) => Ok(Self {
                directory: directory.clone(),
                journal: opened.journal,
                engine: opened.engine,
                op: 0,
                puts: vec![],
                told: vec![],
            }),
            Err(error @ OpenError::Damaged { .. }) => Err(Violation::Damaged(error.to_string())),
            Err(error) => panic!("{error}"),
        }
    }

    fn put(&mut self, world: &mut World, queues: &[&'static str]) {
        let queue = queues[random_index(queues.len())];
        let mut put = PutBuilder::new(queue.as_bytes(), now().unix).unwrap();
        let items: Vec<u64> = (0..=random(3)).map(|n| world.next + n).collect();
        for item in &items {
            let padding = "x".repeat(usize::try_from(random(150)).unwrap());
            put.item(None, format!("{item} {padding}").as_bytes());
            if queue != LAX {
                world.sent.insert(*item);
            }
            if queue != STRICT {
                world.sent_lax.insert(*item);
            }
            world.next += 1;
        }
        self.op += 1;
        self.engine.put(OpId(self.op), put.finish(), now()).unwrap();
        // What is acknowledged by the other queue alone may be lost with the power.
        self.puts.push((OpId(self.op), if queue == LAX { vec![] } else { items }));
    }

    fn get(&mut self, queue: &str, action: Action) -> Option<u64> {
        self.op += 1;
        let op = OpId(self.op);
        let mut outcome = self.engine.get(op, ConnId(1), queue.as_bytes(), action.into(), now());
        for (other, waited) in serve(&mut self.engine, &self.journal) {
            if other == op {
                self.engine.collect(op);
                outcome = Some(waited);
            } else {
                self.told.push((other, waited));
            }
        }
        let Some(OpOutcome::Item(item)) = outcome else { return None };
        let text = std::str::from_utf8(&item).unwrap();
        Some(text.split(' ').next().unwrap().parse().unwrap())
    }

    /// What the journal's thread does in one turn.
    fn commit(&mut self, world: &mut World, mut delivered: BTreeSet<u64>) {
        // What need not wait for a sync is written first; then the other records.
        for _ in 0..2 {
            let Some(batch) = self.engine.begin_append() else { break };
            let result = self.journal.append(&batch, now().unix);
            let is_written = result.is_ok();
            if is_written && batch.fsync == Fsync::Always {
                world.gone.append(&mut delivered);
            }
            self.engine.journaled(batch, result.map_err(|_| AppendError), now());
            let active = self.journal.active_number();
            self.engine.compact(self.journal.len(), active);
            self.told.append(&mut serve(&mut self.engine, &self.journal));
            if is_written {
                self.journal.note_index(|at, salt| self.engine.index(at, salt));
            }
            self.journal.reclaim(self.engine.oldest_needed(active)).unwrap();
        }
        self.told.append(&mut serve(&mut self.engine, &self.journal));
        for (op, outcome) in std::mem::take(&mut self.told) {
            let place = self.puts.iter().position(|(put, _)| *put == op).unwrap();
            let (_, items) = self.puts.remove(place);
            if outcome == OpOutcome::Stored {
                world.acknowledged.extend(items);
            }
        }
    }

    fn drain(&mut self, queue: &str) -> BTreeSet<u64> {
        std::iter::from_fn(|| self.get(queue, Action::Take)).collect()
    }
}

/// Some rounds of work, each ended by a crash, then a look at everything that is there.
fn run(faults: Faults) -> Result<World, Violation> {
    let directory = SimDirectory::default();
    let mut world = World::default();
    // Where a sync fails that nobody waited for, a loss of power damages what was acknowledged: it is told.
    let queues = if faults.sync > 0 { &[STRICT][..] } else { &[STRICT, STRICT, LAX, BOTH] };
    for _ in 0..4 {
        directory.set_faults(Faults { sync_lies: faults.sync_lies, ..Faults::default() });
        let mut server = Server::start(&directory)?;
        directory.set_faults(faults);
        let mut delivered = BTreeSet::new();
        for _ in 0..random(60) {
            match random(5) {
                0 | 1 => server.put(&mut world, queues),
                2 => {
                    let item = server.get(STRICT, Action::Take);
                    delivered.extend(item);
                    world.delivered.extend(item);
                }
                3 => {
                    let item = server.get(LAX, Action::Take);
                    assert!(item.is_none_or(|item| world.sent_lax.contains(&item)));
                }
                _ => server.commit(&mut world, std::mem::take(&mut delivered)),
            }
        }
        if random(4) == 0 {
            server
                .directory
                .set_faults(Faults { sync_lies: faults.sync_lies, ..Faults::default() });
            server.commit(&mut world, delivered);
            server.journal.close(|at, salt| server.engine.index(at, salt)).unwrap();
        }
        world.recycled += recycled(&directory);
        directory.crash();
    }
    directory.set_faults(Faults::default());
    let mut server = Server::start(&directory)?;
    let (found, found_lax) = (server.drain(STRICT), server.drain(LAX));
    let pending: BTreeSet<u64> = world.acknowledged.difference(&world.delivered).copied().collect();
    let lost: BTreeSet<u64> = pending.difference(&found).copied().collect();
    let appeared = found.difference(&world.sent).chain(found_lax.difference(&world.sent_lax));
    let appeared: BTreeSet<u64> = appeared.copied().collect();
    let came_back: BTreeSet<u64> = found.intersection(&world.gone).copied().collect();
    if !lost.is_empty() {
        return Err(Violation::Lost(lost));
    }
    if !appeared.is_empty() {
        return Err(Violation::Appeared(appeared));
    }
    if !came_back.is_empty() {
        return Err(Violation::CameBack(came_back));
    }
    Ok(world)
}

/// How many files are a segment that was another one before.
fn recycled(directory: &SimDirectory) -> usize {
    let names = directory.list().unwrap().into_iter().map(|entry| entry.name);
    let headers = names.map(|name| Header::decode(&directory.read(&name).unwrap()));
    headers.filter(|header| header.is_ok_and(|header| header.leftover > 0)).count()
}

fn run_seeds(faults: Faults) -> usize {
    let (mut acknowledged, mut recycled) = (0, 0);
    for number in 0..3_500 {
        seed(number);
        match run(faults) {
            Ok(world) => {
                acknowledged += world.acknowledged.len();
                recycled += world.recycled;
            }
            Err(violation) => panic!("seed {number}: {violation:?}"),
        }
    }
    assert!(recycled > 500, "segments must be written over: {recycled}");
    acknowledged
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged() {
    let acknowledged = run_seeds(Faults::default());
    assert!(acknowledged > 50_000, "the test must acknowledge something: {acknowledged}");
}

#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing_that_was_acknowledged() {
    let acknowledged = run_seeds(Faults { full: 6, ..Faults::default() });
    assert!(acknowledged > 20_000, "the test must acknowledge something: {acknowledged}");
}

#[test]
fn a_failed_sync_is_never_taken_for_a_good_one() {
    let acknowledged = run_seeds(Faults { sync: 6, full: 20, ..Faults::default() });
    assert!(acknowledged > 20_000, "the test must acknowledge something: {acknowledged}");
}

#[test]
fn without_syncs_this_test_would_fail() {
    let violated = (0..200).filter(|&number| {
        seed(number);
        run(Faults { sync_lies: true, ..Faults::default() }).is_err()
    });
    assert!(violated.count() > 100, "a disk that does not sync must be noticed");
}
