//! Servers that are restarted under load: nobody is refused, and nothing is lost.
#![allow(clippy::panic, clippy::expect_used)]

use std::time::Duration;

use windhover_conformance::{Runtime, TempDir, binary, on_each_runtime, python, report, run};

const BOUND: Duration = Duration::from_secs(180);

fn restart(how: &str, runtime: Runtime, rate: u32) {
    let directory = TempDir::new("restart");
    let mut driver = python("restart.py");
    driver.arg(how).arg(binary()).arg(directory.path().join("data"));
    driver.args([runtime.name(), &rate.to_string(), "2"]);
    let outcome = run(&mut driver, BOUND);
    report(&format!("{how}, {}: {}", runtime.name(), outcome.stdout.trim()));
    outcome.expect_code(0);
}

fn sockets_that_are_handed_over_outlive_the_server(runtime: Runtime) {
    restart("handed-over", runtime, 2000);
}

fn a_balancer_takes_a_server_out_while_it_drains(runtime: Runtime) {
    restart("balanced", runtime, 500);
}

on_each_runtime!(
    sockets_that_are_handed_over_outlive_the_server,
    a_balancer_takes_a_server_out_while_it_drains,
);
