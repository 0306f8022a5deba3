//! The puts that the records of one request become: one, or several where tokens have queues of their own.

use bytes::Bytes;
use windhover_core::UnixTime;
use windhover_core::queue::{Put, PutBuilder};

/// Those under construction. Records are numbered from 0 in the order in which they come, whatever queue they go to.
pub(super) struct Puts {
    first: PutBuilder,
    others: Vec<Other>,
    records: u32,
    /// Which put each record is in, and its place there; where there is one put alone, nothing.
    places: Vec<(usize, u32)>,
    /// The put that is written to: 0 is the first.
    at: usize,
}

/// A put to another queue than the first one.
struct Other {
    queue: Box<str>,
    put: PutBuilder,
}

impl Puts {
    /// None yet but that one.
    pub(super) fn new(first: PutBuilder) -> Self {
        Self { first, others: Vec::new(), records: 0, places: Vec::new(), at: 0 }
    }

    /// The next record goes to that queue, and to the first put's if there is none.
    pub(super) fn choose(&mut self, queue: Option<&str>, now: UnixTime) {
        self.at = queue.map_or(0, |queue| self.place_of(queue, now));
    }

    fn place_of(&mut self, queue: &str, now: UnixTime) -> usize {
        if let Some(place) = self.others.iter().position(|other| &*other.queue == queue) {
            return place + 1;
        }
        // The name was checked when the file was read.
        let Ok(put) = PutBuilder::new(queue.as_bytes(), now) else { return 0 };
        if self.others.is_empty() {
            self.places.extend((0..self.records).map(|place| (0, place)));
        }
        self.others.push(Other { queue: queue.into(), put });
        self.others.len()
    }

    fn get(&mut self, at: usize) -> &mut PutBuilder {
        let other = at.checked_sub(1).and_then(|place| self.others.get_mut(place));
        other.map_or(&mut self.first, |other| &mut other.put)
    }

    pub(super) fn begin_record(&mut self) -> &mut Vec<u8> {
        self.get(self.at).begin_item(None)
    }

    /// The number of the record that was begun.
    pub(super) fn number(&self) -> u32 {
        self.records
    }

    pub(super) fn end_record(&mut self) {
        let at = self.at;
        let put = self.get(at);
        let place = put.items();
        put.end_item();
        if !self.others.is_empty() {
            self.places.push((at, place));
        }
        self.records += 1;
    }

    pub(super) fn abort_record(&mut self) {
        self.get(self.at).abort_item();
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.first.clear();
        self.others.clear();
        self.places.clear();
        (self.records, self.at) = (0, 0);
    }

    /// Takes the records of these numbers out, which rise.
    pub(super) fn remove(&mut self, numbers: &[u32]) {
        if self.others.is_empty() {
            let mut numbers = numbers.iter().copied().peekable();
            self.first.remove_items(|place| numbers.next_if_eq(&place).is_some());
            return;
        }
        for at in 0..=self.others.len() {
            let found = numbers.iter().filter_map(|number| self.places.get(*number as usize));
            let in_this = found.filter(|(put, _)| *put == at).map(|(_, place)| *place);
            let mut places = in_this.collect::<Vec<u32>>().into_iter().peekable();
            self.get(at).remove_items(|place| places.next_if_eq(&place).is_some());
        }
    }

    /// The data of each record, in order within each queue.
    pub(super) fn data(&mut self) -> Vec<Bytes> {
        let others = self.others.iter_mut().map(|other| &mut other.put);
        let puts = std::iter::once(&mut self.first).chain(others);
        puts.flat_map(|put| put.data().map(Bytes::copy_from_slice)).collect()
    }

    /// The puts that have records: one of them, and the others.
    pub(super) fn finish(self) -> (Option<Put>, Vec<Put>) {
        let others = self.others.into_iter().map(|other| other.put);
        let mut puts = std::iter::once(self.first).chain(others).filter(|put| put.items() > 0);
        (puts.next().map(PutBuilder::finish), puts.map(PutBuilder::finish).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(puts: &mut Puts, queue: Option<&str>, record: &str) {
        puts.choose(queue, UnixTime::default());
        puts.begin_record().extend_from_slice(record.as_bytes());
        puts.end_record();
    }

    #[test]
    fn records_go_to_their_queues_and_are_taken_out_by_their_numbers() {
        let all = [
            (None, "a0"),
            (Some("b"), "b1"),
            (None, "a2"),
            (Some("c"), "c3"),
            (Some("b"), "b4"),
            (None, "a5"),
        ];
        for removed in 0_u32..64 {
            let mut puts = Puts::new(PutBuilder::new(b"a", UnixTime::default()).unwrap());
            puts.begin_record().extend_from_slice(b"aborted");
            puts.abort_record();
            for (number, (queue, record)) in (0..).zip(all) {
                assert_eq!(puts.number(), number);
                put(&mut puts, queue, record);
            }
            let numbers: Vec<u32> = (0..6).filter(|number| removed >> number & 1 == 1).collect();
            puts.remove(&numbers);
            let kept = |queue: &str| {
                let kept = (0..6).filter(|number| removed >> number & 1 == 0);
                let kept = kept.map(|number| all[number].1).filter(|it| it.starts_with(queue));
                kept.collect::<Vec<_>>()
            };
            let expected = [kept("a"), kept("b"), kept("c")];
            assert_eq!(puts.data(), expected.concat(), "{numbers:?}");
            let (one, others) = puts.finish();
            let items = one.iter().chain(&others).map(|put| put.items() as usize);
            let expected = expected.iter().map(Vec::len).filter(|len| *len > 0);
            assert_eq!(items.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_cleared_is_forgotten_in_every_queue() {
        let mut puts = Puts::new(PutBuilder::new(b"a", UnixTime::default()).unwrap());
        put(&mut puts, None, "a");
        put(&mut puts, Some("b"), "b");
        puts.clear();
        put(&mut puts, None, "again");
        assert_eq!((puts.number(), puts.data()), (1, vec![Bytes::from("again")]));
    }
}
