//! Tracking requests of every size on one connection, on the store.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::queue::{Action, Config, OpOutcome};
use windhover_runtime::Peer;
use windhover_server::app::{App, Settings};
use windhover_server::dead_letters::DEAD_LETTERS;
use windhover_server::journal;
use windhover_server::store::{Begun, Store, StoreCloser};
use windhover_server::tracker::Tracker;

use crate::disk::SimDirectory;
use crate::journaled::now;

fn start() -> (Arc<App>, StoreCloser) {
    let keep = |_: &str, _: &[u8]| Ok(());
    let directory = SimDirectory::default();
    let config = Config::default();
    let opened = journal::open(directory, &keep, 1 << 20, config, now().unix).unwrap();
    let (store, closer) = Store::start(opened.engine, opened.journal, now).unwrap();
    (Arc::new(App::new(store, Settings::default(), 1)), closer)
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /track?verbose=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn event(name: &str, size: usize) -> String {
    let filling = "x".repeat(size);
    format!(r#"{{"event":"{name}","properties":{{"token":"t","filling":"{filling}"}}}}"#)
}

/// The bodies of the answers to `requests`, which come at once.
fn answers(app: &Arc<App>, requests: &[String]) -> Vec<String> {
    let mut tracker = Tracker::new(Arc::clone(app), Peer::Unknown, 7, now());
    tracker.read_buffer().extend_from_slice(requests.concat().as_bytes());
    let (mut out, begun) = (String::new(), Instant::now());
    while out.matches("HTTP/1.1 ").count() < requests.len() {
        match tracker.poll_output(now(), &mut Context::from_waker(Waker::noop())) {
            Next::Write => {
                let mut slices: [&[u8]; 8] = [&[]; 8];
                let filled = tracker.unsent(&mut slices);
                let bytes = slices[..filled].concat();
                out += std::str::from_utf8(&bytes).unwrap();
                tracker.wrote(bytes.len());
            }
            Next::Idle(_) => thread::yield_now(),
            end => panic!("{end:?} after {out}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the connection hangs: {out:?}");
    }
    let answers = out.split("HTTP/1.1 ").skip(1);
    answers.map(|answer| answer.split_once("\r\n\r\n").unwrap().1.to_owned()).collect()
}

/// What is in a queue: of each item what stands between `before` and the next quote.
fn queued(store: &Store, queue: &str, before: &str) -> Vec<String> {
    let mut reader = store.reader();
    std::iter::from_fn(|| match reader.get(queue.as_bytes(), Action::Take.into(), now()) {
        Begun::Done(OpOutcome::Item(item)) => Some(String::from_utf8(item.to_vec()).unwrap()),
        _ => None,
    })
    .map(|item| item.split_once(before).unwrap().1.split('"').next().unwrap().to_owned())
    .collect()
}

#[test]
fn large_requests_keep_their_place_among_small_ones() {
    let (app, closer) = start();
    let requests = [
        event("small", 10),
        event("large", 100_000),
        event("behind it", 10),
        "[".repeat(100_000),
        event("larger", 900_000),
        event("last", 10),
    ];
    let accepted = r#"{"status":1,"error":null}"#;
    let answers = answers(&app, &requests.map(|body| post(&body)));
    assert_eq!(answers[..3], [accepted; 3]);
    assert!(answers[3].contains("nested deeper"), "{}", answers[3]);
    assert_eq!(answers[4..], [accepted; 2]);
    let events = queued(&app.store, "events", r#""event":""#);
    assert_eq!(events, ["small", "large", "behind it", "larger", "last"]);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn many_refused_records_are_kept_once_each() {
    let (app, closer) = start();
    let bad: Vec<_> = (0..100).map(|n| format!(r#"{{"event":"bad {n}"}}"#)).collect();
    let batch = format!("[{},{},{}]", event("good", 1), bad.join(","), event("good too", 1));
    let answers = answers(&app, &[post(&batch), post("[7,8]"), post(&event("behind", 1))]);
    assert!(answers[0].contains(r#""status":1"#), "{}", answers[0]);
    assert!(answers[1].contains(r#""status":0"#), "{}", answers[1]);
    let good = queued(&app.store, "events", r#""event":""#);
    assert_eq!(good, ["good", "good too", "behind"]);
    let reasons = queued(&app.store, DEAD_LETTERS, r#""reason":""#);
    assert_eq!(reasons.len(), 102);
    let page = app.metrics.render(&app, windhover_core::Now::default());
    let counted = r#"reason="properties_missing"} 100"#;
    assert!(page.contains(counted), "{counted} is not in\n{page}");
    closer.close(Duration::from_secs(10)).unwrap();
}
