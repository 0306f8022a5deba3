//! A run: its threads, and what they tell put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use windhover_runtime::{Shutdown, shut_down_on_signal};

use super::error::LoadError;
use super::failure::Failures;
use super::figures::{COMPLETE, Round, Run, ServerFigures, Times, micros, tenth};
use super::plan::{Pace, Plan};
use super::process::{self, Taken};
use super::progress::Progress;
use super::record::{Part, Tally};
use super::recording::Told;
use super::worker::Worker;
use super::workload::Workload;

/// Threads begin together, so long after all are ready.
const LEAD: Duration = Duration::from_millis(20);
/// How often it is looked whether the run was interrupted.
const LOOK: Duration = Duration::from_millis(50);

/// What a thread says before it waits for its beginning.
type Ready = Result<Tally, LoadError>;

/// Does it. Of the process that is given, if any, memory is read when it was left alone for so long: something may
/// happen after an answer.
pub(super) fn measure<W: Workload>(
    plan: &Plan,
    workload: &W,
    process: Option<(u32, Duration)>,
    events_each: f64,
) -> Result<Run, LoadError> {
    crate::listen::raise_descriptor_limit();
    let shutdown = Shutdown::new();
    shut_down_on_signal(&shutdown).map_err(LoadError::System)?;
    let server = || {
        let taken = process.map(|(process, _)| {
            process::taken(process).map_err(|source| LoadError::Process { process, source })
        });
        taken.transpose()
    };
    let before = server()?;
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let mut threads = Threads::start(plan, workload, &is_interrupted)?;
    threads.wait_until_ready(plan, W::COUNTS.len(), &shutdown)?;
    if let Some((_, settle)) = process {
        thread::sleep(settle);
    }
    let connected = server()?;

    let begin = Instant::now() + LEAD;
    let began = SystemTime::now() + LEAD + plan.warm_up;
    for to in &threads.begin {
        // A thread that has ended is missed where it should tell something.
        let _ = to.send(begin);
    }
    let mut gathered = Gathered::new(plan);
    let mut progress = Progress::new(plan.warm_up + plan.duration);
    let mut running = plan.threads;
    while running > 0 {
        match threads.told.recv_timeout(LOOK) {
            Ok(told) => running -= usize::from(gathered.take(told, plan)),
            Err(RecvTimeoutError::Timeout) => {}
            // One has panicked, or the system gave it no events.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if shutdown.is_triggered() {
            is_interrupted.store(true, Ordering::Relaxed);
        }
        let passed = begin.elapsed();
        progress.tell(passed, || gathered.progress(passed, plan));
    }
    drop(progress);
    let after = server()?;
    threads.join()?;

    let mut tally = threads.first;
    tally.merge(&gathered.tally);
    let was_interrupted = is_interrupted.load(Ordering::Relaxed);
    let how = match (gathered.is_gone, was_interrupted) {
        (true, _) => "the server is gone",
        (_, true) => "interrupted",
        _ => COMPLETE,
    };
    // An interrupted one is over when it was interrupted.
    let seconds = plan.duration.min(begin.elapsed().saturating_sub(plan.warm_up)).as_secs_f64();
    let server = figures(before, connected, after, gathered.tally.good);
    Ok(gathered.run::<W>(plan, &tally, &Ended { began, seconds, how, events_each, server }))
}

/// The threads of a run.
struct Threads {
    handles: Vec<thread::JoinHandle<Result<(), LoadError>>>,
    begin: Vec<Sender<Instant>>,
    ready: Receiver<Ready>,
    told: Receiver<Told>,
    /// What became of the first requests.
    first: Tally,
}

impl Threads {
    fn start<W: Workload>(
        plan: &Plan,
        workload: &W,
        is_interrupted: &Arc<AtomicBool>,
    ) -> Result<Self, LoadError> {
        let (to_ready, ready) = mpsc::channel();
        let (to_told, told) = mpsc::channel();
        let (mut handles, mut begin) = (Vec::new(), Vec::new());
        for number in 0..plan.threads {
            let (to_begin, wait_for_begin) = mpsc::channel();
            begin.push(to_begin);
            let (plan, workload) = (*plan, workload.clone());
            let (ready, told) = (to_ready.clone(), to_told.clone());
            let is_interrupted = Arc::clone(is_interrupted);
            let spawned = thread::Builder::new().name(format!("load {number}")).spawn(move || {
                let made = Worker::connect(plan, number, workload, is_interrupted)
                    .map_err(|source| LoadError::Connect { address: plan.address, source });
                let made = made.and_then(|mut worker| {
                    worker.each_once().map_err(LoadError::System)?;
                    Ok(worker)
                });
                // Who started it has given up where nobody listens any more.
                let mut worker = match made {
                    Ok(mut worker) => {
                        let _ = ready.send(Ok(worker.take_tally()));
                        worker
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        return Ok(());
                    }
                };
                drop(ready);
                match wait_for_begin.recv() {
                    Ok(begin) => worker.run(begin, told).map_err(LoadError::System),
                    Err(_) => Ok(()),
                }
            });
            handles.push(spawned.map_err(LoadError::System)?);
        }
        let first = Tally::new(W::COUNTS.len());
        Ok(Self { handles, begin, ready, told, first })
    }

    /// Until each connection has had one answer, which one at least has to be good.
    fn wait_until_ready(
        &mut self,
        plan: &Plan,
        counts: usize,
        shutdown: &Shutdown,
    ) -> Result<(), LoadError> {
        self.first = Tally::new(counts);
        let mut waiting = plan.threads;
        while waiting > 0 {
            match self.ready.recv_timeout(LOOK) {
                Ok(tally) => {
                    self.first.merge(&tally?);
                    waiting -= 1;
                }
                Err(RecvTimeoutError::Timeout) if !shutdown.is_triggered() => {}
                Err(_) => return Err(LoadError::Interrupted),
            }
        }
        if self.first.good == 0 {
            let why = self.first.failures.iter().map(|(failure, _)| failure.to_string());
            return Err(LoadError::FirstRequests(why.collect::<Vec<_>>().join("; ")));
        }
        Ok(())
    }

    fn join(&mut self) -> Result<(), LoadError> {
        for handle in self.handles.drain(..) {
            match handle.join() {
                Ok(done) => done?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    }
}

/// What threads have told.
struct Gathered {
    /// What was told of parts that not all threads have told of.
    parts: BTreeMap<u32, (usize, Box<Part>)>,
    all: Part,
    rounds: Vec<Part>,
    points: Vec<Round>,
    tally: Tally,
    cpu: Option<Duration>,
    is_gone: bool,
}

impl Gathered {
    fn new(plan: &Plan) -> Self {
        Self {
            parts: BTreeMap::new(),
            all: Part::new(),
            rounds: vec![Part::new(); plan.rounds as usize],
            points: Vec::new(),
            tally: Tally::default(),
            cpu: Some(Duration::ZERO),
            is_gone: false,
        }
    }

    /// Whether a thread is at its end.
    fn take(&mut self, told: Told, plan: &Plan) -> bool {
        match told {
            Told::Done { tally, cpu, is_gone } => {
                if self.tally.counts.is_empty() {
                    self.tally.counts = vec![0; tally.counts.len()];
                }
                self.tally.merge(&tally);
                self.cpu = self.cpu.zip(cpu).map(|(sum, more)| sum + more);
                self.is_gone |= is_gone;
                true
            }
            Told::Part { number, part } => {
                let (threads, whole) =
                    self.parts.entry(number).or_insert_with(|| (0, Box::new(Part::new())));
                *threads += 1;
                whole.merge(&part);
                if *threads == plan.threads
                    && let Some((_, whole)) = self.parts.remove(&number)
                {
                    self.whole(number, &whole, plan);
                }
                false
            }
        }
    }

    fn whole(&mut self, number: u32, part: &Part, plan: &Plan) {
        self.all.merge(part);
        let round = (number / plan.parts_each_round()) as usize;
        if let Some(round) = self.rounds.get_mut(round) {
            round.merge(part);
        }
        self.points.push(point(part, plan.duration / plan.parts()));
    }

    fn progress(&self, passed: Duration, plan: &Plan) -> String {
        let Some(last) = self.points.last() else { return "warming up".to_owned() };
        let (length, failed) = (plan.warm_up + plan.duration, self.all.failed);
        format!(
            "{:.0} s of {:.0} s  {:.0}/s  p50 {}  p99 {}  failed {failed}",
            passed.min(length).as_secs_f64(),
            length.as_secs_f64(),
            last.per_second,
            super::report::time(last.p50),
            super::report::time(last.p99),
        )
    }

    #[allow(clippy::cast_precision_loss)] // no run has 2^53 requests
    fn run<W: Workload>(self, plan: &Plan, tally: &Tally, ended: &Ended<'_>) -> Run {
        let open = matches!(plan.pace, Pace::Rate(_));
        let times = |histogram| open.then(|| Times::of(histogram));
        let took = (plan.warm_up + plan.duration).as_secs_f64();
        let percent = |cpu: Duration| cpu.as_secs_f64() / took / plan.threads as f64 * 100.0;
        let per_second = self.all.good as f64 / ended.seconds.max(1e-9);
        let counts = W::COUNTS.iter().map(|it| (*it).to_owned()).zip(tally.counts.iter().copied());
        Run {
            began: humantime::format_rfc3339_millis(ended.began).to_string(),
            seconds: ended.seconds,
            ended: ended.how.to_owned(),
            requests: tally.requests(),
            sent: tally.requests() - tally.failures.unsent(),
            good: tally.good,
            failed: tally.failures.total(),
            failures: by_kind(&tally.failures),
            counts: counts.collect(),
            connections_made_again: tally.made_again,
            connection_failures: by_kind(&tally.connections),
            per_second: tenth(per_second),
            events_per_second: tenth(per_second * ended.events_each),
            latency: Times::of(&self.all.latency),
            from_sending: times(&self.all.from_sending),
            sent_late: times(&self.all.late),
            rounds: self
                .rounds
                .iter()
                .map(|round| point(round, plan.duration / plan.rounds))
                .collect(),
            parts: self.points,
            histogram: self
                .all
                .latency
                .iter_recorded()
                .map(|step| (micros(step.value_iterated_to()), step.count_since_last_iteration()))
                .collect(),
            generator_percent: self.cpu.map(percent).map(tenth),
            server: ended.server,
        }
    }
}

/// How a run ended.
struct Ended<'a> {
    began: SystemTime,
    seconds: f64,
    how: &'a str,
    events_each: f64,
    server: Option<ServerFigures>,
}

#[allow(clippy::cast_precision_loss)] // no run has 2^53 requests
fn point(part: &Part, length: Duration) -> Round {
    let times = Times::of(&part.latency);
    Round {
        per_second: tenth(part.good as f64 / length.as_secs_f64()),
        failed: part.failed,
        mean: times.mean,
        p50: times.p50,
        p99: times.p99,
        max: times.max,
    }
}

fn by_kind(failures: &Failures) -> BTreeMap<String, u64> {
    failures.iter().map(|(failure, count)| (failure.to_string(), count)).collect()
}

#[allow(clippy::cast_precision_loss)] // no run has 2^53 requests
fn figures(
    before: Option<Taken>,
    connected: Option<Taken>,
    after: Option<Taken>,
    answers: u64,
) -> Option<ServerFigures> {
    let (before, connected, after) = (before?, connected?, after?);
    let spent = after.cpu.saturating_sub(connected.cpu).as_secs_f64();
    Some(ServerFigures {
        cpu_us_each: (spent * 1e8 / answers.max(1) as f64).round() / 100.0,
        memory_before_kib: before.memory_kib,
        memory_connected_kib: connected.memory_kib,
        memory_after_kib: after.memory_kib,
    })
}
