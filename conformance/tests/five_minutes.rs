//! The five-minute pages of the book work as shown, typed line by line. Those that compile are typed before a release.

use std::{path::Path, process::Command, time::Duration};

use windhover_conformance::{binary, run};

fn typed(page: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/typed");
    let mut command = Command::new(script);
    command.arg(page).env("WINDHOVER_BIN", binary());
    let _ = run(&mut command, Duration::from_secs(120)).expect_code(0);
}

#[test]
fn events() {
    typed("events");
}

#[test]
fn cache() {
    typed("cache");
}
