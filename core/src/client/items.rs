//! Items that a retrieval found: mostly one.

use alloc::vec::{self, Vec};
use core::ops::Deref;
use core::option;
use core::slice;

use super::Item;

/// Room for so many at first, where it is not one: who asks for several keys mostly asks for many.
const SEVERAL: usize = 16;

/// The items that a retrieval found, in the order in which they came: a slice, which needs no memory of its
/// own for a single one.
///
/// ```
/// use windhover_core::client::{Answer, Items};
///
/// let answer = Answer::Items(Items::new());
/// let Answer::Items(items) = answer else { panic!() };
/// assert!(items.is_empty());
/// for item in items {
///     println!("key {}: {} bytes", item.index, item.value.len());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Items(Few);

#[derive(Clone, Debug)]
enum Few {
    One(Option<Item>),
    Many(Vec<Item>),
}

impl Items {
    /// No items.
    pub const fn new() -> Self {
        Self(Few::One(None))
    }

    /// No items, and room for so many.
    pub(super) fn with_room(count: usize) -> Self {
        Self(Few::Many(Vec::with_capacity(count.max(SEVERAL))))
    }

    /// Room for so many more, where it is not one.
    pub(super) fn reserve(&mut self, count: usize) {
        if let Few::Many(items) = &mut self.0 {
            items.reserve(count);
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        match &mut self.0 {
            Few::Many(items) => items.push(item),
            Few::One(one @ None) => *one = Some(item),
            Few::One(one @ Some(_)) => {
                let mut items = Vec::with_capacity(SEVERAL);
                items.extend(one.take());
                items.push(item);
                self.0 = Few::Many(items);
            }
        }
    }
}

impl Default for Items {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Items {
    type Target = [Item];

    fn deref(&self) -> &[Item] {
        match &self.0 {
            Few::One(one) => one.as_slice(),
            Few::Many(items) => items,
        }
    }
}

impl From<Item> for Items {
    fn from(item: Item) -> Self {
        Self(Few::One(Some(item)))
    }
}

impl From<Vec<Item>> for Items {
    fn from(items: Vec<Item>) -> Self {
        Self(Few::Many(items))
    }
}

impl From<Items> for Vec<Item> {
    fn from(items: Items) -> Self {
        match items.0 {
            Few::One(one) => one.into_iter().collect(),
            Few::Many(items) => items,
        }
    }
}

/// Items that are taken out one by one; [`Items`] makes it.
#[derive(Debug)]
pub struct IntoIter(Rest);

#[derive(Debug)]
enum Rest {
    One(option::IntoIter<Item>),
    Many(vec::IntoIter<Item>),
}

impl Iterator for IntoIter {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        match &mut self.0 {
            Rest::One(one) => one.next(),
            Rest::Many(items) => items.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Rest::One(one) => one.size_hint(),
            Rest::Many(items) => items.size_hint(),
        }
    }
}

impl IntoIterator for Items {
    type Item = Item;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(match self.0 {
            Few::One(one) => Rest::One(one.into_iter()),
            Few::Many(items) => Rest::Many(items.into_iter()),
        })
    }
}

impl<'a> IntoIterator for &'a Items {
    type Item = &'a Item;
    type IntoIter = slice::Iter<'a, Item>;

    fn into_iter(self) -> slice::Iter<'a, Item> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(index: usize) -> Item {
        Item { index, flags: 0, cas: None, value: b"v".to_vec().into() }
    }

    #[test]
    fn items_come_out_in_the_order_in_which_they_went_in() {
        for count in 0..4 {
            let mut items = Items::new();
            (0..count).for_each(|index| items.push(item(index)));
            assert!(items.iter().map(|item| item.index).eq(0..count));
            assert_eq!(items.len(), count);
            let listed: Vec<Item> = items.clone().into();
            assert!(listed.iter().map(|item| item.index).eq(0..count));
            let taken = items.into_iter();
            assert_eq!(taken.size_hint(), (count, Some(count)));
            assert!(taken.map(|item| item.index).eq(0..count));
        }
    }
}
