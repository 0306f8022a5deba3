//! Dead letters: when they are safe, what goes when there is no room, what is counted.

use std::time::Duration;

use windhover_core::queue::{Action, Config, OpOutcome};
use windhover_server::app::{App, Settings};
use windhover_server::dead_letters::{DEAD_LETTERS, DeadLetter, DeadLetters, Origin};
use windhover_server::journal;
use windhover_server::store::{Begun, Store, StoreCloser};

use crate::disk::{Faults, SimDirectory, seed};
use crate::journaled::{item, now};
use crate::store::end_of;

fn start(directory: &SimDirectory, max_bytes: u64) -> (Store, StoreCloser) {
    let keep = |_: &str, _: &[u8]| Ok(());
    let mut config = Config::default();
    config.queues.insert(DEAD_LETTERS.into(), DeadLetters::bounds(max_bytes));
    let opened = journal::open(directory.clone(), &keep, 4_000, config, now().unix).unwrap();
    Store::start(opened.engine, opened.journal, now).unwrap()
}

fn letter(record: &str) -> DeadLetter {
    DeadLetter {
        reason: "event_name_missing".to_owned(),
        detail: String::new(),
        origin: Origin::Path("/track".to_owned()),
        token: Some("t".to_owned()),
        time: now().unix,
        content_type: None,
        content_encoding: None,
        bytes: record.as_bytes().to_vec().into(),
    }
}

fn records(store: &Store) -> Vec<String> {
    let mut reader = store.reader();
    std::iter::from_fn(|| match reader.get(DEAD_LETTERS.as_bytes(), Action::Take.into(), now()) {
        Begun::Done(OpOutcome::Item(item)) => Some(DeadLetter::read(&item).unwrap()),
        _ => None,
    })
    .map(|letter| String::from_utf8(letter.bytes.to_vec()).unwrap())
    .collect()
}

#[test]
fn letters_are_safe_once_what_was_put_behind_them_is() {
    for round in 0..50 {
        seed(round);
        let directory = SimDirectory::default();
        let (store, closer) = start(&directory, 1 << 20);
        let letters = App::new(store.clone(), Settings::default(), 1).dead_letters;
        letters.put([letter("one"), letter("two")], now());
        assert_eq!(
            end_of(&mut store.put(item(b"events", "good"), now()).unwrap()),
            OpOutcome::Stored
        );
        directory.crash();
        drop((letters, store));
        let _ = closer.close(Duration::from_secs(10));
        let (store, _closer) = start(&directory, 1 << 20);
        assert_eq!(records(&store), ["one", "two"], "round {round}");
    }
}

#[test]
fn the_oldest_letters_go_when_there_are_too_many() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory, 800);
    let app = App::new(store.clone(), Settings::default(), 1);
    for n in 0..10 {
        app.dead_letters.put([letter(&n.to_string())], now());
    }
    // Larger than all of it.
    app.dead_letters.put([letter(&"x".repeat(600))], now());
    assert_eq!(end_of(&mut store.put(item(b"events", "good"), now()).unwrap()), OpOutcome::Stored);
    let stats = store.stats_of(DEAD_LETTERS);
    assert!(stats.taken_bytes <= 800 && stats.discarded == 10 - stats.items, "{stats:?}");
    assert_eq!(store.lost(), 1);
    assert_eq!(records(&store), ["7", "8", "9"]);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn letters_are_lost_before_good_events_wait_behind_them() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory, 1 << 30);
    let app = App::new(store.clone(), Settings::default(), 1);
    directory.set_hang(Duration::from_millis(200));
    let large = letter(&"x".repeat(3 << 20));
    // While the first is written, the others wait; one is still taken, and then there is no room.
    for _ in 0..10 {
        app.dead_letters.put([large.clone(), letter("small")], now());
    }
    assert!(store.lost() >= 2 * 7, "{} were lost", store.lost());
    assert!(!app.is_overloaded());
    let mut good = store.put(item(b"events", "good"), now()).unwrap();
    directory.set_hang(Duration::ZERO);
    assert_eq!(end_of(&mut good), OpOutcome::Stored);
    assert_eq!(records(&store).len() as u64, 2 * 10 - store.lost());
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn letters_that_the_journal_cannot_take_are_counted() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory, 1 << 20);
    let app = App::new(store.clone(), Settings::default(), 1);
    directory.set_faults(Faults { sync: 1, ..Faults::default() });
    app.dead_letters.put([letter("one"), letter("two")], now());
    let mut good = store.put(item(b"events", "good"), now()).unwrap();
    assert_eq!(end_of(&mut good), OpOutcome::NotJournaled);
    assert_eq!(store.lost(), 2);
    let page = app.metrics.render(&app, windhover_core::Now::default());
    for line in [
        "windhover_dead_letters_lost_total 2",
        "windhover_dead_letters_total{reason=\"event_name_missing\"} 2",
    ] {
        assert!(page.lines().any(|it| it == line), "{line} is not in\n{page}");
    }
    directory.set_faults(Faults::default());
    let _ = closer.close(Duration::from_secs(10));
}
