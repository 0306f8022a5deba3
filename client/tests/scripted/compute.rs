//! Values that one caller computes.

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::time::{Duration, Instant};

use windhover_client::{Client, Computed, Error, ErrorKind, Origin, Outcome, Recompute, Store};

use crate::script::{Script, cache, script};

/// An answer to `mg` of a fresh value.
const FRESH: &str = "VA 3 f5 c7 t90\r\nold\r\n";
const WON: &str = "VA 0 f0 c8 t2 W\r\n\r\n";
const WAIT: &str = "VA 0 f0 c8 t2 Z\r\n\r\n";

/// Twenty seconds fresh, ten more stale, two for a computation.
fn recompute() -> Recompute {
    let seconds = Duration::from_secs;
    Recompute::after(seconds(20)).stale_for(seconds(10)).lease(seconds(2))
}

/// A server that says one thing after the other, and what it has heard.
fn server<'a>(says: &'a [&str], heard: &'a RefCell<Vec<String>>) -> (Client, Script<'a>) {
    let mut says = says.iter();
    script(cache(), move |_, lines| {
        heard.borrow_mut().push(lines.to_owned());
        Some(says.next().expect("no more is asked").as_bytes().to_vec())
    })
}

fn data(computed: &Computed) -> &str {
    computed.value.text().unwrap()
}

#[test]
fn a_fresh_value_is_given_and_nothing_computed() {
    let heard = RefCell::default();
    let (client, mut server) = server(&[FRESH], &heard);
    let not_called = || -> std::future::Ready<Result<Store, Error>> { panic!("it is fresh") };
    let found = server.run(client.get_or_compute("k", recompute(), not_called)).unwrap();
    assert_eq!((data(&found), found.value.flags), ("old", 5));
    assert!(matches!(found.origin, Origin::Fresh), "{found:?}");
    assert_eq!(*heard.borrow(), ["mg k v f c t N2 R10\r\n"]);
}

#[test]
fn who_wins_a_miss_computes_and_stores_unless_something_came_meanwhile() {
    for (reply, stored) in [("HD", "Computed"), ("EX", "Superseded"), ("NF", "Superseded")] {
        let heard = RefCell::default();
        let reply = format!("{reply}\r\n");
        let says = [WON, &reply];
        let (client, mut server) = server(&says, &heard);
        let new = || ready(Ok::<_, Error>(Store::from("new").flags(9)));
        let found = server.run(client.get_or_compute("k", recompute(), new)).unwrap();
        assert_eq!((data(&found), found.value.flags), ("new", 9));
        assert_eq!(format!("{:?}", found.origin), stored);
        assert_eq!(*heard.borrow(), ["mg k v f c t N2 R10\r\n", "ms k 3 C8 F9 T30\r\nnew\r\n"]);
    }
}

#[test]
fn a_value_that_cannot_be_stored_is_given_all_the_same_and_says_so() {
    let heard = RefCell::default();
    let (client, mut server) = server(&[WON, "SERVER_ERROR out of memory\r\n"], &heard);
    let new = || ready(Ok::<_, Error>("new"));
    let found = server.run(client.get_or_compute("k", recompute(), new)).unwrap();
    assert_eq!(data(&found), "new");
    let Origin::NotStored(error) = found.origin else { panic!("{found:?}") };
    assert_eq!(error.outcome(), Outcome::Refused);
}

#[test]
fn others_are_given_the_old_value() {
    let heard = RefCell::default();
    let (client, mut server) = server(&["VA 3 f0 c7 t9 Z\r\nold\r\n"], &heard);
    let not_called = || -> std::future::Ready<Result<Store, Error>> { panic!("it is not won") };
    let found = server.run(client.get_or_compute("k", recompute(), not_called)).unwrap();
    assert_eq!(data(&found), "old");
    assert!(matches!(found.origin, Origin::Stale), "{found:?}");
}

#[test]
fn an_old_value_lives_no_longer_than_the_lease_once_it_is_won() {
    for (left, shortened) in [("9", true), ("-1", true), ("2", false)] {
        let heard = RefCell::default();
        let old = format!("VA 3 f0 c7 t{left} X W\r\nold\r\n");
        let says: &[&str] = if shortened { &[&old, "HD\r\n", "HD\r\n"] } else { &[&old, "HD\r\n"] };
        let (client, mut server) = server(says, &heard);
        let new = || ready(Ok::<_, Error>("new"));
        server.run(client.get_or_compute("k", recompute(), new)).unwrap();
        assert_eq!(heard.borrow()[1] == "mg k T2\r\n", shortened, "{left}: {heard:?}");
    }
}

#[test]
fn who_finds_nothing_waits_for_the_value() {
    let heard = RefCell::default();
    let (client, mut server) = server(&[WAIT, WAIT, WAIT, FRESH], &heard);
    let not_called = || -> std::future::Ready<Result<Store, Error>> { panic!("it is not won") };
    let found = server.run(client.get_or_compute("k", recompute(), not_called)).unwrap();
    assert_eq!(data(&found), "old");
    assert_eq!(heard.borrow().len(), 4);
}

#[test]
fn who_waits_computes_when_the_winner_is_dead() {
    let heard = RefCell::default();
    let (client, mut server) = server(&[WAIT, WAIT, WON, "HD\r\n"], &heard);
    let new = || ready(Ok::<_, Error>("new"));
    let found = server.run(client.get_or_compute("k", recompute(), new)).unwrap();
    assert_eq!(data(&found), "new");
}

#[test]
fn a_wait_ends_and_pauses_between_its_reads() {
    let millis = Duration::from_millis;
    // Who sets a lease waits for twice that.
    for hasty in [recompute().wait(millis(60)), recompute().lease(millis(1000)).wait(millis(60))] {
        let reads = Cell::new(0);
        let (client, mut server) = script(cache(), |_, _| {
            reads.set(reads.get() + 1);
            Some(WAIT.into())
        });
        let not_called = || -> std::future::Ready<Result<Store, Error>> { panic!("it is not won") };
        let begun = Instant::now();
        let error = server.run(client.get_or_compute("k", hasty, not_called)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::StillComputing { .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert!((millis(60)..millis(1500)).contains(&begun.elapsed()));
        // Pauses of 5, 10, 20 ms, and so on, or of half as much.
        assert!(reads.get() <= 6, "{}", reads.get());
    }
}

#[test]
fn twice_the_lease_is_waited_for() {
    let lease = Duration::from_secs(1);
    let (client, mut server) = script(cache(), |_, _| Some(WAIT.into()));
    let not_called = || -> std::future::Ready<Result<Store, Error>> { panic!("it is not won") };
    let begun = Instant::now();
    let computed = client.get_or_compute("k", recompute().lease(lease), not_called);
    assert!(server.run(computed).is_err());
    assert!((2 * lease..3 * lease).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

/// An application's own error.
#[derive(Debug)]
enum Failed {
    Database,
    Cache(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Cache(error)
    }
}

#[test]
fn a_computation_that_fails_is_given_up_so_that_another_one_begins() {
    let heard = RefCell::default();
    let (client, mut server) = server(&[WON, "HD\r\n"], &heard);
    let failing = || ready(Err::<Store, _>(Failed::Database));
    let failed = server.run(client.get_or_compute("k", recompute(), failing)).unwrap_err();
    assert!(matches!(failed, Failed::Database));
    assert_eq!(heard.borrow()[1], "md k C8\r\n");
}

#[test]
fn a_failed_computation_of_an_old_value_leaves_it_to_others() {
    let heard = RefCell::default();
    let (client, mut server) = server(&["VA 3 f0 c7 t1 X W\r\nold\r\n"], &heard);
    let failing = || ready(Err::<Store, _>(Failed::Database));
    server.run(client.get_or_compute("k", recompute(), failing)).unwrap_err();
    assert_eq!(heard.borrow().len(), 1);
}

#[test]
fn a_computation_that_is_dropped_is_given_up() {
    let heard = RefCell::default();
    let (client, mut server) = server(&[WON, "HD\r\nEN\r\n"], &heard);
    let computes = Cell::new(false);
    {
        let mut hangs = Box::pin(client.get_or_compute("k", recompute(), || {
            computes.set(true);
            pending::<Result<Store, Error>>()
        }));
        server.run(std::future::poll_fn(|cx| {
            assert!(hangs.as_mut().poll(cx).is_pending());
            if computes.get() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        }));
    }
    server.run(client.meta_get("other", "")).unwrap();
    assert!(heard.borrow()[1].starts_with("md k C8\r\n"), "{heard:?}");
}

#[test]
fn a_server_that_does_not_answer_is_no_reason_to_compute() {
    let (client, mut server) = script(cache(), |_, _| None);
    let not_called = || -> std::future::Ready<Result<Store, Failed>> { panic!("nobody knows") };
    let failed = server.run(client.get_or_compute("k", recompute(), not_called)).unwrap_err();
    let Failed::Cache(error) = failed else { panic!("{failed:?}") };
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[test]
fn an_item_is_marked_stale() {
    let heard = RefCell::default();
    let (client, mut server) = server(&["HD\r\n", "NF\r\n"], &heard);
    let minute = Duration::from_secs(60);
    assert!(server.run(client.invalidate("k", minute)).unwrap());
    assert!(!server.run(client.invalidate("k", minute)).unwrap());
    assert_eq!(*heard.borrow(), ["md k I T60\r\n", "md k I T60\r\n"]);
}
