//! The bound of bytes, and who goes first.

use windhover_cache::storage::OVERHEAD;

use crate::support::{Shard, at, hash};

/// Room for so many items of five bytes.
fn room_for(items: usize) -> Shard {
    Shard::with_memory(items * (5 + OVERHEAD))
}

#[test]
fn the_least_recently_used_goes_first() {
    let mut shard = room_for(3);
    for key in ["a", "b", "c"] {
        shard.set(key, "1234", 0);
    }
    assert_eq!(shard.get("a", 0).as_deref(), Some("1234"));

    shard.set("d", "1234", 0);

    assert_eq!(shard.keys(0), ["d", "a", "c"]);
    assert_eq!(shard.0.counters.evictions, 1);
    assert_eq!(shard.0.counters.evicted_unfetched, 1);
}

#[test]
fn an_item_that_is_stored_again_is_used() {
    let mut shard = room_for(3);
    for key in ["a", "b", "c", "a", "d"] {
        shard.set(key, "1234", 0);
    }
    assert_eq!(shard.keys(0), ["d", "a", "c"]);
}

#[test]
fn a_large_item_makes_as_much_room_as_it_needs() {
    let mut shard = room_for(10);
    for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        shard.set(key, "1234", 0);
    }
    shard.set("large", &"x".repeat(4 * (5 + OVERHEAD) - OVERHEAD - 5), 0);
    assert_eq!(shard.keys(0), ["large", "j", "i", "h", "g", "f", "e"]);
    assert_eq!(shard.0.bytes(), 10 * (5 + OVERHEAD));
}

#[test]
fn an_item_that_grows_evicts_others_and_not_itself() {
    let mut shard = room_for(3);
    for key in ["a", "b", "c"] {
        shard.set(key, "1234", 0);
    }
    shard.set("a", &"x".repeat(4 + 2 * OVERHEAD), 0);
    assert_eq!(shard.keys(0), ["a"]);
}

#[test]
fn the_bytes_are_those_of_what_is_there() {
    let mut shard = room_for(100);
    for round in 0..1000_u64 {
        let key = format!("{}", round * 7 % 150);
        let value = "v".repeat(usize::try_from(round % 50).unwrap());
        match round % 5 {
            0 => drop(shard.0.delete(hash(&key), key.as_bytes(), None, at(round))),
            1 => drop(shard.get(&key, round)),
            2 => drop(shard.set_until(&key, &value, 10, round)),
            _ => drop(shard.set(&key, &value, round)),
        }
        assert!(shard.0.bytes() <= 100 * (5 + OVERHEAD));
    }
    let live = shard.keys(1000).len();
    assert!(live > 20 && live <= shard.0.len());
    shard.0.set_memory(0, at(1000));
    assert_eq!((shard.0.bytes(), shard.0.len()), (0, 0));
}

#[test]
fn dead_items_at_the_end_make_room_before_live_ones_go() {
    let mut shard = room_for(3);
    shard.set_until("s", "1234", 5, 0);
    shard.set("a", "1234", 0);
    shard.set("b", "1234", 0);

    shard.set("c", "1234", 10);

    assert_eq!(shard.keys(10), ["c", "b", "a"]);
    assert_eq!(shard.0.counters.evictions, 0);
    assert_eq!(shard.0.counters.reclaimed, 1);
    assert_eq!(shard.0.counters.expired_unfetched, 1);
}

#[test]
fn stores_take_away_what_a_flush_left() {
    let mut shard = Shard::new();
    for key in 0..100 {
        shard.set(&key.to_string(), "1234", 0);
    }
    shard.0.flush(windhover_cache::storage::Deadline::now(at(0)), at(0));
    assert_eq!((shard.keys(0).len(), shard.0.len()), (0, 100));
    for key in 0..60 {
        shard.set(&format!("new{key}"), "1234", 1);
    }
    assert_eq!(shard.0.len(), 60);
    assert_eq!(shard.0.counters.evictions, 0);
}

#[test]
fn what_is_left_of_many_small_items_keeps_its_order() {
    let mut shard = Shard::with_memory(20_000 * (5 + OVERHEAD));
    for key in 10_000..20_000 {
        shard.set(&key.to_string(), "", 0);
    }
    let value = "x".repeat(60_000);
    for key in 0..40 {
        shard.set(&format!("large{key}"), &value, 0);
        assert_eq!(shard.keys(0).len(), shard.0.len());
    }
    let keys = shard.keys(0);
    assert_eq!((&*keys[0], &*keys[39], &*keys[40]), ("large39", "large0", "19999"));
    assert_eq!(shard.get("19999", 0).as_deref(), Some(""));
    assert!(shard.0.bytes() <= 20_000 * (5 + OVERHEAD));
}
