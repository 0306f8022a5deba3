//! A full disk and a file system that turned read-only: "not accepted", and recovery.
#![allow(clippy::panic, clippy::expect_used)]

use std::time::Duration;

use windhover_conformance::{
    HttpAnswer, HttpClient, MountNamespace, Runtime, Server, Setup, TempDir, eventually,
    on_each_runtime, report,
};

const BOUND: Duration = Duration::from_secs(20);

/// A server whose data is on a tmpfs of 8 MiB, 4 MiB of which a ballast file takes.
fn start(directory: &TempDir, runtime: Runtime) -> (MountNamespace, Setup, Server) {
    let disk = directory.path().join("disk");
    std::fs::create_dir(&disk).expect("a directory to mount on");
    let namespace = MountNamespace::with_tmpfs(&disk, "8m");
    shell(&namespace, "head -c 4194304 /dev/zero >$dir/ballast");
    let setup = Setup::new(disk.join("data"))
        .runtime(runtime)
        .within(namespace.enter())
        .flag("--segment-bytes", "1048576");
    let server = setup.start();
    (namespace, setup, server)
}

fn shell(namespace: &MountNamespace, line: &str) {
    namespace.shell(line).expect_code(0);
}

/// Takes what room the events left, down to the last page.
fn take_the_rest(namespace: &MountNamespace) {
    let outcome = namespace.shell("head -c 16777216 /dev/zero >$dir/rest");
    assert!(outcome.stderr.contains("No space left"), "{outcome:?}");
}

/// Sends events of 8 KiB, each with its number, until one is not accepted.
fn fill(client: &mut HttpClient, accepted: &mut Vec<u64>) -> HttpAnswer {
    for _ in 0..4096 {
        let number = *accepted.last().unwrap_or(&0) + 1;
        let answer = track(client, number);
        if !answer.accepted() {
            return answer;
        }
        accepted.push(number);
    }
    panic!("32 MiB of events went on a disk of 8 MiB");
}

fn track(client: &mut HttpClient, number: u64) -> HttpAnswer {
    let pad = "p".repeat(250);
    let pads: Vec<_> = (0..32).map(|at| format!(r#""pad{at}":"{pad}""#)).collect();
    let event = format!(
        r#"{{"event":"fill","properties":{{"token":"t","n":{number},{}}}}}"#,
        pads.join(",")
    );
    client.track(&event).expect("the tracker answers and keeps the connection")
}

#[track_caller]
fn assert_not_accepted(answer: &HttpAnswer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.text().trim_end(), "0");
    let wait = answer.header("retry-after").and_then(|value| value.parse().ok());
    assert!(wait.is_some_and(|seconds: u32| seconds > 0), "{answer:?}");
}

#[track_caller]
fn assert_up_but_not_ready(server: &Server) {
    let mut client = server.http_client();
    assert_eq!(client.get("/healthz").expect("an answer").status, 200);
    assert_eq!(client.get("/readyz").expect("an answer").status, 503);
}

/// Sends until an event is accepted again; then the server calls itself ready too.
#[track_caller]
fn assert_recovers(server: &Server, client: &mut HttpClient, accepted: &mut Vec<u64>) {
    // A number of its own for each try: what was refused must not appear.
    let mut number = accepted.last().unwrap_or(&0) + 2_000_000;
    eventually("an event accepted again", BOUND, || {
        number += 1;
        track(client, number).accepted().then_some(())
    });
    accepted.push(number);
    eventually("ready again", BOUND, || {
        let answer = server.http_client().get("/readyz").expect("an answer");
        (answer.status == 200).then_some(())
    });
}

/// Everything accepted is in the queue, once and in order, and nothing that was refused; again
/// after a restart.
#[track_caller]
fn assert_holds(server: Server, setup: &Setup, accepted: &[u64]) {
    let mut queue = server.queue_client();
    let half = accepted.len() / 2;
    let first: Vec<_> =
        (0..half).map(|_| queue.get("events").expect("an item").expect("an item")).collect();
    server.stop();
    let server = setup.start();
    let rest = server.queue_client().drain("events").expect("items");
    let seen: Vec<_> = first.iter().chain(&rest).map(|item| number(item)).collect();
    assert_eq!(seen, accepted);
    server.stop();
}

fn number(item: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(item).expect("an item is JSON");
    value["properties"]["n"].as_u64().expect("an item has its number")
}

fn a_full_disk_is_answered_not_accepted_until_there_is_room(runtime: Runtime) {
    let directory = TempDir::new("disk");
    let (namespace, setup, server) = start(&directory, runtime);
    let mut client = server.http_client();
    let mut accepted = Vec::new();

    assert_not_accepted(&fill(&mut client, &mut accepted));
    take_the_rest(&namespace);
    assert!(accepted.len() > 100, "{} events on 4 MiB", accepted.len());
    assert_up_but_not_ready(&server);
    let next = accepted.last().expect("some were accepted") + 1_000_000;
    assert_not_accepted(&track(&mut client, next));

    shell(&namespace, "rm $dir/ballast $dir/rest");
    assert_recovers(&server, &mut client, &mut accepted);
    report(&format!("{} events accepted around a full disk", accepted.len()));
    assert_holds(server, &setup, &accepted);
}

fn a_full_disk_drains_and_recovers_by_itself(runtime: Runtime) {
    let directory = TempDir::new("disk");
    let (_namespace, setup, server) = start(&directory, runtime);
    let mut client = server.http_client();
    let mut accepted = Vec::new();
    assert_not_accepted(&fill(&mut client, &mut accepted));

    let mut queue = server.queue_client();
    let half = accepted.len() / 2;
    let seen: Vec<_> = (0..half)
        .map(|_| number(&queue.get("events").expect("a full disk is read").expect("an item")))
        .collect();
    assert_eq!(seen, accepted[..half]);
    accepted.drain(..half);

    assert_recovers(&server, &mut client, &mut accepted);
    assert_holds(server, &setup, &accepted);
}

fn a_file_system_turned_read_only_is_answered_not_accepted_until_it_is_writable(runtime: Runtime) {
    let directory = TempDir::new("disk");
    let (namespace, setup, server) = start(&directory, runtime);
    let mut client = server.http_client();
    let mut accepted = Vec::new();

    // A remount is refused while a file is open for writing. The server closes its segment after
    // a write that failed, so the disk is filled first; a look whether there is room again may
    // still be under way.
    assert_not_accepted(&fill(&mut client, &mut accepted));
    take_the_rest(&namespace);
    eventually("the disk is read-only", BOUND, || {
        let outcome = namespace.shell("mount -o remount,ro $dir");
        outcome.status.success().then_some(())
    });
    assert!(namespace.shell("touch $dir/anything").stderr.contains("Read-only"));
    let next = accepted.last().expect("some were accepted") + 1_000_000;
    assert_not_accepted(&track(&mut client, next));
    assert_up_but_not_ready(&server);

    shell(&namespace, "mount -o remount,rw $dir && rm $dir/ballast $dir/rest");
    assert_recovers(&server, &mut client, &mut accepted);
    report(&format!("{} events accepted around a read-only file system", accepted.len()));
    assert_holds(server, &setup, &accepted);
}

on_each_runtime!(
    a_full_disk_is_answered_not_accepted_until_there_is_room,
    a_full_disk_drains_and_recovers_by_itself,
    a_file_system_turned_read_only_is_answered_not_accepted_until_it_is_writable,
);
