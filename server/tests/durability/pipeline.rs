//! A queue client's pipeline, on the store.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::handler::Session;
use windhover_core::queue::{Action, Config, Fsync, OpOutcome};
use windhover_core::{Now, UnixTime};
use windhover_server::app::{App, Settings};
use windhover_server::journal;
use windhover_server::queue_client::QueueClient;
use windhover_server::store::{Begun, Store};

use crate::disk::SimDirectory;
use crate::journaled::{item, now};
use crate::store::end_of;

/// The time, which goes on.
fn time() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let passed = START.get_or_init(Instant::now).elapsed();
    Now {
        instant: windhover_core::Instant::from_epoch(passed),
        unix: UnixTime::from_millis(1_000_000 + u64::try_from(passed.as_millis()).unwrap()),
    }
}

/// What the client is answered until it is disconnected.
fn answers(client: &mut Session<QueueClient>, input: &[u8]) -> String {
    client.read_buffer().extend_from_slice(input);
    let mut out = Vec::new();
    let begun = Instant::now();
    loop {
        match client.poll_output(time(), &mut Context::from_waker(Waker::noop())) {
            Next::Write => {
                let mut slices: [&[u8]; 8] = [&[]; 8];
                let filled = client.unsent(&mut slices);
                let bytes = slices[..filled].concat();
                out.extend_from_slice(&bytes);
                client.wrote(bytes.len());
            }
            Next::CloseWrite => return String::from_utf8(out).unwrap(),
            _ => thread::yield_now(),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the connection hangs: {out:?}");
    }
}

#[test]
fn nothing_is_taken_for_an_answer_that_a_fatal_error_throws_away() {
    let directory = SimDirectory::default();
    let keep = |_: &str, _: &[u8]| Ok(());
    let config = Config::default();
    let opened = journal::open(directory.clone(), &keep, 1 << 20, config, now().unix).unwrap();
    let (store, closer) = Store::start(opened.engine, opened.journal, now).unwrap();
    for queue in [&b"q"[..], b"other"] {
        assert_eq!(end_of(&mut store.put(item(queue, "x"), now()).unwrap()), OpOutcome::Stored);
    }
    directory.set_hang(Duration::from_millis(50));
    let app = Arc::new(App::new(store, Settings::default(), 1));
    let mut client = QueueClient::connect(app.clone(), time());

    let input = b"set slow 0 0 1\r\nx\r\nget q/open\r\nget q\r\nget other\r\n";
    let expected = "STORED\r\nVALUE q 0 1\r\nx\r\nEND\r\nERROR\r\n";
    assert_eq!(answers(&mut client, input), expected);
    // What it has open is there for others at once, while its socket waits for the peer's end.
    for queue in [&b"q"[..], b"other"] {
        let left = app.store.reader().get(queue, Action::Take.into(), now());
        assert!(matches!(left, Begun::Done(OpOutcome::Item(_))), "{}", queue.escape_ascii());
    }
    drop(client);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_monitor_gives_what_comes_while_it_waits() {
    let opened = journal::open(
        SimDirectory::default(),
        &|_: &str, _: &[u8]| Ok(()),
        1 << 20,
        Config::default(),
        now().unix,
    )
    .unwrap();
    let (store, closer) = Store::start(opened.engine, opened.journal, now).unwrap();
    assert_eq!(end_of(&mut store.put(item(b"q", "one"), now()).unwrap()), OpOutcome::Stored);
    let app = Arc::new(App::new(store.clone(), Settings::default(), 1));
    let mut client = QueueClient::connect(app, time());
    let later = thread::spawn(move || {
        for data in ["two", "three", "four"] {
            thread::sleep(Duration::from_millis(30));
            assert_eq!(end_of(&mut store.put(item(b"q", data), now()).unwrap()), OpOutcome::Stored);
        }
        store
    });
    // It ends with its last item, long before its time; what follows waits for its end.
    let input = b"monitor q 60 3\r\nconfirm q 2\r\nget q\r\n";
    let expected = "VALUE q 0 3\r\none\r\nEND\r\nVALUE q 0 3\r\ntwo\r\nEND\r\n\
                    VALUE q 0 5\r\nthree\r\nEND\r\nEND\r\nEND\r\nERROR\r\n";
    assert_eq!(answers(&mut client, input), expected);
    drop(client);
    let store = later.join().unwrap();
    let left = store.reader().get(b"q", Action::Take.into(), now());
    assert!(matches!(left, Begun::Done(OpOutcome::Item(item)) if item == "three"), "it went back");
    closer.close(Duration::from_secs(10)).unwrap();
}

/// Every command that puts into a queue, reads from it or changes it.
const COMMANDS: &[&str] = &[
    "set q 0 0 1\r\n1\r\n",
    "set q 0 0 1\r\n2\r\n",
    "set r 0 0 1\r\n3\r\n",
    "get q\r\n",
    "get q/peek\r\n",
    "get q/open\r\n",
    "get q/close\r\n",
    "get q/close/open\r\n",
    "get q/abort\r\n",
    "get q/t=1\r\n",
    "get r\r\n",
    "flush q\r\n",
    "flush_all\r\n",
    "flush_expired q\r\n",
    "flush_all_expired\r\n",
    "delete q\r\n",
    "monitor q 0 2\r\n",
    "confirm q 0\r\n",
    "version\r\n",
];

/// What is answered to the commands, written together or each after the answer to the one before.
fn exchange(app: &Arc<App>, commands: &[&str], together: bool) -> String {
    let mut client = QueueClient::connect(app.clone(), time());
    if together {
        let whole = [&commands.concat(), "get end/abort/peek\r\n"].concat();
        return answers(&mut client, whole.as_bytes());
    }
    let mut written = String::new();
    for command in commands {
        client.read_buffer().extend_from_slice(command.as_bytes());
        let before = written.len();
        let begun = Instant::now();
        while written.len() == before {
            assert!(begun.elapsed() < Duration::from_secs(10), "no answer to {command:?}");
            match client.poll_output(time(), &mut Context::from_waker(Waker::noop())) {
                Next::Write => {
                    let mut slices: [&[u8]; 8] = [&[]; 8];
                    let filled = client.unsent(&mut slices);
                    let bytes = slices[..filled].concat();
                    client.wrote(bytes.len());
                    written.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                Next::CloseWrite => return written,
                _ => thread::yield_now(),
            }
        }
    }
    written + &answers(&mut client, b"get end/abort/peek\r\n")
}

#[test]
fn commands_that_are_pipelined_take_effect_in_their_order() {
    for fsync in [Fsync::Always, Fsync::Interval(Duration::from_millis(50)), Fsync::Never] {
        let keep = |_: &str, _: &[u8]| Ok(());
        let directory = SimDirectory::default();
        let mut config = Config::default();
        config.queue.fsync = fsync;
        let opened = journal::open(directory, &keep, 1 << 20, config, time().unix).unwrap();
        let (store, closer) = Store::start(opened.engine, opened.journal, time).unwrap();
        let app = Arc::new(App::new(store, Settings::default(), 1));
        let rest = ["get q/t=1\r\n", "get r\r\n", "get q\r\n", "get q\r\n"];
        for first in COMMANDS {
            for second in COMMANDS {
                for third in ["", "set q 0 0 1\r\n4\r\n"] {
                    let commands = [&[third, first, second][..], &rest].concat();
                    let commands: Vec<&str> =
                        commands.into_iter().filter(|command| !command.is_empty()).collect();
                    let mut said = Vec::new();
                    for together in [true, false] {
                        exchange(&app, &["flush_all\r\n"], false);
                        said.push(exchange(&app, &commands, together));
                    }
                    assert_eq!(said[0], said[1], "{commands:?} with {fsync}");
                }
            }
        }
        drop(app);
        closer.close(Duration::from_secs(10)).unwrap();
    }
}
