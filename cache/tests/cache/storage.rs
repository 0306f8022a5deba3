//! Expiry, flushes and cas uniques of one shard, with simulated time.

use windhover_cache::storage::{
    Arithmetic, ArithmeticError, Bounds, Deadline, DeleteError, Storage, StoreError, StoreMode,
    StoreOptions,
};

use crate::support::{Shard, at, hash, item};

#[test]
fn an_item_expires_in_the_second_that_was_named() {
    let mut shard = Shard::new();
    shard.set_until("relative", "1", 60, 100);
    shard.set_until("date", "2", 2_000_000_160, 100);
    shard.set_until("for ever", "3", 0, 100);
    shard.set_until("past", "4", -1, 100);
    shard.set_until("past date", "5", 2_592_001, 100);

    assert_eq!(shard.keys(159), ["for ever", "date", "relative"]);
    assert_eq!(shard.get("relative", 159).as_deref(), Some("1"));
    assert_eq!(shard.get("relative", 160), None);
    assert_eq!(shard.get("date", 160), None);
    assert_eq!(shard.get("past", 100), None);
    assert_eq!(shard.get("for ever", 4_000_000_000).as_deref(), Some("3"));
    assert_eq!(shard.0.counters.get_expired, 3);
}

#[test]
fn a_touch_moves_the_expiry() {
    let mut shard = Shard::new();
    shard.set_until("k", "1", 10, 0);
    let touched = shard.0.touch(hash("k"), b"k", Deadline::of(100, at(9)), at(9));
    assert!(touched.is_some());
    assert_eq!(shard.get("k", 108).as_deref(), Some("1"));
    assert!(shard.0.touch(hash("k"), b"k", Deadline::now(at(108)), at(108)).is_some());
    assert_eq!(shard.get("k", 108), None);
}

#[test]
fn a_flush_takes_what_came_before_it() {
    let mut shard = Shard::new();
    shard.set("before", "1", 0);
    shard.0.flush(Deadline::now(at(0)), at(0));
    assert_eq!(shard.get("before", 0), None);
    shard.set("after", "2", 0);
    assert_eq!(shard.get("after", 0).as_deref(), Some("2"));
    assert_eq!(shard.0.counters.get_flushed, 1);
}

#[test]
fn a_flush_that_is_to_come_takes_what_was_stored_until_then() {
    let mut shard = Shard::new();
    shard.set("early", "1", 0);
    shard.0.flush(Deadline::of(10, at(0)), at(0));
    shard.set("late", "2", 9);
    assert_eq!(shard.keys(9), ["late", "early"]);

    shard.set("after", "3", 10);

    assert_eq!(shard.get("early", 10), None);
    assert_eq!(shard.get("late", 10), None);
    assert_eq!(shard.get("after", 11).as_deref(), Some("3"));
}

#[test]
fn a_later_flush_takes_the_place_of_one_that_is_to_come() {
    let mut shard = Shard::new();
    shard.0.flush(Deadline::of(10, at(0)), at(0));
    shard.0.flush(Deadline::of(100, at(5)), at(5));
    shard.set("k", "1", 6);
    assert_eq!(shard.get("k", 104).as_deref(), Some("1"));
    assert_eq!(shard.get("k", 105), None);
}

#[test]
fn every_store_gives_a_higher_cas_unique() {
    let mut shard = Shard::new();
    let first = shard.set("k", "1", 0);
    let other = shard.set("other", "1", 0);
    let second = shard.set("k", "2", 0);
    assert!(first < other && other < second);
    shard.0.delete(hash("k"), b"k", None, at(0)).unwrap();
    assert!(shard.set("k", "3", 0) > second);
}

fn store(shard: &mut Shard, value: &str, how: &StoreOptions) -> Result<u64, StoreError> {
    let handle = shard.0.store(hash("k"), item("k", value, 0, 0), how, at(0))?;
    Ok(shard.0.item(handle).unwrap().cas)
}

#[test]
fn a_cas_unique_is_compared() {
    let mut shard = Shard::new();
    let how = |cas| StoreOptions { cas: Some(cas), ..StoreOptions::default() };
    assert_eq!(store(&mut shard, "1", &how(1)), Err(StoreError::NotFound));
    let cas = shard.set("k", "1", 0);
    assert_eq!(store(&mut shard, "2", &how(cas + 1)), Err(StoreError::Exists));
    assert_eq!(store(&mut shard, "2", &how(0)), Err(StoreError::Exists));
    assert_eq!(shard.get("k", 0).as_deref(), Some("1"));
    assert!(store(&mut shard, "2", &how(cas)).unwrap() > cas);
    assert_eq!(shard.get("k", 0).as_deref(), Some("2"));
    assert_eq!(store(&mut shard, "3", &how(cas)), Err(StoreError::Exists));

    let counters = &shard.0.counters;
    assert_eq!((counters.cas_misses, counters.cas_hits, counters.cas_badval), (1, 1, 3));
}

#[test]
fn an_older_cas_unique_may_store_a_stale_value() {
    let mut shard = Shard::new();
    let old = shard.set_until("k", "1", 50, 0);
    let cas = shard.set_until("k", "2", 60, 0);
    let how = StoreOptions { cas: Some(old), invalidate: true, ..StoreOptions::default() };

    let stored = shard.0.store(hash("k"), item("k", "3", 999, 0), &how, at(0)).unwrap();

    let kept = shard.0.item(stored).unwrap();
    assert_eq!((kept.value(), kept.marks.stale), (&b"3"[..], true));
    assert_eq!(kept.expiry.remaining(at(0)), Some(60));
    let newer = StoreOptions { cas: Some(cas + 100), ..how };
    assert_eq!(store(&mut shard, "4", &newer), Err(StoreError::Exists));
}

#[test]
fn a_client_may_give_the_cas_unique() {
    let mut shard = Shard::new();
    let how = StoreOptions { new_cas: Some(1 << 40), ..StoreOptions::default() };
    assert_eq!(store(&mut shard, "1", &how), Ok(1 << 40));
    assert!(shard.set("k", "2", 0) < 1 << 40);
}

#[test]
fn a_deletion_may_ask_for_the_cas_unique() {
    let mut shard = Shard::new();
    let cas = shard.set("k", "1", 0);
    let mut delete = |cas| shard.0.delete(hash("k"), b"k", Some(cas), at(0));
    assert_eq!(delete(cas + 1), Err(DeleteError::Exists));
    assert_eq!(delete(cas), Ok(()));
    assert_eq!(delete(cas), Err(DeleteError::NotFound));
}

#[test]
fn modes_ask_for_what_is_there() {
    let mut shard = Shard::new();
    let how = |mode| StoreOptions { mode, ..StoreOptions::default() };
    for mode in [StoreMode::Replace, StoreMode::Append, StoreMode::Prepend] {
        assert_eq!(store(&mut shard, "x", &how(mode)), Err(StoreError::NotStored));
    }
    assert!(store(&mut shard, "b", &how(StoreMode::Add)).is_ok());
    assert_eq!(store(&mut shard, "x", &how(StoreMode::Add)), Err(StoreError::NotStored));
    assert!(store(&mut shard, "c", &how(StoreMode::Append)).is_ok());
    assert!(store(&mut shard, "a", &how(StoreMode::Prepend)).is_ok());
    assert_eq!(shard.get("k", 0).as_deref(), Some("abc"));
    assert!(store(&mut shard, "new", &how(StoreMode::Replace)).is_ok());
    assert_eq!(shard.get("k", 0).as_deref(), Some("new"));
}

#[test]
fn too_large_a_value_is_refused_and_takes_the_old_one_with_it() {
    let mut shard = Shard::new();
    let large = "x".repeat(64 * 1024);
    shard.set("k", "old", 0);
    let add = StoreOptions { mode: StoreMode::Add, ..StoreOptions::default() };
    assert_eq!(store(&mut shard, &large, &add), Err(StoreError::TooLarge));
    assert_eq!(shard.get("k", 0).as_deref(), Some("old"));
    assert_eq!(store(&mut shard, &large, &StoreOptions::default()), Err(StoreError::TooLarge));
    assert_eq!(shard.get("k", 0), None);
    let most = "x".repeat(64 * 1024 - 60);
    assert!(store(&mut shard, &most, &StoreOptions::default()).is_ok());
    let append = StoreOptions { mode: StoreMode::Append, ..StoreOptions::default() };
    assert_eq!(store(&mut shard, "x", &append), Err(StoreError::NotStored));

    let mut small = Shard::with_memory(1000);
    let value = "x".repeat(1000);
    assert_eq!(store(&mut small, &value, &StoreOptions::default()), Err(StoreError::NoMemory));
}

#[test]
fn no_two_shards_give_the_same_cas_unique() {
    let bounds = Bounds { memory: 1 << 20, item: 1 << 16 };
    let mut uniques = Vec::new();
    for at in 0..4 {
        let mut shard = Shard(Storage::one_of(4, at, bounds));
        uniques.extend((0..3).map(|n| shard.set(&n.to_string(), "x", 0)));
    }
    assert_eq!(uniques, [1, 5, 9, 2, 6, 10, 3, 7, 11, 4, 8, 12]);
}

fn change(shard: &mut Shard, decrement: bool, delta: u64) -> Result<u64, ArithmeticError> {
    let change = Arithmetic { decrement, delta, cas: None, new_cas: None };
    shard.0.arithmetic(hash("k"), b"k", &change, at(0)).map(|(_, number)| number)
}

#[test]
fn numbers_wrap_upwards_and_stop_at_zero() {
    let mut shard = Shard::new();
    assert_eq!(change(&mut shard, false, 1), Err(ArithmeticError::NotFound));
    shard.set("k", "18446744073709551615", 0);
    assert_eq!(change(&mut shard, false, 3), Ok(2));
    assert_eq!(shard.get("k", 0).unwrap(), format!("{:<20}", 2));
    assert_eq!(change(&mut shard, true, 3), Ok(0));
    shard.set("k", "9", 0);
    assert_eq!(change(&mut shard, false, 1), Ok(10));
    assert_eq!(shard.get("k", 0).as_deref(), Some("10"));
    shard.set("k", "nine", 0);
    assert_eq!(change(&mut shard, false, 1), Err(ArithmeticError::NonNumeric));
}

#[test]
fn a_wide_number_keeps_its_width() {
    let mut shard = Shard::new();
    shard.set("k", &format!("{:1000}", 5), 0);
    assert_eq!(change(&mut shard, true, 1), Ok(4));
    assert_eq!(shard.get("k", 0).unwrap(), format!("{:<1000}", 4));
}
