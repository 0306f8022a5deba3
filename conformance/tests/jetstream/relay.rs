//! `windhover relay`: a queue goes from a server to JetStream and back, while the relay and the servers of both
//! sides are killed. `WINDHOVER_RELAY_ITEMS=1000000` for a long run.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use windhover_conformance::{
    NatsCluster, NatsVersion, Random, Server, Setup, TempDir, full_binary, report, run,
};

/// How often somebody is killed on each way.
const KILLS: u32 = 3;

fn items() -> usize {
    std::env::var("WINDHOVER_RELAY_ITEMS").map_or(3000, |items| items.parse().unwrap())
}

/// Half of them have an identity, by which JetStream knows them again.
fn item(number: usize) -> String {
    if number.is_multiple_of(2) {
        format!(
            r#"{{"event":"e","properties":{{"token":"t","time":5,"mp_processing_time_ms":6,"$insert_id":"i{number}"}}}}"#
        )
    } else {
        format!("item {number}")
    }
}

/// Puts all items into the queue, many at a time.
fn fill(queue: SocketAddr) {
    let mut writer = TcpStream::connect(queue).unwrap();
    let mut replies = BufReader::new(writer.try_clone().unwrap());
    let numbers: Vec<usize> = (0..items()).collect();
    for part in numbers.chunks(500) {
        let mut sent = Vec::new();
        for item in part.iter().map(|number| item(*number)) {
            write!(sent, "set events 0 0 {}\r\n{item}\r\n", item.len()).unwrap();
        }
        writer.write_all(&sent).unwrap();
        for _ in part {
            let mut reply = String::new();
            replies.read_line(&mut reply).unwrap();
            assert_eq!(reply, "STORED\r\n");
        }
    }
}

fn start(data: &TempDir, at: Option<SocketAddr>) -> Server {
    let setup = Setup::new(data.path()).program(full_binary()).flag("--fsync", "never");
    at.map_or(setup.clone(), |at| setup.queue_at(at)).start()
}

fn relay(from: &str, to: &str) -> Command {
    let mut command = Command::new(full_binary());
    command.args(["relay", "--json", "--from", from, "--to", to]);
    command
}

/// A relay that runs. It is killed on drop.
struct Running(Child);

impl Running {
    fn start(from: &str, to: &str) -> Self {
        let mut command = relay(from, to);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Moves all of it while the relay and both servers are killed, then once more in peace; what the last one said.
fn move_all(
    from: &str,
    to: &str,
    server: &mut Option<Server>,
    data: &TempDir,
    nats: &mut NatsCluster,
    random: &mut Random,
) -> Value {
    let longest = 150 + items() as u64 / 100;
    for kill in 0..KILLS {
        let running = Running::start(from, to);
        std::thread::sleep(random.millis(50, 50 + longest));
        match kill % 3 {
            0 => {}
            1 => {
                let before = server.take().unwrap();
                let address = before.queue();
                before.kill();
                *server = Some(start(data, Some(address)));
            }
            _ => {
                nats.kill(0);
                nats.restart(0);
            }
        }
        std::thread::sleep(random.millis(0, longest));
        drop(running);
    }
    let outcome = run(&mut relay(from, to), Duration::from_secs(600));
    outcome.expect_code(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn counted(items: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(String::from_utf8(item).unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn a_queue_goes_to_jetstream_and_back_whoever_is_killed() {
    let mut random = Random::from_environment();
    let data = TempDir::new("relay");
    let mut nats = NatsCluster::start(NatsVersion::Newest, 1, "");
    let mut server = Some(start(&data, None));
    let queue = server.as_ref().unwrap().queue();
    fill(queue);
    let (kestrel, stream) = (format!("kestrel://{queue}"), nats.url("moved"));

    let begun = Instant::now();
    let there = move_all(&kestrel, &stream, &mut server, &data, &mut nats, &mut random);
    let took_there = begun.elapsed();
    let left = server.as_ref().unwrap().queue_client().drain("events").unwrap();
    assert_eq!(left.len(), 0, "nothing is left where it was");

    let begun = Instant::now();
    let back = move_all(&stream, &kestrel, &mut server, &data, &mut nats, &mut random);
    let took_back = begun.elapsed();
    let counts = counted(server.as_ref().unwrap().queue_client().drain("events").unwrap());
    let expected: Vec<String> = {
        let mut items: Vec<String> = (0..items()).map(item).collect();
        items.sort();
        items
    };
    let missing = expected.iter().filter(|item| !counts.contains_key(*item)).count();
    let twice = counts.values().filter(|count| **count > 1).count();
    report(&format!(
        "relay of {} items: there in {took_there:?}, back in {took_back:?}, with {KILLS} kills on each way; {missing} \
         missing, {twice} came more than once; the last relays moved {} and {}",
        items(),
        there["moved"],
        back["moved"],
    ));
    assert!(counts.keys().eq(expected.iter()), "{missing} are missing");
}

#[test]
fn directories_are_places_too_and_what_is_wrong_has_its_exit_code() {
    let (first, second) = (TempDir::new("relay-from"), TempDir::new("relay-to"));
    let (from, to) = (first.path().to_str().unwrap(), second.path().to_str().unwrap());
    let server = start(&first, None);
    fill_some(&server);
    let bound = Duration::from_secs(60);
    run(&mut relay(from, to), bound).expect_code(4);
    server.stop();

    run(&mut relay(from, from), bound).expect_code(2);
    run(&mut relay(from, "nats://n1"), bound).expect_code(2);
    run(relay(from, to).args(["--queue", "a/b"]), bound).expect_code(2);
    let mut stuck = relay(from, "kestrel://127.0.0.1:1");
    run(stuck.args(["--patience", "1"]), bound).expect_code(1);

    let outcome = run(&mut relay(from, to), bound);
    let said: Value = serde_json::from_str(&outcome.expect_code(0).stdout).unwrap();
    assert_eq!((&said["moved"], &said["complete"]), (&Value::from(3), &Value::from(true)));
    let server = start(&second, None);
    let items = server.queue_client().drain("events").unwrap();
    assert_eq!(items, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], "in their order");
    let back = format!("kestrel://{}", server.queue());
    server.queue_client().set("events", &vec![b'x'; 2000]).unwrap();
    server.queue_client().set("events", b"small").unwrap();

    // What is too large stays, and does not hold up what is behind it.
    let nats = NatsCluster::start(NatsVersion::Debian, 1, "max_payload: 1000\n");
    let outcome = run(&mut relay(&back, &nats.url("app")), bound);
    let said: Value = serde_json::from_str(&outcome.expect_code(5).stdout).unwrap();
    assert_eq!((&said["moved"], &said["refused"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(server.queue_client().drain("events").unwrap(), [vec![b'x'; 2000]]);
}

fn fill_some(server: &Server) {
    let mut client = server.queue_client();
    for item in ["a", "b", "c"] {
        client.set("events", item.as_bytes()).unwrap();
    }
}
