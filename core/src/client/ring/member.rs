//! What a choice is made among.

/// A server as a choice sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member<'a> {
    /// What its place is computed from, and so what decides which keys are its own. Of
    /// members with the same name, the first in the list gets the keys of all.
    pub name: &'a [u8],
    /// Its share of the keys, relative to the others' weights. 0: none.
    pub weight: u32,
}

impl<'a> Member<'a> {
    /// A server called `name` with the share `weight`.
    pub const fn new(name: &'a [u8], weight: u32) -> Self {
        Self { name, weight }
    }
}
