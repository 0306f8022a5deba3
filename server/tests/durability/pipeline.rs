//! A queue client's pipeline, on the store.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use windhover::app::{App, Settings};
use windhover::journal::{self, Fsync};
use windhover::queue_client::QueueClient;
use windhover::store::{Begun, Store};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::queue::{Action, Config, Outcome};

use crate::disk::SimDirectory;
use crate::journaled::{item, now};
use crate::store::end_of;

/// What the client is answered until it is disconnected.
fn answers(client: &mut QueueClient, input: &[u8]) -> String {
    client.read_buffer().extend_from_slice(input);
    let mut out = Vec::new();
    let begun = Instant::now();
    loop {
        match client.poll_output(now(), &mut Context::from_waker(Waker::noop())) {
            Next::Write => {
                let mut slices: [&[u8]; 8] = [&[]; 8];
                let filled = client.unsent(&mut slices);
                let bytes = slices[..filled].concat();
                out.extend_from_slice(&bytes);
                client.wrote(bytes.len());
            }
            Next::CloseWrite => return String::from_utf8(out).unwrap(),
            _ => thread::sleep(Duration::from_millis(1)),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the connection hangs: {out:?}");
    }
}

#[test]
fn nothing_is_taken_for_an_answer_that_a_fatal_error_throws_away() {
    let directory = SimDirectory::default();
    let keep = |_: &str, _: &[u8]| Ok(());
    let config = Config::default();
    let opened =
        journal::open(directory.clone(), &keep, Fsync::Always, 1 << 20, config, now().unix)
            .unwrap();
    let (store, closer) = Store::start(opened.engine, opened.journal, now).unwrap();
    for queue in [&b"q"[..], b"other"] {
        assert_eq!(end_of(&mut store.put(item(queue, "x"), now()).unwrap()), Outcome::Stored);
    }
    directory.set_hang(Duration::from_millis(50));
    let app = Arc::new(App::new(store, Settings::default(), 1));
    let mut client = QueueClient::new(app.clone(), now());

    let input = b"set slow 0 0 1\r\nx\r\nget q/open\r\nget q\r\nget other\r\n";
    let expected = "STORED\r\nVALUE q 0 1\r\nx\r\nEND\r\nERROR\r\n";
    assert_eq!(answers(&mut client, input), expected);
    // What it has open is there for others at once, while its socket waits for the peer's end.
    for queue in [&b"q"[..], b"other"] {
        let left = app.store.reader().get(queue, Action::Take.into(), now());
        assert!(matches!(left, Begun::Done(Outcome::Item(_))), "{}", queue.escape_ascii());
    }
    drop(client);
    closer.close(Duration::from_secs(10)).unwrap();
}
