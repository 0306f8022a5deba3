//! Client libraries through every kind of door.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use windhover_conformance::{Authority, Runtime, TempDir, on_each_runtime, python, report, run};

use crate::ready::Ready;

const BOUND: Duration = Duration::from_secs(60);
const USER: &str = "ann:secret";

/// Runs the driver, which has to succeed; what it printed.
fn drive(arguments: &[&str]) -> String {
    run(driver().args(arguments), BOUND).expect_code(0).stdout.clone()
}

fn driver() -> Command {
    python("doors.py")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn by_a_unix_socket(runtime: Runtime) {
    let directory = TempDir::new("doors");
    let path = directory.path().join("cache.sock");
    let listen = format!("unix:{}?mode=0660", text(&path));
    let server = Ready::start(&["cache", "--listen", &listen, "--runtime", runtime.name()]);
    assert_eq!(server.places("cache"), [format!("unix:{}", text(&path))]);
    assert_eq!(mode_of(&path), 0o660);
    drive(&["cache", &text(&path), "-", "-"]);
    server.stop();
    assert!(!path.exists(), "the file goes with the server");
}

fn by_tls_with_a_password(runtime: Runtime) {
    let (directory, authority) = (TempDir::new("doors"), Authority::new());
    let (trusted, users) = (directory.path().join("ca.pem"), directory.path().join("users"));
    std::fs::write(&trusted, authority.pem()).expect("a file can be written");
    std::fs::write(&users, format!("bob:other\n{USER}\n")).expect("a file can be written");
    let certificate = authority.sign("localhost");
    let (chain, key) = (text(&certificate.chain), text(&certificate.key));
    let tls = ["--tls-cert", &chain, "--tls-key", &key, "--auth-file", &text(&users)];
    let base = ["cache", "--listen", "localhost:0", "--runtime", runtime.name()];
    let server = Ready::start(&[&base[..], &tls].concat());
    let place = server.places("cache").remove(0);
    let port = place.rsplit(':').next().unwrap_or_default();
    drive(&["cache", &format!("localhost:{port}"), &text(&trusted), USER]);

    std::fs::write(&users, "ann:new\n").expect("a file can be written");
    server.hang_up("the file of users was read again");
    drive(&["cache", &format!("localhost:{port}"), &text(&trusted), "ann:new"]);
    server.stop();
}

/// A server whose tracker and queue speak TLS at a host name.
fn secured(
    runtime: Runtime,
    directory: &TempDir,
    (chain, key): (&Path, &Path),
    more: &[&str],
) -> (Ready, [String; 2]) {
    let data = text(&directory.path().join("data"));
    let (chain, key) = (text(chain), text(key));
    let base = ["serve", "--http", "localhost:0", "--queue-listen", "localhost:0"];
    let rest = ["--data", &data, "--tls-cert", &chain, "--tls-key", &key];
    let on = ["--runtime", runtime.name(), "--tls", "http,queue"];
    let server = Ready::start(&[&base[..], &rest, &on, more].concat());
    let port = |label: &str| {
        let place = server.places(label).remove(0);
        let place = place.trim_start_matches("https://").trim_end_matches("/track");
        format!("localhost:{}", place.rsplit(':').next().unwrap_or_default())
    };
    let places = [port("tracker"), port("queue")];
    (server, places)
}

fn events_by_https_and_a_queue_by_tls(runtime: Runtime) {
    let (directory, authority) = (TempDir::new("doors"), Authority::new());
    let (trusted, users) = (directory.path().join("ca.pem"), directory.path().join("users"));
    std::fs::write(&trusted, authority.pem()).expect("a file can be written");
    std::fs::write(&users, USER).expect("a file can be written");
    let certificate = authority.sign("localhost");
    let files = (&*certificate.chain, &*certificate.key);
    let (server, [tracker, queue]) =
        secured(runtime, &directory, files, &["--auth-file", &text(&users)]);
    let url = format!("https://{tracker}/track");
    drive(&["track", &url, &text(&trusted), &queue, USER]);
    assert_eq!(mode_of(&directory.path().join("data")), 0o700);
    server.stop();
}

fn a_certificate_is_swapped_under_load(runtime: Runtime) {
    const CONNECTIONS: &str = "200";
    let directory = TempDir::new("doors");
    let (trusted, chain, key) =
        ["ca.pem", "chain.pem", "key.pem"].map(|name| directory.path().join(name)).into();
    let authorities = [Authority::new(), Authority::new()];
    std::fs::write(&trusted, authorities.each_ref().map(Authority::pem).concat())
        .expect("a file can be written");
    let certificates = authorities.each_ref().map(|authority| authority.sign("localhost"));
    let put = |number: usize| {
        for (from, to) in [(&certificates[number].chain, &chain), (&certificates[number].key, &key)]
        {
            std::fs::copy(from, to).expect("a file can be copied");
        }
    };
    put(0);
    let (server, [tracker, _]) = secured(runtime, &directory, (&chain, &key), &[]);
    let mut requests = driver();
    requests.args(["swapped", &tracker, &text(&trusted), CONNECTIONS]);
    let requests = requests.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut requests = requests.expect("the driver runs");
    let mut lines = BufReader::new(requests.stdout.take().expect("stdout is piped")).lines();
    let mut shown = move || lines.next().and_then(Result::ok);
    let first = shown();
    put(1);
    server.hang_up("the certificate was read again");
    // What cannot be used replaces nothing.
    std::fs::write(&key, "no key").expect("a file can be written");
    server.hang_up("the certificate cannot be used; the one before is kept");
    let second = shown();
    let ended = requests.wait_with_output().expect("the driver ends");
    assert!(ended.status.success(), "{first:?}: {}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(shown(), None);
    report(&format!("{}: no request failed: {first:?}, {second:?}", runtime.name()));
    assert!(first.is_some() && second.is_some());
    server.stop();
}

on_each_runtime!(
    by_a_unix_socket,
    by_tls_with_a_password,
    events_by_https_and_a_queue_by_tls,
    a_certificate_is_swapped_under_load,
);
