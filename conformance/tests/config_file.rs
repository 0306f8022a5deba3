//! The configuration file: what it says holds, what is wrong with it is told, and SIGHUP reads it again.
#![allow(clippy::panic, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use windhover_conformance::{
    Outcome, QueueClient, Server, Setup, TempDir, binary, eventually, run,
};

/// Loose: nothing but a hang is to be told from slowness.
const BOUND: Duration = Duration::from_secs(30);

fn check_config(file: &Path) -> Outcome {
    run(Command::new(binary()).arg("check-config").arg(file), BOUND)
}

/// Whether a queue's bounds have that line.
fn is_bounded(client: &mut QueueClient, queue: &str, line: &str) -> bool {
    let lines = client.listing(&format!("dump_config {queue}")).expect("an answer");
    lines.iter().any(|bound| bound.trim() == line)
}

/// SIGHUP, and the log says what came of it.
fn reads_again(server: &Server, says: &str) {
    server.hang_up();
    eventually(says, BOUND, || server.log().contains(says).then_some(()));
}

#[test]
fn what_the_file_says_holds_and_is_read_again() {
    let directory = TempDir::new("config");
    let file = directory.path().join("windhover.toml");
    let write = |text: &str| fs::write(&file, text).expect("a file");
    write("max-queue-items = 9\nqueue-name = \"fast\"\n[queues.few]\nmax_queue_items = 1\n");
    let setup = Setup::new(directory.path().join("data"))
        .flag("--config", &file.to_string_lossy())
        .flag("--max-queue-items", "5");
    let server = setup.start();
    assert!(server.banner().join("\n").contains("`fast`"));

    let mut client = server.queue_client();
    assert_eq!(client.set("few", b"1").expect("an answer"), "STORED");
    assert_eq!(client.set("few", b"2").expect("an answer"), "NOT_STORED");
    assert!(is_bounded(&mut client, "others", "max_items=5"), "the flag holds");

    // A fault changes nothing, and is told with its line.
    write("\n[queues.few]\nmax-queue-item = 2\n");
    reads_again(&server, "windhover.toml:3: unknown name `max-queue-item`; the nearest");
    assert_eq!(
        client.command("reload").expect("an answer"),
        "SERVER_ERROR the configuration is wrong, and stays as it was"
    );
    assert!(is_bounded(&mut client, "few", "max_items=1"));

    write("queue-name = \"other\"\n[queues.few]\nmax-queue-items = 2\n");
    reads_again(&server, "`queue-name` has changed in the file");
    assert_eq!(client.set("few", b"2").expect("an answer"), "STORED");
    assert_eq!(client.set("few", b"3").expect("an answer"), "NOT_STORED");

    write("[queues.few]\nmax-queue-items = 3\nfsync = \"interval=20\"\n");
    assert!(is_bounded(&mut client, "few", "sync_journal=always"));
    assert_eq!(client.command("reload").expect("an answer"), "Reloaded config.");
    assert_eq!(client.set("few", b"3").expect("an answer"), "STORED");
    assert!(is_bounded(&mut client, "few", "sync_journal=interval=20"));
    assert!(is_bounded(&mut client, "others", "sync_journal=always"));
    server.stop();
}

#[test]
fn a_wrong_file_is_told_before_the_start() {
    let directory = TempDir::new("config");
    let file = directory.path().join("windhover.toml");
    fs::write(&file, "fsync = \"never\"\n[queues.events]\nmax-item-age = 60\n").expect("a file");
    let good = check_config(&file);
    assert_eq!(good.status.code(), Some(0), "{good:#?}");

    fs::write(&file, "fsink = \"never\"\nthreads = 0\n").expect("a file");
    let wrong = check_config(&file);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        wrong.stderr.contains(":1: unknown name `fsink`; the nearest that is known is `fsync`"),
        "{wrong:#?}"
    );

    fs::write(&file, "[queues.q]\nfsync = \"sometimes\"\n").expect("a file");
    let wrong = check_config(&file);
    assert!(wrong.stderr.contains(":2: `fsync`: `sometimes` is none of `always`"), "{wrong:#?}");

    fs::write(&file, "threads = 0\nqueue-name = \"a b\"\n").expect("a file");
    let wrong = check_config(&file);
    assert!(wrong.stderr.contains(":1: `threads` cannot be `0`"), "{wrong:#?}");
    let flag = file.to_string_lossy();
    let refused = Setup::new(directory.path().join("data")).flag("--config", &flag).refused();
    assert_eq!(refused.status.code(), Some(2), "{refused:#?}");
    fs::write(&file, "queue-name = \"a b\"\n").expect("a file");
    let wrong = check_config(&file);
    assert!(wrong.status.code() == Some(2) && wrong.stderr.contains("--queue-name"), "{wrong:#?}");
}
