//! What was sent, what was answered and what was seen: the books of the kill and shutdown tests.

use std::{collections::BTreeMap, fmt, ops::Range, sync::Mutex};

use serde_json::Value;

use crate::http::HttpClient;

/// Every event has a number of its own, and what it holds follows from that number.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// One entry for each event, in the order of their numbers.
    events: Vec<Entry>,
    batches: Vec<Range<usize>>,
    rejected: Vec<String>,
    accepted: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    accepted: bool,
    seen: u32,
}

/// What the books say at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events sent.
    pub sent: usize,
    /// Events answered `1`.
    pub accepted: usize,
    /// Events that came out of the queue.
    pub seen: usize,
    /// Events that came out more than once.
    pub repeated: usize,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events sent, {} answered `1`, {} seen, {} of them more than once",
            self.sent, self.accepted, self.seen, self.repeated
        )
    }
}

impl Ledger {
    /// Sends `count` new events in one request, one alone or several as an array, and keeps the
    /// answer. `false` when there was none, because the server is gone.
    pub fn send(&self, client: &mut HttpClient, count: usize) -> bool {
        let batch = {
            let mut books = self.books.lock().expect("no thread panics with the books");
            let first = books.events.len();
            books.events.resize(first + count, Entry::default());
            books.batches.push(first..first + count);
            first..first + count
        };
        let events: Vec<_> = batch.clone().map(event).collect();
        let json = match events.as_slice() {
            [event] => event.clone(),
            _ => format!("[{}]", events.join(",")),
        };
        let Ok(answer) = client.track(&json) else {
            return false;
        };
        let mut books = self.books.lock().expect("no thread panics with the books");
        if answer.accepted() {
            books.accepted += count;
            for entry in &mut books.events[batch] {
                entry.accepted = true;
            }
        } else if answer.status != 503 {
            books.rejected.push(format!("{}: {}", answer.status, answer.text()));
        }
        true
    }

    /// Enters an item that came out of the queue; panics when it is not, to the letter, what was
    /// sent.
    pub fn saw(&self, item: &[u8]) {
        let text = String::from_utf8_lossy(item);
        let value: Value = serde_json::from_slice(item)
            .unwrap_or_else(|error| panic!("an item that is not JSON ({error}): {text}"));
        let number =
            value["properties"]["n"].as_u64().and_then(|number| usize::try_from(number).ok());
        let mut books = self.books.lock().expect("no thread panics with the books");
        let known = number.filter(|number| *number < books.events.len());
        let Some(number) = known else {
            drop(books);
            panic!("an event that was never sent: {text}");
        };
        let sent: Value = serde_json::from_str(&event(number)).expect("events are JSON");
        for (name, was) in sent["properties"].as_object().expect("properties") {
            let is = &value["properties"][name];
            assert_eq!(is, was, "event {number} came back with another `{name}`");
        }
        assert_eq!(value["event"], sent["event"]);
        books.events[number].seen += 1;
    }

    /// The numbers of the events that were answered `1` and not seen.
    pub fn lost(&self) -> Vec<usize> {
        let books = self.books.lock().expect("no thread panics with the books");
        let is_lost = |(_, entry): &(usize, &Entry)| entry.accepted && entry.seen == 0;
        books.events.iter().enumerate().filter(is_lost).map(|(number, _)| number).collect()
    }

    /// Whether each of these events was seen.
    pub fn were_seen(&self, numbers: &[usize]) -> bool {
        let books = self.books.lock().expect("no thread panics with the books");
        numbers.iter().all(|&number| books.events[number].seen > 0)
    }

    /// How many events were answered `1` so far.
    pub fn accepted(&self) -> usize {
        self.books.lock().expect("no thread panics with the books").accepted
    }

    /// Closes the books over a queue that was drained: every event answered `1` was seen at least
    /// once, of every batch all events or none, and nothing was refused.
    #[track_caller]
    pub fn balance(&self) -> Totals {
        let lost = self.lost();
        let books = self.books.lock().expect("no thread panics with the books");
        let events = &books.events;
        assert!(
            lost.is_empty(),
            "{} events were answered `1` and are lost, the first {:?}",
            lost.len(),
            lost.iter().take(10).collect::<Vec<_>>()
        );
        let torn: BTreeMap<_, _> = books
            .batches
            .iter()
            .map(|batch| {
                let seen = events[batch.clone()].iter().filter(|entry| entry.seen > 0);
                (batch.start, (seen.count(), batch.len()))
            })
            .filter(|(_, (seen, of))| *seen != 0 && seen != of)
            .collect();
        assert!(torn.is_empty(), "batches recorded in part (first: (seen, of)): {torn:?}");
        assert!(books.rejected.is_empty(), "refused: {:?}", books.rejected);
        Totals {
            sent: events.len(),
            accepted: books.accepted,
            seen: events.iter().filter(|entry| entry.seen > 0).count(),
            repeated: events.iter().filter(|entry| entry.seen > 1).count(),
        }
    }
}

/// The event with this number; its padding makes records of many lengths.
fn event(number: usize) -> String {
    let pad = "p".repeat(number.wrapping_mul(2_654_435_761) % 300);
    format!(r#"{{"event":"book","properties":{{"token":"t","n":{number},"pad":"{pad}"}}}}"#)
}
