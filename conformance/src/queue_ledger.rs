//! What was put into a queue, what was answered, and what came out: the books of tests that put, open, confirm and
//! abort.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::queue::QueueClient;
use crate::random::Random;

/// Writers to a queue.
pub const WRITERS: usize = 3;

/// An item says who wrote it, and the how manieth it is.
pub type Item = (usize, u64);

/// What is known of a queue.
#[derive(Debug)]
pub struct QueueLedger {
    queue: String,
    books: Mutex<Books>,
}

/// What was done with it so far.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The last number of each writer, and those that were answered `STORED`.
    pub last: [u64; WRITERS],
    /// Items that were answered `STORED`.
    pub stored: BTreeSet<Item>,
    /// What a reader said it was done with, or was about to say.
    pub done: BTreeSet<Item>,
    /// How often an item was put back.
    pub aborted: u64,
}

impl QueueLedger {
    /// Empty books of that queue.
    pub fn new(queue: &str) -> Self {
        Self { queue: queue.to_owned(), books: Mutex::default() }
    }

    /// The bytes of an item: of many lengths.
    pub fn encode((writer, number): Item) -> Vec<u8> {
        let pad = "p".repeat(usize::try_from(number * 37 % 300).expect("it is small"));
        format!("{writer} {number} {pad}").into_bytes()
    }

    /// Which item these bytes are; panics when nobody can have put them.
    #[track_caller]
    pub fn decode(item: &[u8]) -> Item {
        let text = String::from_utf8_lossy(item);
        let mut words = text.split(' ');
        let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(writer), Some(number)) = (next(), next()) else { panic!("nobody put `{text}`") };
        let read = (usize::try_from(writer).expect("it is small"), number);
        assert_eq!(item, Self::encode(read), "an item is as it was put");
        read
    }

    /// What is known now.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no thread panics with the books")
    }

    /// Puts one more item; what the server answered to it.
    ///
    /// # Errors
    /// Those of the connection: nothing is known of the item then.
    pub fn put(&self, client: &mut QueueClient, writer: usize) -> std::io::Result<String> {
        let item = {
            let mut books = self.books();
            books.last[writer] += 1;
            (writer, books.last[writer])
        };
        let answer = client.set(&self.queue, &Self::encode(item))?;
        if answer == "STORED" {
            self.books().stored.insert(item);
        }
        Ok(answer)
    }

    /// Puts until the server is gone; panics at an answer other than `STORED`.
    pub fn write(&self, writer: usize, address: SocketAddr) {
        let Ok(mut client) = QueueClient::connect(address) else { return };
        while let Ok(answer) = self.put(&mut client, writer) {
            assert_eq!(answer, "STORED");
        }
    }

    /// Opens one item, and is done with it or puts it back; whether there was one.
    ///
    /// # Errors
    /// Those of the connection.
    #[track_caller]
    pub fn take(&self, client: &mut QueueClient, random: &mut Random) -> std::io::Result<bool> {
        let queue = &self.queue;
        let Some(item) = client.get(&format!("{queue}/open/t=10"))? else { return Ok(false) };
        let item = Self::decode(&item);
        let aborts = random.number().is_multiple_of(3);
        {
            let mut books = self.books();
            assert!(item.1 <= books.last[item.0], "nobody put {item:?}");
            // Before the server can know.
            if aborts {
                books.aborted += 1;
            } else {
                books.done.insert(item);
            }
        }
        client.get(&format!("{queue}/{}", if aborts { "abort" } else { "close" }))?;
        Ok(true)
    }

    /// Opens items until the server is gone, and is done with some of them.
    pub fn read(&self, address: SocketAddr, mut random: Random) {
        let Ok(mut client) = QueueClient::connect(address) else { return };
        while self.take(&mut client, &mut random).is_ok() {}
    }

    /// Opens many at a time, and confirms all of them.
    pub fn monitor(&self, address: SocketAddr, has_ended: &AtomicBool) {
        let Ok(mut client) = QueueClient::connect(address) else { return };
        while !has_ended.load(Ordering::Relaxed) {
            let Ok(items) = client.monitor(&self.queue, 1, 5) else { return };
            let count = items.len();
            self.books().done.extend(items.iter().map(|item| Self::decode(item)));
            let confirmed = client.command(&format!("confirm {} {count}", self.queue));
            if !confirmed.is_ok_and(|answer| answer == "END") {
                return;
            }
        }
    }

    /// Takes all of a queue, which is in order for each who wrote to it.
    #[track_caller]
    pub fn drained(client: &mut QueueClient, queue: &str) -> Vec<Item> {
        let items = client.drain(queue).expect("the queue gives its items");
        let items: Vec<Item> = items.iter().map(|item| Self::decode(item)).collect();
        let mut last = BTreeMap::new();
        for &(writer, number) in &items {
            let before = last.insert(writer, number);
            assert!(before < Some(number), "{queue}: {number} of {writer} behind {before:?}");
        }
        items
    }
}

impl Books {
    /// What was acknowledged, and is neither done with nor there.
    pub fn lost(&self, there: &BTreeSet<Item>) -> Vec<Item> {
        let is_lost = |item: &&Item| !there.contains(item) && !self.done.contains(item);
        self.stored.iter().filter(is_lost).copied().collect()
    }

    /// What is there though nobody put it.
    pub fn phantom<'a>(&self, there: impl IntoIterator<Item = &'a Item>) -> Option<Item> {
        there.into_iter().find(|(writer, number)| *number > self.last[*writer]).copied()
    }
}
