//! A server that has no file descriptor left serves those that it has, and others later.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{
    Runtime, Setup, TempDir, eventually, on_each_runtime, processor_time, report,
};

use crate::{BOUND, IN_TIME};

fn it_waits_for_descriptors_and_serves_meanwhile(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .within(["sh", "-c", "ulimit -n 96 && exec \"$@\"", "sh"])
        .start();
    let mut before = server.queue_client();
    before.command("version").expect("an answer");

    // More than there are descriptors: those behind them wait in the backlog.
    let crowd: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect_timeout(&server.http(), BOUND).expect("the backlog has room"))
        .collect();
    let said = "a connection could not be accepted";
    eventually("the log says so", BOUND, || server.log().contains(said).then_some(()));

    // It tries again now and then, and not all the time.
    let (took, window) = (processor_time(server.pid()), Duration::from_secs(1));
    thread::sleep(window);
    let took = processor_time(server.pid()).saturating_sub(took);
    report(&format!("{runtime:?}: {took:?} of a second to wait for descriptors"));
    assert!(took < window / 2, "{took:?}");
    let started = Instant::now();
    before.command("version").expect("who is connected is served");
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());

    drop(crowd);
    let started = Instant::now();
    assert_eq!(server.http_client().get("/healthz").expect("an answer").status, 200);
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    server.stop();
}

on_each_runtime!(it_waits_for_descriptors_and_serves_meanwhile);
