//! Items that are read, changed and stored, while others do so too.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use windhover_client::{Client, ErrorKind, Outcome, Store, Value, ValueError};

use crate::script::{cache, script};

/// What a server says to one line after the other; each is expected.
fn dialogue(exchange: &'static [(&str, &str)]) -> (Client, crate::script::Script<'static>) {
    let mut exchange = exchange.iter();
    script(cache(), move |_, heard| {
        let (expected, reply) = exchange.next().expect("no more is sent");
        assert_eq!(heard, *expected);
        Some(reply.as_bytes().to_vec())
    })
}

#[expect(clippy::unnecessary_wraps, reason = "what `update` wants")]
fn one_more(current: Option<Value>) -> Option<Store> {
    let count = current.map_or(0, |value| value.number::<u64>().unwrap());
    Some(Store::from(count + 1).expires(Duration::from_secs(60)))
}

#[test]
fn an_item_that_has_changed_meanwhile_is_read_and_changed_again() {
    let (client, mut server) = dialogue(&[
        ("gets k\r\n", "VALUE k 0 1 10\r\n1\r\nEND\r\n"),
        ("cas k 0 60 1 10\r\n2\r\n", "EXISTS\r\n"),
        ("gets k\r\n", "VALUE k 0 1 11\r\n7\r\nEND\r\n"),
        ("cas k 0 60 1 11\r\n8\r\n", "STORED\r\n"),
    ]);
    let stored = server.run(client.update("k", one_more)).unwrap().unwrap();
    assert_eq!(stored.data, "8");
}

#[test]
fn an_item_that_comes_or_goes_meanwhile_is_not_overwritten() {
    let (client, mut server) = dialogue(&[
        ("gets k\r\n", "END\r\n"),
        ("add k 0 60 1\r\n1\r\n", "NOT_STORED\r\n"),
        ("gets k\r\n", "VALUE k 0 1 12\r\n5\r\nEND\r\n"),
        ("cas k 0 60 1 12\r\n6\r\n", "NOT_FOUND\r\n"),
        ("gets k\r\n", "END\r\n"),
        ("add k 0 60 1\r\n1\r\n", "STORED\r\n"),
    ]);
    assert!(server.run(client.update("k", one_more)).unwrap().is_some());
}

#[test]
fn what_is_not_to_be_changed_is_left_alone() {
    let (client, mut server) = dialogue(&[("gets k\r\n", "END\r\n")]);
    let stored = server.run(client.update("k", |current| {
        assert_eq!(current, None);
        None::<Store>
    }));
    assert_eq!(stored.unwrap(), None);
}

#[test]
fn an_update_that_others_always_forestall_ends() {
    let reads = Cell::new(0);
    let (client, mut server) = script(cache(), |_, heard| {
        let is_read = heard.starts_with("gets");
        reads.set(reads.get() + u32::from(is_read));
        Some(if is_read { "VALUE k 0 1 1\r\n1\r\nEND\r\n" } else { "EXISTS\r\n" }.into())
    });
    let error = server.run(client.update("k", one_more)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Contended { tries: 16 }), "{error:?}");
    assert_eq!((error.outcome(), reads.get()), (Outcome::Refused, 16));
}

#[test]
fn an_update_whose_store_is_not_answered_is_unknown_and_not_sent_again() {
    let heard = RefCell::new(Vec::new());
    let (client, mut server) = script(cache(), |_, line| {
        heard.borrow_mut().push(line.split(' ').next().unwrap().to_owned());
        line.starts_with("gets").then(|| b"VALUE k 0 1 1\r\n1\r\nEND\r\n".to_vec())
    });
    let error = server.run(client.update("k", one_more)).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(*heard.borrow(), ["gets", "cas"]);
}

#[test]
fn many_values_come_with_what_cas_wants() {
    let (client, mut server) =
        dialogue(&[("gets a b\r\n", "VALUE a 0 1 3\r\nA\r\nVALUE b 0 1 4\r\nB\r\nEND\r\n")]);
    let found = server.run(client.gets_many(["a", "b"]));
    let cas: Vec<_> = found.into_iter().map(|found| found.unwrap().unwrap().cas).collect();
    assert_eq!(cas, [Some(3), Some(4)]);
}

#[test]
fn a_value_is_read_as_what_is_asked_for_or_is_an_error() {
    let (client, mut server) =
        script(cache(), |_, _| Some(b"VALUE k 0 3\r\n42 \r\nEND\r\n".to_vec()));
    assert_eq!(server.run(client.get_as::<u16>("k")).unwrap(), Some(42));
    assert_eq!(server.run(client.get_as::<String>("k")).unwrap().as_deref(), Some("42 "));
    let (client, mut server) =
        script(cache(), |_, _| Some(b"VALUE k 0 2\r\nxx\r\nEND\r\n".to_vec()));
    let error = server.run(client.get_as::<u16>("k")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Value(ValueError::NotNumber { .. })), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Done);
}

#[cfg(feature = "json")]
#[test]
fn json_is_changed_in_place_and_what_is_none_stays() {
    let (client, mut server) = dialogue(&[
        ("gets k\r\n", "VALUE k 0 5 1\r\n[1,2]\r\nEND\r\n"),
        ("cas k 0 60 7 1\r\n[1,2,3]\r\n", "STORED\r\n"),
        ("gets k\r\n", "VALUE k 0 4 2\r\ntext\r\nEND\r\n"),
    ]);
    let more = |current: Option<Vec<u32>>| {
        let mut numbers = current.unwrap_or_default();
        numbers.push(3);
        Some(numbers)
    };
    let minute = Duration::from_secs(60);
    let stored = server.run(client.update_json("k", minute, more)).unwrap();
    assert_eq!(stored, Some(vec![1, 2, 3]));
    let error = server.run(client.update_json("k", minute, more)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Value(ValueError::Json(_))), "{error:?}");
}
