//! The lines that the server prints to try it work as they are.
#![allow(clippy::panic, clippy::expect_used)]

use std::{process::Command, time::Duration};

use windhover_conformance::{Server, Setup, TempDir, run};

fn shell(line: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    run(&mut command, Duration::from_secs(20)).expect_code(0).stdout.clone()
}

fn printed<'a>(server: &'a Server, label: &str) -> &'a str {
    let line = server.banner().iter().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("no `{label}` among {:#?}", server.banner())).trim_start()
}

#[test]
fn the_lines_to_try_it_and_to_read_it_back_work_as_printed() {
    let directory = TempDir::new("readme");
    let server = Setup::new(directory.path().join("data")).start();

    let answer = shell(printed(&server, "try it"));
    assert_eq!(answer.trim(), "1");

    let item = shell(printed(&server, "read back"));
    assert!(item.starts_with("VALUE events 0 "), "{item}");
    assert!(item.contains(r#"{"event":""#), "{item}");
    assert!(item.trim_end().ends_with("END"), "{item}");
}

#[test]
fn the_data_directory_is_named_in_full() {
    let directory = TempDir::new("readme");
    let data = directory.path().join("data");
    let server = Setup::new(&data).start();
    let line = printed(&server, "  data ");
    let expected = format!("{} (fsync: always)", data.display());
    assert_eq!(line, expected);
    assert_eq!(server.banner().first().map(String::as_str), Some("windhover 0.1.0 is ready"));
}
