//! The ring puts keys where pylibmc (libmemcached) and nutcracker (twemproxy) put them.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{Recorder, TempDir, eventually, free_address, python, report, run};
use windhover_core::client::ring::{HashTag, KeyHash, Member, Naming, Ring};

const KEYS: usize = 100_000;
const BOUND: Duration = Duration::from_secs(120);

/// The mean is 4: the ring keeps its other points when a server of that weight leaves.
const WEIGHTS: [u32; 8] = [1, 2, 3, 4, 4, 5, 6, 7];
const OF_MEAN_WEIGHT: usize = 3;
const HEAVIEST: usize = 7;

/// Each server as the peer is told of it, with its name on the ring.
type Servers = Vec<(String, u32)>;

/// Keys short and long, with bytes above 127, and with hash tags that are whole, empty and open.
fn keys() -> Vec<Vec<u8>> {
    let key = |number: usize| match number % 8 {
        0 => format!("user:{number}"),
        1 => format!("{number}"),
        2 => format!("session/{:016x}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        3 => format!("žluťoučký:kůň:{number}"),
        4 => format!("{{user{}}}:{number}", number / 64),
        5 => format!("{{}}{number}"),
        6 => format!("{{{number}"),
        _ => format!("{number}:{}", "x".repeat(number % 240)),
    };
    (0..KEYS).map(|number| key(number).into_bytes()).collect()
}

fn ring(servers: &[(String, u32)], naming: Naming) -> Ring {
    let members: Vec<Member<'_>> =
        servers.iter().map(|(name, weight)| Member::new(name.as_bytes(), *weight)).collect();
    Ring::new(&members, naming).expect("a ring takes so few")
}

fn choices(ring: &Ring, keys: &[Vec<u8>]) -> Vec<usize> {
    keys.iter().map(|key| ring.owner(key).expect("there are servers")).collect()
}

/// Which recorder each key came to; every key has to come once.
#[track_caller]
fn arrivals(recorders: &[Recorder], keys: &[Vec<u8>]) -> Vec<usize> {
    let mut came = HashMap::with_capacity(keys.len());
    for (server, recorder) in recorders.iter().enumerate() {
        for key in recorder.take_keys() {
            let before = came.insert(key.clone(), server);
            assert_eq!(before, None, "{} came twice", key.escape_ascii());
        }
    }
    assert_eq!(came.len(), keys.len(), "keys that came");
    keys.iter().map(|key| came[key]).collect()
}

#[track_caller]
fn assert_same(keys: &[Vec<u8>], ours: &[usize], theirs: &[usize]) {
    let differs = (0..keys.len()).filter(|&at| ours[at] != theirs[at]);
    let examples: Vec<String> = differs
        .clone()
        .take(5)
        .map(|at| format!("{}: {} not {}", keys[at].escape_ascii(), ours[at], theirs[at]))
        .collect();
    assert_eq!(differs.count(), 0, "of {} keys lie elsewhere: {examples:#?}", keys.len());
}

/// The places in the list after the server at `removed` left it, as they were before.
fn places_before(choices: &[usize], removed: usize) -> Vec<usize> {
    choices.iter().map(|&server| server + usize::from(server >= removed)).collect()
}

/// How many keys the removal of a server took from it, and how many went between others.
fn moves(before: &[usize], after: &[usize], removed: usize) -> (usize, usize) {
    let moved: Vec<usize> =
        (0..before.len()).filter(|&at| before[at] != after[at]).map(|at| before[at]).collect();
    let of_removed = moved.iter().filter(|&&server| server == removed).count();
    (of_removed, moved.len() - of_removed)
}

/// Gives the keys to `servers`, all of them and all but one, with `place`, which says where the peer
/// puts them; and checks that each lies where the ring says.
#[track_caller]
fn assert_agreement(
    title: &str,
    servers: &Servers,
    removed: usize,
    ring_of: impl Fn(&[(String, u32)]) -> Ring,
    place: impl Fn(&[(String, u32)], &[Vec<u8>]) -> Vec<usize>,
) -> (usize, usize) {
    let keys = keys();
    let mut fewer = servers.clone();
    fewer.remove(removed);
    let started = Instant::now();

    let before = place(servers, &keys);
    let after = place(&fewer, &keys);

    let seconds = started.elapsed().as_secs_f64();
    assert_same(&keys, &choices(&ring_of(servers), &keys), &before);
    assert_same(&keys, &choices(&ring_of(&fewer), &keys), &after);
    let (of_removed, of_others) = moves(&before, &places_before(&after, removed), removed);
    report(&format!(
        "{title}: {KEYS} keys on {} servers, the same; without server {removed}, {of_removed} of its \
         keys moved and {of_others} between others, the same; {seconds:.1} s",
        servers.len()
    ));
    (of_removed, of_others)
}

fn pylibmc(mode: &str, servers: &[(String, u32)], keys: &[Vec<u8>]) -> String {
    let directory = TempDir::new("sharding");
    let path = directory.path().join("keys");
    std::fs::write(&path, keys.join(&b'\n')).expect("a file can be written");
    let mut command = python("sharding.py");
    command.arg(mode).arg(path).args(servers.iter().map(|(name, weight)| {
        // pylibmc has no way to give a socket a weight.
        if name.starts_with('/') { name.clone() } else { format!("{name}:{weight}") }
    }));
    let outcome = run(&mut command, BOUND);
    outcome.expect_code(0);
    outcome.stdout
}

fn pylibmc_hashes(servers: &[(String, u32)], keys: &[Vec<u8>]) -> Vec<usize> {
    let places = pylibmc("hash", servers, keys);
    places.lines().map(|line| line.parse().expect("a place in the list")).collect()
}

fn libmemcached_ring(servers: &[(String, u32)]) -> Ring {
    ring(servers, Naming::Libmemcached)
}

fn weighted<const N: usize>(names: [&str; N], weights: [u32; N]) -> Servers {
    names.into_iter().map(str::to_owned).zip(weights).collect()
}

/// Keys go over the wire to servers on eight ports.
#[test]
fn pylibmc_asks_the_same_servers() {
    let (recorders, addresses): (Vec<_>, Vec<_>) = WEIGHTS.iter().map(|_| Recorder::tcp()).unzip();
    let servers: Servers = addresses.iter().map(SocketAddr::to_string).zip(WEIGHTS).collect();

    let (of_removed, of_others) = assert_agreement(
        "pylibmc",
        &servers,
        OF_MEAN_WEIGHT,
        libmemcached_ring,
        |servers, keys| {
            pylibmc("get", servers, keys);
            let arrived = arrivals(&recorders, keys);
            // The recorders are the same ones; the list may be shorter.
            let address_of = |recorder: usize| addresses[recorder].to_string();
            let place_of = |recorder| {
                let address = address_of(recorder);
                servers.iter().position(|(name, _)| *name == address).expect("it is in the list")
            };
            arrived.into_iter().map(place_of).collect()
        },
    );

    assert!(of_removed > 0);
    assert_eq!(of_others, 0, "keys that moved between servers that stay");
}

/// Names that no socket is needed for: pylibmc says where it would send a key.
#[test]
fn pylibmc_names_servers_the_same() {
    // 10.0.0.1:11399 and 10.0.0.1:11978 have a point in common, which the first in the list gets.
    let names = [
        "10.0.0.1:11211",
        "cache2:11211",
        "cache2:11212",
        "10.0.0.1:11978",
        "10.0.0.1:11399",
        "[::1]:11211",
        "[::1]:11212",
        "cache8.example.org:65535",
    ];
    let servers = weighted(names, WEIGHTS);
    let owners = libmemcached_ring(&servers).owners(b"user:20216").take(2).collect::<Vec<_>>();
    assert_eq!(owners, [3, 4], "one of the keys lies at that point");
    let (_, of_others) =
        assert_agreement("pylibmc, names", &servers, 4, libmemcached_ring, pylibmc_hashes);
    assert_eq!(of_others, 0, "keys that moved between servers that stay");

    // The mean weight falls, the others get more points than they had.
    let (_, of_others) =
        assert_agreement("pylibmc, names", &servers, HEAVIEST, libmemcached_ring, pylibmc_hashes);
    assert!(of_others > 0, "the case that the ring's documentation warns of");

    // Single precision makes 7 digests of 40·5·1/25.
    let servers = weighted(["a:1", "b:2", "c:3", "d:4", "e:5"], [1, 2, 3, 4, 15]);
    assert_agreement("pylibmc, rounding", &servers, 4, libmemcached_ring, pylibmc_hashes);

    let servers = weighted(["/run/a.sock", "/run/b.sock", "/run/c.sock"], [1, 1, 1]);
    assert_agreement("pylibmc, sockets", &servers, 0, libmemcached_ring, pylibmc_hashes);
}

/// nutcracker with one pool. It is killed on drop.
struct Nutcracker {
    child: Child,
    address: SocketAddr,
    _files: TempDir,
}

impl Nutcracker {
    /// Starts it with a pool of `servers`, as its configuration writes them, and `settings`.
    #[track_caller]
    fn start(settings: &[&str], servers: &[String]) -> Self {
        let files = TempDir::new("nutcracker");
        let path = files.path().join("nutcracker.yml");
        let [address, stats] = [free_address(), free_address()];
        let mut text = format!("pool:\n  listen: {address}\n  distribution: ketama\n");
        for setting in settings {
            writeln!(text, "  {setting}").expect("a string takes text");
        }
        text.push_str("  servers:\n");
        for server in servers {
            writeln!(text, "  - {server}").expect("a string takes text");
        }
        std::fs::write(&path, text).expect("a file can be written");

        let mut command = Command::new("nutcracker");
        command.args(["-a", "127.0.0.1", "-s", &stats.port().to_string()]).arg("-c").arg(&path);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nutcracker runs; `conformance/run` installs it");
        let nutcracker = Self { child, address, _files: files };
        eventually("nutcracker listens", BOUND, || TcpStream::connect(address).ok());
        nutcracker
    }

    /// Sets every key through it.
    #[track_caller]
    fn set(&self, keys: &[Vec<u8>]) {
        let mut to = TcpStream::connect(self.address).expect("nutcracker takes a connection");
        to.set_read_timeout(Some(BOUND)).expect("a socket takes a time limit");
        to.set_write_timeout(Some(BOUND)).expect("a socket takes a time limit");
        let mut from = to.try_clone().expect("a socket can be shared");
        let mut replies = vec![0; keys.len() * b"STORED\r\n".len()];
        let reader = thread::spawn(move || {
            from.read_exact(&mut replies).expect("nutcracker answers");
            replies
        });
        for batch in keys.chunks(1000) {
            let sets: Vec<u8> = batch
                .iter()
                .flat_map(|key| [b"set ", &key[..], b" 0 0 0\r\n\r\n"].concat())
                .collect();
            to.write_all(&sets).expect("nutcracker reads");
        }
        let replies = reader.join().expect("the reader ends");
        let stored = replies.chunks(8).filter(|reply| reply == b"STORED\r\n").count();
        assert_eq!(stored, keys.len(), "keys that were stored");
    }
}

impl Drop for Nutcracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Servers that are told to nutcracker by address and name.
#[test]
fn nutcracker_sends_keys_to_the_same_named_servers() {
    let (recorders, addresses): (Vec<_>, Vec<_>) = WEIGHTS.iter().map(|_| Recorder::tcp()).unzip();
    // cache501 and cache25 have a point in common, which the shorter name gets.
    let names = ["one", "two", "three", "cache501", "cache25", "10.0.0.1:11211", "seven", "eight"];
    let servers = weighted(names, WEIGHTS);
    let named_ring = |servers: &[(String, u32)]| ring(servers, Naming::AsIs);
    let owners = named_ring(&servers).owners(b"user:31312").take(2).collect::<Vec<_>>();
    assert_eq!(owners, [4, 3], "one of the keys lies at that point");
    let place = |servers: &[(String, u32)], keys: &[Vec<u8>]| {
        let recorder_of = |name: &str| names.iter().position(|&known| known == name);
        let own: Vec<usize> = servers.iter().filter_map(|(name, _)| recorder_of(name)).collect();
        let line = |(&recorder, (name, weight)): (&usize, &(String, u32))| {
            format!("{}:{weight} {name}", addresses[recorder])
        };
        let lines: Vec<String> = own.iter().zip(servers).map(line).collect();
        Nutcracker::start(&["hash: md5"], &lines).set(keys);
        let place_of = |recorder| own.iter().position(|&known| known == recorder);
        let arrived = arrivals(&recorders, keys).into_iter();
        arrived.map(|recorder| place_of(recorder).expect("it is in the list")).collect()
    };

    let (of_removed, of_others) =
        assert_agreement("nutcracker, names", &servers, OF_MEAN_WEIGHT, named_ring, place);
    assert!(of_removed > 0);
    assert_eq!(of_others, 0, "keys that moved between servers that stay");

    let (_, of_others) =
        assert_agreement("nutcracker, names", &servers, HEAVIEST, named_ring, place);
    assert!(of_others > 0, "the case that the ring's documentation warns of");
}

/// Servers without names, the key hash that twemproxy takes by default, and hash tags.
#[test]
fn nutcracker_hashes_keys_and_addresses_the_same() {
    let (recorders, addresses): (Vec<_>, Vec<_>) = WEIGHTS.iter().map(|_| Recorder::tcp()).unzip();
    let servers: Servers = addresses.iter().map(SocketAddr::to_string).zip(WEIGHTS).collect();
    let keys = keys();
    let lines: Vec<String> =
        servers.iter().map(|(name, weight)| format!("{name}:{weight}")).collect();
    let bare = ring(&servers, Naming::TwemproxyAddress).with_key_hash(KeyHash::Fnv1a64);
    let tagged = bare.clone().with_hash_tag(HashTag { open: b'{', close: b'}' });

    Nutcracker::start(&[], &lines).set(&keys);
    assert_same(&keys, &choices(&bare, &keys), &arrivals(&recorders, &keys));

    Nutcracker::start(&["hash_tag: \"{}\""], &lines).set(&keys);
    assert_same(&keys, &choices(&tagged, &keys), &arrivals(&recorders, &keys));
}

/// Sockets without names, and weights whose shares are not what they are in real numbers.
#[test]
fn nutcracker_names_sockets_the_same() {
    let directory = TempDir::new("ketama");
    let weights = [1, 2, 3, 4, 15];
    let paths = weights.map(|weight| directory.path().join(weight.to_string()));
    let recorders = [0, 1, 2, 3, 4].map(|server: usize| Recorder::unix(&paths[server]));
    let servers: Servers =
        paths.iter().map(|path| path.display().to_string()).zip(weights).collect();
    let lines: Vec<String> =
        servers.iter().map(|(name, weight)| format!("{name}:{weight}")).collect();
    let keys = keys();

    Nutcracker::start(&["hash: md5"], &lines).set(&keys);

    let ring = ring(&servers, Naming::TwemproxyAddress);
    assert_same(&keys, &choices(&ring, &keys), &arrivals(&recorders, &keys));
}
