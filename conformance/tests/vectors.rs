//! Every vector, against the codec, `windhover cache`, the embedded queue and the real memcached.
#![allow(clippy::panic, clippy::expect_used)]

use std::{env, fs, path::Path};

use windhover_conformance::vectors::{
    self, Player, ServerKind, Vector, index, play_codec, play_socket,
};
use windhover_conformance::{
    CacheServer, Runtime, Setup, TempDir, memcached_version, on_each_runtime, report,
};

/// Plays with `play` what is for `player`; panics with every failure.
fn play_all(player: Player, mut play: impl FnMut(&Vector) -> Result<(), String>) {
    let vectors = vectors::load();
    // WINDHOVER_VECTORS=meta-get plays those whose file or name contains it.
    let wanted = env::var("WINDHOVER_VECTORS").unwrap_or_default();
    let mut failures = Vec::new();
    let mut played = 0;
    for vector in vectors.iter().filter(|vector| vector.is_for(player)) {
        if vector.file.contains(&wanted) || vector.name.contains(&wanted) {
            played += 1;
            if let Err(error) = play(vector) {
                failures.push(format!("{vector}: {error}"));
            }
        }
    }
    let count = failures.len();
    assert!(count == 0, "{count} of {played} vectors fail:\n\n{}", failures.join("\n\n"));
    report(&format!("{}: {played} vectors", player.name()));
}

#[test]
fn the_codec_plays_every_vector_at_every_split_point() {
    play_all(Player::Codec, play_codec);
}

/// Plays on a shared server, or on one of its own where the vector asks for one.
fn play_on(
    vector: &Vector,
    shared: &CacheServer,
    own: impl Fn() -> CacheServer,
) -> Result<(), String> {
    if vector.server == ServerKind::Shared {
        shared.flush();
        return play_socket(vector, shared.address());
    }
    play_socket(vector, own().address())
}

fn windhover_cache_plays_every_vector(runtime: Runtime) {
    let start = || CacheServer::windhover(runtime, &["--memory", "64", "--threads", "1"]);
    let shared = start();
    play_all(Player::Cache, |vector| play_on(vector, &shared, start));
}

#[test]
fn memcached_plays_every_vector_that_is_true_of_its_version() {
    let shared = CacheServer::memcached(&["-m", "64"]);
    let version = memcached_version();
    let mut others = 0;
    play_all(Player::Memcached, |vector| {
        if !vector.is_true_of(&version) {
            others += 1;
            return Ok(());
        }
        play_on(vector, &shared, || match vector.server {
            ServerKind::Shutdown => CacheServer::memcached(&["-A"]),
            ServerKind::Authentication => CacheServer::memcached_with_authentication(),
            _ => CacheServer::memcached(&["-m", "64"]),
        })
    });
    report(&format!("of these, {others} are of other versions than {version:?}"));
}

fn the_queue_plays_every_vector(runtime: Runtime) {
    let directory = TempDir::new("vectors");
    let config = vectors::directory().join("kestrel.toml");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let server = setup.flag("--config", &config.to_string_lossy()).start();
    play_all(Player::Queue, |vector| {
        if vector.server != ServerKind::Shared {
            return play_on_own_queue(vector, runtime);
        }
        let client = &mut server.queue_client();
        let mut command = |line: &str| client.command(line).map_err(|error| error.to_string());
        assert_eq!(command("status up"), Ok("END".to_owned()));
        let flushed = command("flush_all");
        assert_eq!(flushed, Ok("Flushed all queues.".to_owned()));
        play_socket(vector, server.queue())
    });
    server.stop();
}

/// Plays on a queue with nothing in it, and with users where the vector asks for that.
fn play_on_own_queue(vector: &Vector, runtime: Runtime) -> Result<(), String> {
    let directory = TempDir::new("vectors");
    let users = directory.path().join("users");
    fs::write(&users, "name:secret\n").expect("a file");
    let mut setup = Setup::new(directory.path().join("data")).runtime(runtime);
    if vector.server == ServerKind::Authentication {
        setup = setup.flag("--auth-file", &users.to_string_lossy());
    }
    let server = setup.start();
    let played = play_socket(vector, server.queue());
    server.stop();
    played
}

#[test]
fn the_index_is_current_and_leaves_no_section_out() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("INDEX.md");
    let drawn = index(&vectors::load());
    if env::var_os("WINDHOVER_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &drawn).expect("the index can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = drawn.lines().zip(kept.lines()).position(|(drawn, kept)| drawn != kept);
    assert!(
        drawn == kept,
        "conformance/INDEX.md is not what the vectors say (line {}): run this test with WINDHOVER_BLESS=1",
        differs.unwrap_or_else(|| drawn.lines().count().min(kept.lines().count())) + 1
    );
}

#[test]
fn every_command_every_flag_and_every_error_line_has_a_vector() {
    assert_eq!(vectors::missing(&vectors::load()), vectors::Missing::default());
}

#[test]
fn there_are_enough_of_them() {
    assert!(vectors::load().len() >= 400);
}

on_each_runtime!(windhover_cache_plays_every_vector, the_queue_plays_every_vector);
