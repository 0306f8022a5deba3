//! Clients of a cache, each at one kind of work for a while.
//!
//! usage: client CLIENT WORK PORT SECONDS
//!
//! The cache is on 127.0.0.1:PORT. Prints how many operations were done in the seconds that were measured, those
//! seconds, and the processor time of this process in them.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use windhover_peers::clients;
use windhover_peers::work::{Window, Work};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, work, port, seconds] = &arguments[..] else {
        panic!("usage: client CLIENT WORK PORT SECONDS")
    };
    let work: Work = work.parse().expect("a WORK that there is");
    let (port, seconds): (u16, f64) =
        (port.parse().expect("a PORT"), seconds.parse().expect("a number of SECONDS"));

    // Connecting, and a while of the same, come before what is measured.
    let begin =
        Instant::now() + Duration::from_millis(100) + Duration::from_secs_f64(seconds / 4.0);
    let window = Window { begin, end: begin + Duration::from_secs_f64(seconds) };
    let workers = clients::start(client, work, port, window);
    std::thread::sleep(window.begin - Instant::now());
    let before = processor_time();
    std::thread::sleep(window.end - Instant::now());
    let spent = processor_time() - before;
    let done: u64 =
        workers.into_iter().map(|worker| worker.join().expect("it does its work")).sum();
    println!("{done} {seconds} {}", spent.as_secs_f64());
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it is not negative")
}
