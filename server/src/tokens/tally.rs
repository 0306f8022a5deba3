//! How many records of each token a request has.

use std::collections::HashMap;
use std::ops::Range;

/// With more tokens than these in one request they are looked up by a table.
const FEW: usize = 8;
/// So many bytes of names are kept for the next request.
const KEPT: usize = 4096;

/// Counts the records of a request by token. Its memory serves for the next request.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The tokens, one behind the other.
    names: String,
    tokens: Vec<Counted>,
    table: HashMap<Box<str>, usize>,
}

#[derive(Debug)]
struct Counted {
    name: Range<usize>,
    records: u32,
}

impl Tally {
    /// The place of a token.
    pub(crate) fn enter(&mut self, token: &str) -> usize {
        let last = self.tokens.len().checked_sub(1);
        if let Some(place) =
            last.filter(|place| self.name(*place) == token).or_else(|| self.find(token))
        {
            return place;
        }
        let begin = self.names.len();
        self.names.push_str(token);
        self.tokens.push(Counted { name: begin..self.names.len(), records: 0 });
        let place = self.tokens.len() - 1;
        if place >= FEW {
            if self.table.is_empty() {
                let few = (0..place).map(|place| (self.name(place).into(), place)).collect();
                self.table = few;
            }
            self.table.insert(token.into(), place);
        }
        place
    }

    fn find(&self, token: &str) -> Option<usize> {
        if self.tokens.len() <= FEW {
            return (0..self.tokens.len()).find(|place| self.name(*place) == token);
        }
        self.table.get(token).copied()
    }

    fn name(&self, place: usize) -> &str {
        let name = self.tokens.get(place).and_then(|it| self.names.get(it.name.clone()));
        name.unwrap_or_default()
    }

    /// One more of the token at that place.
    pub(crate) fn count(&mut self, place: usize) {
        if let Some(token) = self.tokens.get_mut(place) {
            token.records += 1;
        }
    }

    /// Each token with its records, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> + Clone {
        let with_records = self.tokens.iter().filter(|it| it.records > 0);
        with_records.map(|it| (self.names.get(it.name.clone()).unwrap_or_default(), it.records))
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        // What one request with many tokens needed is not kept for the others.
        if self.names.capacity() > KEPT {
            *self = Self::default();
        }
        self.names.clear();
        self.tokens.clear();
        self.table.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_by_token_be_they_few_or_many() {
        for many in [1, FEW, FEW + 1, 100] {
            let mut tally = Tally::default();
            tally.enter("of no record");
            for _ in 0..3 {
                for n in 0..many {
                    let place = tally.enter(&format!("token-{n}"));
                    assert_eq!(place, n + 1);
                    tally.count(place);
                }
            }
            let expected: Vec<_> = (0..many).map(|n| (format!("token-{n}"), 3)).collect();
            let counted: Vec<_> = tally.iter().map(|(token, n)| (token.to_owned(), n)).collect();
            assert_eq!(counted, expected);
            tally.clear();
            assert_eq!((tally.iter().count(), tally.enter("t")), (0, 0));
        }
    }
}
