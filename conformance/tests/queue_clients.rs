//! Clients of memcached that people use, reading the queue with kestrel's options in the key.
#![allow(clippy::panic, clippy::expect_used)]

use std::time::Duration;

use windhover_conformance::{Runtime, Setup, TempDir, on_each_runtime, python, report, run};

const BOUND: Duration = Duration::from_secs(60);

fn libraries_that_check_the_key_get_their_items_when_the_reply_names_it(runtime: Runtime) {
    for names in ["queue", "asked"] {
        let directory = TempDir::new("queue-clients");
        let setup = Setup::new(directory.path()).runtime(runtime).flag("--reply-keys", names);
        let server = setup.start();
        let mut driver = python("queue_clients.py");
        let outcome = run(driver.arg(server.queue().to_string()).arg(names), BOUND);
        let done = outcome.expect_code(0).stdout.trim();
        report(&format!("--reply-keys {names}, {}: {done}", runtime.name()));
        server.stop();
    }
}

on_each_runtime!(libraries_that_check_the_key_get_their_items_when_the_reply_names_it);
