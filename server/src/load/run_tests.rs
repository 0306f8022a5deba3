//! Runs against servers that do as they are told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::{COMPLETE, Run};
use super::plan::{Pace, Plan};
use super::run::measure;
use super::workload::queue::{QueueOperations, QueueWorkload};

/// A queue server: `answer` is asked what it says to each line, and may take its time; `None` closes.
fn server(
    answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, answer) = (Arc::new(AtomicU64::new(0)), Arc::new(answer));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
            thread::spawn(move || serve(stream.unwrap(), &count, |line| answer(line)));
        }
    });
    (address, asked)
}

fn serve(stream: TcpStream, count: &AtomicU64, answer: impl Fn(&str) -> Option<&'static str>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap_or(0) > 0 {
        if line.starts_with("set ") {
            let _ = stream.read_line(&mut String::new());
        }
        count.fetch_add(1, Ordering::Relaxed);
        let Some(said) = answer(&line) else { return };
        if stream.get_mut().write_all(said.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

fn plan(address: SocketAddr) -> Plan {
    Plan {
        address,
        pace: Pace::Rate(1000.0),
        connections: 8,
        threads: 2,
        pipeline: 1,
        timeout: Duration::from_secs(10),
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(400),
        rounds: 4,
    }
}

fn puts(plan: &Plan) -> Run {
    let workload = QueueWorkload::new(QueueOperations::Put, "q", 10);
    measure(plan, &workload, None, 1.0).unwrap()
}

#[test]
fn every_request_that_is_due_is_sent_and_answered() {
    let (address, asked) = server(|_| Some("STORED\r\n"));
    let run = puts(&plan(address));
    // One on each connection, and those of 450 ms.
    assert_eq!((run.requests, run.good, run.failed), (458, 458, 0));
    assert_eq!(asked.load(Ordering::Relaxed), run.sent);
    assert_eq!(run.counts["stored"], 458);
    assert_eq!((run.ended.as_str(), run.rounds.len()), (COMPLETE, 4));
    let measured: u64 = run.histogram.iter().map(|(_, count)| count).sum();
    assert_eq!(measured, 400);
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_waits_takes_no_processor() {
    let (address, _) = server(|_| Some("STORED\r\n"));
    // One each 2 ms, of which a thread would spend all if it asked for the time until the next is due.
    let run = puts(&Plan { duration: Duration::from_secs(1), ..plan(address) });
    let busy = run.generator_percent.unwrap();
    assert!(busy < 50.0, "{busy} % of a core");
}

#[test]
fn a_closed_loop_accounts_for_every_request_too() {
    let (address, asked) = server(|_| Some("STORED\r\n"));
    for pipeline in [1, 4] {
        let before = asked.load(Ordering::Relaxed);
        let run = puts(&Plan { pace: Pace::Max, pipeline, ..plan(address) });
        assert_eq!((run.requests, run.failed), (run.good, 0));
        assert_eq!(asked.load(Ordering::Relaxed) - before, run.sent);
        assert!(run.good > 100, "{}", run.good);
    }
}

#[test]
fn what_is_due_while_a_server_stalls_counts_with_its_wait() {
    let begun = Instant::now();
    // From 200 ms after the first request on, for 200 ms, nothing is answered.
    let stall = Arc::new(Mutex::new(None));
    let (address, _) = server(move |_| {
        let from = *stall.lock().unwrap().get_or_insert_with(|| begun.elapsed());
        let stall = from + Duration::from_millis(200)..from + Duration::from_millis(400);
        if stall.contains(&begun.elapsed()) {
            thread::sleep(stall.end.saturating_sub(begun.elapsed()));
        }
        Some("STORED\r\n")
    });
    let plan = Plan { duration: Duration::from_millis(950), ..plan(address) };
    let run = puts(&plan);
    assert_eq!((run.requests, run.failed), (1008, 0));
    // 200 of 950 were due meanwhile: a quarter of those has waited for 150 ms and more.
    let waited = |least: f64| -> u64 {
        run.histogram.iter().filter(|(us, _)| *us >= least * 1000.0).map(|(_, count)| count).sum()
    };
    assert!(run.latency.max > 190_000.0, "{:?}", run.latency);
    assert!(run.latency.p99 > 180_000.0, "{:?}", run.latency);
    assert!(waited(150.0) >= 45, "{} of 50", waited(150.0));
    assert!(waited(20.0) >= 175, "{} of 180", waited(20.0));
    // Only as many as there are connections were sent: who counts from the sending sees no more of it than that.
    let (sending, late) = (run.from_sending.unwrap(), run.sent_late.unwrap());
    assert!(sending.p90 < run.latency.p90 / 2.0, "{sending:?} of {:?}", run.latency);
    assert!(late.p90 > run.latency.p90 / 2.0, "{late:?}");
}

#[test]
fn a_server_that_says_no_is_counted_by_its_words() {
    let (address, asked) = server(|line| {
        Some(if line.contains("open") { "END\r\n" } else { "SERVER_ERROR the queue is full\r\n" })
    });
    let workload = QueueWorkload::new(QueueOperations::PutReserve, "q", 10);
    let failed = measure(&plan(address), &workload, None, 1.0).unwrap_err().to_string();
    assert!(failed.ends_with("refused: `SERVER_ERROR the queue is full`"), "{failed}");
    assert_eq!(asked.load(Ordering::Relaxed), 8);
    // Later, it is no reason to end.
    let refuses = AtomicU64::new(0);
    let (address, asked) = server(move |_| {
        let is_early = refuses.fetch_add(1, Ordering::Relaxed) < 50;
        Some(if is_early { "STORED\r\n" } else { "SERVER_ERROR full\r\n" })
    });
    let run = puts(&plan(address));
    assert_eq!((run.good, run.failed, run.requests), (50, 408, 458));
    assert_eq!(run.failures["refused: `SERVER_ERROR full`"], 408);
    assert_eq!(asked.load(Ordering::Relaxed), 458);
}

#[test]
fn a_connection_that_is_closed_is_made_again_and_its_request_has_failed() {
    let number = AtomicU64::new(0);
    let (address, asked) = server(move |_| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        (number % 100 != 99).then_some("STORED\r\n")
    });
    let run = puts(&plan(address));
    assert_eq!((run.requests, run.good, run.failed), (458, 454, 4));
    assert_eq!(run.failures["the server closed the connection"], 4);
    assert_eq!(run.connections_made_again, 4);
    assert_eq!(asked.load(Ordering::Relaxed), run.sent);
}

#[test]
fn an_answer_that_does_not_come_fails_in_time() {
    let number = AtomicU64::new(0);
    let (address, _) = server(move |_| {
        if number.fetch_add(1, Ordering::Relaxed) >= 100 {
            thread::sleep(Duration::from_secs(3600));
        }
        Some("STORED\r\n")
    });
    let begun = Instant::now();
    let run = puts(&Plan { timeout: Duration::from_millis(100), ..plan(address) });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((run.good, run.requests), (100, 458));
    let kinds: u64 = run.failures.values().sum();
    assert_eq!(kinds, 358, "{:?}", run.failures);
    assert!(run.failures["no answer within 100ms"] >= 8, "{:?}", run.failures);
    let unsent = run.failures.get("not sent within 100ms: no connection was free");
    assert_eq!(run.sent, 458 - unsent.copied().unwrap_or(0));
}

#[test]
fn a_server_that_goes_away_ends_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        // Eight connections, each with one answer; then nobody listens any more.
        let streams: Vec<_> = (0..8).map(|_| listener.accept().unwrap().0).collect();
        drop(listener);
        for stream in &streams {
            serve_one(stream);
        }
        thread::sleep(Duration::from_millis(100));
    });
    let begun = Instant::now();
    let timeout = Duration::from_millis(200);
    let run = puts(&Plan { timeout, duration: Duration::from_secs(60), ..plan(address) });
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(run.ended, "the server is gone");
    assert_eq!(run.requests, run.good + run.failed);
    assert!(run.failed > 0);
    assert!(run.connection_failures["the connection broke: connection refused"] > 0);
}

fn serve_one(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    for _ in 0..2 {
        let _ = reader.read_line(&mut String::new());
    }
    (&*stream).write_all(b"STORED\r\n").unwrap();
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let workload = QueueWorkload::new(QueueOperations::Put, "q", 10);
    let error = measure(&plan(address), &workload, None, 1.0).unwrap_err().to_string();
    assert_eq!(error, format!("{address} takes no connection"));
}
