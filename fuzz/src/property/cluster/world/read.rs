//! What a caller reads of an answer, in every way that there is.

use windhover_core::client::{Item, Items, MetaAnswer};

/// Everything about an item.
fn told(item: &Item) -> (usize, u32, Option<u64>, Vec<u8>) {
    (item.index, item.flags, item.cas, item.value.to_vec())
}

/// Whether they are the same items in the same order.
pub(super) fn are_same(one: &[Item], other: &[Item]) -> bool {
    one.iter().map(told).eq(other.iter().map(told))
}

/// However they are taken out, they are the same items in the same order.
pub(super) fn are_taken_out(items: &Items) {
    let all: Vec<_> = items.iter().map(told).collect();
    let one_by_one = items.clone().into_iter();
    assert_eq!(one_by_one.size_hint(), (all.len(), Some(all.len())));
    assert!(one_by_one.map(|item| told(&item)).eq(all.iter().cloned()));
    let items = Vec::from(items.clone());
    assert!(items.iter().map(told).eq(all.iter().cloned()));
    let again = match &items[..] {
        [] => Items::default(),
        [only] => Items::from(only.clone()),
        _ => Items::from(items),
    };
    assert!(again.iter().map(told).eq(all));
}

/// What is told by name is what the flag of the letter says.
pub(super) fn reads_its_flags(meta: &MetaAnswer) {
    let token = |letter| {
        let flag = meta.flags().iter().find(|flag| flag.letter == letter)?;
        std::str::from_utf8(flag.token).ok()
    };
    let number = |letter| token(letter).and_then(|text| text.parse::<u64>().ok());
    let has = |letter| meta.flags().iter().any(|flag| flag.letter == letter);
    for (read, letter) in [(meta.cas(), b'c'), (meta.size(), b's'), (meta.last_access(), b'l')] {
        // Digits alone are a number, without a sign.
        assert!(read.is_none() || read == number(letter), "{}: {meta:?}", letter as char);
    }
    assert!(meta.client_flags().is_none() || meta.client_flags().map(u64::from) == number(b'f'));
    assert!(meta.ttl().is_none() || token(b't').and_then(|it| it.parse().ok()) == meta.ttl());
    assert!(meta.hit_before().is_none() || meta.hit_before() == number(b'h').map(|hit| hit > 0));
    assert_eq!(meta.has_won(), has(b'W'));
    assert_eq!(meta.another_has_won(), has(b'Z'));
    assert_eq!(meta.is_stale(), has(b'X'));
}
