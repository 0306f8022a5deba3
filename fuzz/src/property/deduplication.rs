//! What is recognised as sent again.

use std::time::Duration;

use windhover_core::Instant;
use windhover_core::tracking::{DedupWindow, EventDigest, EventIdentity};

use crate::{Script, Source};

const KEY: [u8; 16] = *b"of no importance";

/// What a simple list holds of late, the window finds, and nothing that was not put into it; and an event's
/// digest is the same however its record is spelled, and another one where the event is.
pub fn deduplication(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut source = Source::new(first);
    let capacity = source.between(1, 9);
    let lifetime = source.between(0, 9) as u64;
    let mut window =
        DedupWindow::new(u32::try_from(capacity).unwrap(), Duration::from_secs(lifetime));
    let mut model = Model { capacity, lifetime, put: Vec::new() };
    let mut now = 0;
    for step in steps {
        let mut source = Source::new(step);
        match source.below(8) {
            0..=3 => model.insert(&mut window, digest(&mut source), now),
            4 => {
                let number = source.below(model.put.len() + 2);
                window.take_back(number as u64);
                if let Some(put) = model.put.get_mut(number) {
                    put.is_taken_back = true;
                }
            }
            // By quarters of a second: digests of the same second are forgotten together.
            5 => now += 250 * source.between(0, 24) as u64,
            6 => recorded(&mut source),
            _ => {
                // Whatever it is.
                let found = EventIdentity::of_record(source.rest());
                let _ = found.map(|found| found.identity.digest(&KEY));
            }
        }
        model.compare(&window);
    }
}

/// Few homes and many digests for each, so that they get into each other's way.
fn digest(source: &mut Source<'_>) -> EventDigest {
    let mut bytes = [0; 16];
    (bytes[0], bytes[8], bytes[15]) = (source.byte() % 3, source.byte() % 16, 1);
    assert_eq!(EventDigest::from_bytes([0; 16]), None);
    let digest = EventDigest::from_bytes(bytes).unwrap();
    assert_eq!(digest.to_bytes(), bytes);
    digest
}

struct Put {
    digest: EventDigest,
    /// In milliseconds.
    at: u64,
    is_taken_back: bool,
}

/// All that was ever put into the window, by number.
struct Model {
    capacity: usize,
    /// In seconds.
    lifetime: u64,
    put: Vec<Put>,
}

impl Model {
    /// The numbers for which there is room.
    fn oldest(&self) -> usize {
        self.put.len().saturating_sub(self.capacity)
    }

    fn insert(&mut self, window: &mut DedupWindow, digest: EventDigest, now: u64) {
        let is_it = |put: &Put| put.digest == digest && !put.is_taken_back;
        let held = (self.oldest()..self.put.len()).rev().find(|&number| is_it(&self.put[number]));
        assert_eq!(window.next(), self.put.len() as u64);
        match window.insert(digest, Instant::from_epoch(Duration::from_millis(now))) {
            Ok(number) => {
                assert_eq!(number, self.put.len() as u64);
                let is_due = |number: usize| now - self.put[number].at >= 1000 * self.lifetime;
                assert!(held.is_none_or(is_due), "{held:?} is forgotten before its time");
                self.put.push(Put { digest, at: now, is_taken_back: false });
            }
            Err(number) => assert_eq!(held, usize::try_from(number).ok()),
        }
    }

    fn compare(&self, window: &DedupWindow) {
        assert!(window.len() <= self.capacity as u64);
        let first = self.put.len() - usize::try_from(window.len()).unwrap();
        assert_eq!(window.is_empty(), first == self.put.len());
        let held: Vec<_> = (first..self.put.len())
            .filter(|&number| !self.put[number].is_taken_back)
            .map(|number| (number as u64, self.put[number].digest))
            .collect();
        assert!(window.since(0).eq(held.iter().copied()));
        let later = self.put.len().saturating_sub(2) as u64;
        assert!(window.since(later).eq(held.into_iter().filter(|&(number, _)| number >= later)));
    }
}

/// An event, each word of it as it is and with a letter spelled by its number.
fn recorded(source: &mut Source<'_>) {
    let event = words(source);
    let digest = of(&event, false);
    assert_eq!(digest.is_none(), event[3].is_empty(), "{event:?}");
    assert_eq!(of(&event, true), digest);
    let other = words(source);
    let is_same = event == other;
    assert_eq!(digest.is_some() && of(&other, true) == digest, is_same && digest.is_some());
}

/// Token, name, `distinct_id`, `$insert_id` and time.
fn words(source: &mut Source<'_>) -> [String; 5] {
    let mut word = || source.pick(&["a", "b", "ab", "\u{fc}", ""]).to_owned();
    let words = [word(), word(), word(), word()];
    let [token, name, distinct_id, insert_id] = words;
    [token, name, distinct_id, insert_id, source.pick(&["1", "2"]).to_owned()]
}

fn of(
    [token, name, distinct_id, insert_id, time]: &[String; 5],
    by_number: bool,
) -> Option<EventDigest> {
    let spelled =
        |word: &str| if by_number { word.replace('a', "\\u0061") } else { word.to_owned() };
    let [token, name, distinct_id, insert_id] =
        [token, name, distinct_id, insert_id].map(|word| spelled(word));
    let received = if by_number { "1" } else { "3" };
    let line = format!(
        r#"{{"event":"{name}","properties":{{"token":"{token}","distinct_id":"{distinct_id}","$insert_id":"{insert_id}","time":{time},"mp_processing_time_ms":{received}}}}}"#
    );
    let found = EventIdentity::of_record(line.as_bytes())?;
    assert_eq!(found.is_time_of_receipt, time == received);
    let digest = found.identity.digest(&KEY);
    assert_ne!(found.identity.without_time().digest(&KEY), digest);
    Some(digest)
}
