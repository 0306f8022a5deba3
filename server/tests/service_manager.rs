//! What a service manager is told: systemd's protocol, by a socket that stands for it.
#![cfg(target_os = "linux")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, process};

use rustix::process::{Pid, Signal, kill_process};

/// Says "does not hang".
const BOUND: Duration = Duration::from_secs(30);

fn next(manager: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = manager.recv(&mut message).unwrap();
    str::from_utf8(&message[..length]).unwrap().to_owned()
}

/// Starts a server, has it stop once it has said that it lives, and returns what it said.
fn told(arguments: &[&str], socket: &Path) -> Vec<String> {
    let manager = UnixDatagram::bind(socket).unwrap();
    manager.set_read_timeout(Some(BOUND)).unwrap();
    let mut server: Child = Command::new(env!("CARGO_BIN_EXE_windhover"))
        .args(arguments)
        .env("NOTIFY_SOCKET", socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = vec![next(&manager), next(&manager)];
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    // It may have said once more that it lives.
    let last = loop {
        let message = next(&manager);
        if message != "WATCHDOG=1\n" {
            break message;
        }
    };
    told.push(last);
    assert!(server.wait().unwrap().success());
    told
}

#[test]
fn it_is_told_that_a_server_is_ready_lives_and_stops() {
    let folder = env::temp_dir().join(format!("windhover-manager-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let data = folder.join("data");
    let serve = ["serve", "--http", "127.0.0.1:0", "--queue-listen", "127.0.0.1:0", "--data"];
    let serve = [&serve[..], &[data.to_str().unwrap()]].concat();
    let cache = ["cache", "--listen", "127.0.0.1:0"];
    for (name, arguments) in [("serve", &serve[..]), ("cache", &cache[..])] {
        let said = told(arguments, &folder.join(name));
        assert_eq!(said, ["READY=1\n", "WATCHDOG=1\n", "STOPPING=1\n"], "{name}");
    }
    fs::remove_dir_all(folder).unwrap();
}
