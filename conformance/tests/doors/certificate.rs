//! A certificate that is swapped while peers come.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use windhover_conformance::{Authority, Runtime, TempDir, on_each_runtime, python, report};

use crate::ready::{Ready, text};

const BOUND: Duration = Duration::from_secs(60);

/// Clients that connect for each request, until they were shown a second certificate, and one that stays.
struct Load {
    listener: &'static str,
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Load {
    fn start(listener: &'static str, address: &str, trusted: &Path) -> Self {
        const AFTERWARDS: &str = "200";
        let mut command = python("doors.py");
        command.args(["swapped", listener, address, &text(trusted), AFTERWARDS]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the driver runs");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { listener, child, lines }
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(BOUND).ok()
    }

    /// What it says at its end, at which no request may have failed.
    fn end(self, runtime: Runtime) {
        let (second, count) = (self.line(), self.line());
        let ended = self.child.wait_with_output().expect("the driver ends");
        let fault = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {fault}", self.listener);
        let (Some(second), Some(count)) = (second, count) else {
            panic!("{}: no second certificate: {fault}", self.listener)
        };
        report(&format!(
            "{}, {} over TLS: {count}, none failed; the second certificate {second}",
            runtime.name(),
            self.listener
        ));
    }
}

fn a_certificate_is_swapped_under_load(runtime: Runtime) {
    let directory = TempDir::new("doors");
    let [trusted, chain, key] =
        ["ca.pem", "chain.pem", "key.pem"].map(|name| directory.path().join(name));
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
    let data = text(&directory.path().join("data"));
    let (shown, proof) = (text(&chain), text(&key));
    let more = ["--tls-cert", &shown, "--tls-key", &proof, "--runtime", runtime.name()];
    let listen = ["--http", "localhost:0", "--queue-listen", "localhost:0", "--data", &data];
    let cache = Ready::start(&[&["cache", "--listen", "localhost:0"], &more[..]].concat());
    let serve = Ready::start(&[&["serve"], &listen[..], &more].concat());
    let loads = [
        Load::start("cache", &cache.host_and_port("cache"), &trusted),
        Load::start("queue", &serve.host_and_port("queue"), &trusted),
        Load::start("http", &serve.host_and_port("tracker"), &trusted),
    ];
    for load in &loads {
        assert!(
            load.line().is_some_and(|line| line.ends_with("from request 0")),
            "{}",
            load.listener
        );
    }
    put(1);
    let hang_up = |text| {
        for server in [&cache, &serve] {
            server.hang_up(text);
        }
    };
    hang_up("the certificate was read again");
    // What cannot be used replaces nothing.
    std::fs::write(&key, "no key").expect("a file can be written");
    hang_up("the certificate cannot be used; the one before is kept");
    for load in loads {
        load.end(runtime);
    }
    cache.stop();
    serve.stop();
}

on_each_runtime!(a_certificate_is_swapped_under_load);
