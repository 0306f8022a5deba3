//! What a server says of itself: on its page of metrics, and in the statistics of its queues.

use std::fmt::Debug;
use std::str::FromStr;

use crate::Server;

impl Server {
    /// The value of a sample of `/metrics`, by its name with its labels; `None` when it is not on the page.
    #[track_caller]
    pub fn metric<T: FromStr<Err: Debug>>(&self, name: &str) -> Option<T> {
        let page = self.http_client().get("/metrics").expect("an answer").text();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(value.parse().expect("a number"))
    }

    /// How many items wait in a queue; 0 where there is no such queue.
    #[track_caller]
    pub fn items(&self, queue: &str) -> u64 {
        let stats = self.queue_client().stats().expect("an answer");
        let items = stats.get(&format!("queue_{queue}_items"));
        items.map_or(0, |items| items.parse().expect("a number"))
    }
}
