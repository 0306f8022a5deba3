//! Every listener behind everything that can stand before one, and the client libraries that go through.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use windhover_conformance::{Authority, Runtime, TempDir, on_each_runtime, python, report, run};

use crate::ready::{Ready, text};

const BOUND: Duration = Duration::from_secs(120);
const USER: &str = "ann:secret";
const LISTENERS: [&str; 3] = ["cache", "queue", "http"];

/// What stands before the listeners of a server.
#[derive(Clone, Copy)]
struct Door {
    name: &'static str,
    is_unix: bool,
    has_tls: bool,
    /// Of the memcache ports: HTTP has none, and takes events as before.
    has_users: bool,
}

const fn door(name: &'static str, is_unix: bool, has_tls: bool, has_users: bool) -> Door {
    Door { name, is_unix, has_tls, has_users }
}

const DOORS: [Door; 8] = [
    door("host name", false, false, false),
    door("host name, TLS", false, true, false),
    door("host name, password", false, false, true),
    door("host name, TLS, password", false, true, true),
    door("Unix socket", true, false, false),
    door("Unix socket, TLS", true, true, false),
    door("Unix socket, password", true, false, true),
    door("Unix socket, TLS, password", true, true, true),
];

/// Those that can go through it, as far as their own documents say.
fn libraries(listener: &str, door: Door) -> Vec<&'static str> {
    match (listener, door.is_unix, door.has_tls) {
        ("http", false, _) => vec!["mixpanel", "httpx", "aiohttp", "aiomixpanel"],
        ("http", true, false) => vec!["httpx", "aiohttp", "aiomixpanel"],
        ("http", true, true) => vec!["httpx"],
        (_, false, false) => vec!["pymemcache", "pylibmc", "aiomcache", "emcache"],
        (_, false, true) => vec!["pymemcache", "emcache"],
        (_, true, false) => vec!["pymemcache", "pylibmc", "emcache"],
        (_, true, true) => vec!["pymemcache"],
    }
}

/// The files that servers and clients are given.
struct Files {
    directory: TempDir,
    authority: String,
    users: String,
    tls: [String; 4],
}

/// A cache and a `serve` behind such a door; where each listener is.
fn start(
    runtime: Runtime,
    number: usize,
    door: Door,
    files: &Files,
) -> ([Ready; 2], [String; LISTENERS.len()]) {
    let at = |listener: &str| {
        let path = files.directory.path().join(format!("{listener}{number}.sock"));
        if door.is_unix { format!("unix:{}?mode=0660", text(&path)) } else { "localhost:0".into() }
    };
    let [cache, queue, http] = LISTENERS.map(at);
    let data = text(&files.directory.path().join(format!("data{number}")));
    let mut more = vec!["--runtime", runtime.name(), "--threads", "1"];
    if door.has_tls {
        more.extend(files.tls.iter().map(String::as_str));
    }
    if door.has_users {
        more.extend(["--auth-file", &files.users]);
    }
    let serve = ["serve", "--http", &http, "--queue-listen", &queue, "--data", &data];
    let servers = [
        Ready::start(&[&["cache", "--listen", &cache], &more[..]].concat()),
        Ready::start(&[&serve[..], &more].concat()),
    ];
    let place = |server: &Ready, label: &str| {
        let place = server.places(label).remove(0);
        match place.strip_prefix("unix:") {
            Some(path) => {
                let mode = std::fs::metadata(path).expect("the socket is there").permissions();
                assert_eq!(mode.mode() & 0o777, 0o660, "{path}");
                path.to_owned()
            }
            None => server.host_and_port(label),
        }
    };
    let [cache, serve] = &servers;
    let places = [place(cache, "cache"), place(serve, "queue"), place(serve, "tracker")];
    (servers, places)
}

fn client_libraries_go_through_every_door_of_every_listener(runtime: Runtime) {
    let (directory, authority) = (TempDir::new("doors"), Authority::new());
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        text(&path)
    };
    let certificate = authority.sign("localhost");
    let tls = ["--tls-cert", &text(&certificate.chain), "--tls-key", &text(&certificate.key)]
        .map(String::from);
    let (authority, users) = (write("ca.pem", &authority.pem()), write("users", USER));
    let files = Files { directory, authority, users, tls };

    let (mut servers, mut rows) = (Vec::new(), Vec::new());
    for (number, door) in DOORS.into_iter().enumerate() {
        let (both, places) = start(runtime, number, door, &files);
        servers.extend(both);
        // Events are sent before they are read.
        for (listener, address) in LISTENERS.into_iter().zip(places).rev() {
            let user = (door.has_users && listener != "http").then_some(USER);
            rows.push(serde_json::json!({
                "listener": listener,
                "door": door.name,
                "address": address,
                "authority": door.has_tls.then_some(&files.authority),
                "user": user,
            }));
        }
    }
    let doors = files.directory.path().join("doors.json");
    let rows = serde_json::Value::from(rows).to_string();
    std::fs::write(&doors, rows).expect("a file can be written");
    let outcome = run(python("doors.py").arg("through").arg(&doors), BOUND);
    let went: BTreeMap<(&str, &str), Vec<&str>> = outcome
        .expect_code(0)
        .stdout
        .lines()
        .filter_map(|line| {
            let (listener, rest) = line.split_once('\t')?;
            let (door, libraries) = rest.split_once('\t')?;
            Some(((listener, door), libraries.split(' ').collect()))
        })
        .collect();
    for door in DOORS {
        for listener in LISTENERS {
            let found = went.get(&(listener, door.name)).map_or(&[][..], |found| &found[..]);
            report(&format!(
                "{:9} {listener:5} {:26} {}",
                runtime.name(),
                door.name,
                found.join(", ")
            ));
            assert_eq!(found, libraries(listener, door), "{listener}, {}", door.name);
        }
    }
    servers.into_iter().for_each(Ready::stop);
    let left = std::fs::read_dir(files.directory.path()).expect("the directory is there");
    let mut left = left.filter_map(Result::ok).map(|entry| entry.path());
    let socket = left.find(|path| path.extension().is_some_and(|extension| extension == "sock"));
    assert_eq!(socket, None, "the file of a socket goes with its server");
}

on_each_runtime!(client_libraries_go_through_every_door_of_every_listener);
