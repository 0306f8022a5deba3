//! Queues, against the embedded one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use windhover_client::{Client, Outcome};
use windhover_conformance::{Runtime, Server, Setup, TempDir, on_each_runtime, sleep};

struct Queues {
    servers: Vec<Server>,
    _directories: Vec<TempDir>,
}

impl Queues {
    fn start(count: usize) -> Self {
        let directories: Vec<_> = (0..count).map(|_| TempDir::new("queues")).collect();
        let servers =
            directories.iter().map(|directory| Setup::new(directory.path()).start()).collect();
        Self { servers, _directories: directories }
    }

    fn client(&self, runtime: Runtime) -> Client {
        let mut builder = Client::queue_builder().timeout(Duration::from_secs(10));
        for server in &self.servers {
            builder = builder.server(&server.queue().to_string());
        }
        runtime.connect(builder)
    }
}

async fn items_are_reserved_confirmed_and_put_back(runtime: Runtime) {
    let queues = Queues::start(1);
    let queue = queues.client(runtime).queue("jobs");
    assert_eq!(queue.take().await.unwrap(), None);
    for item in ["one", "two", "three"] {
        queue.enqueue(item).await.unwrap();
    }
    assert_eq!(queue.peek().await.unwrap().unwrap(), "one");
    let first = queue.reserve().await.unwrap().unwrap();
    assert_eq!(first.item(), "one");
    // While it is set aside, others get the next one.
    let second = queue.reserve().await.unwrap().unwrap();
    assert_eq!(second.item(), "two");
    first.abort().await.unwrap();
    assert_eq!(queue.peek().await.unwrap().unwrap(), "one");
    assert_eq!(second.confirm().await.unwrap(), "two");
    // One that is dropped comes back at the head.
    drop(queue.reserve().await.unwrap().unwrap());
    let again = loop {
        let reservation = queue.reserve_within(Duration::from_secs(5)).await.unwrap().unwrap();
        if reservation.item() == "one" {
            break reservation;
        }
        reservation.abort().await.unwrap();
    };
    let next = again.confirm_and_reserve().await.unwrap().unwrap();
    assert_eq!(next.item(), "three");
    assert!(next.confirm_and_reserve().await.unwrap().is_none());
    assert!(queue.reserve().await.unwrap().is_none());
}

async fn a_read_waits_for_its_item(runtime: Runtime) {
    let queues = Queues::start(1);
    let queue = queues.client(runtime).queue("jobs");
    let begun = Instant::now();
    assert!(queue.reserve_within(Duration::from_millis(300)).await.unwrap().is_none());
    assert!(begun.elapsed() >= Duration::from_millis(290));
    let reader = runtime.spawn({
        let queue = queue.clone();
        async move { queue.reserve_within(Duration::from_secs(20)).await.unwrap().unwrap() }
    });
    sleep(Duration::from_millis(100)).await;
    // The read that waits holds up nobody.
    queue.enqueue("late").await.unwrap();
    let reservation = reader.await;
    assert_eq!(reservation.confirm().await.unwrap(), "late");
}

async fn items_spread_over_servers_and_none_is_left(runtime: Runtime) {
    let queues = Queues::start(3);
    let client = queues.client(runtime);
    let queue = client.queue("jobs");
    for n in 0..90 {
        queue.enqueue(n.to_string()).await.unwrap();
    }
    let sent: Vec<u64> =
        client.statistics().iter().map(|server| server.counters.answered).collect();
    assert_eq!(sent, [30, 30, 30]);
    let mut seen = HashSet::new();
    while let Some(reservation) = queue.reserve_within(Duration::from_millis(50)).await.unwrap() {
        seen.insert(reservation.confirm().await.unwrap());
    }
    assert_eq!(seen.len(), 90);
}

async fn an_unreachable_queue_is_not_empty(runtime: Runtime) {
    let mut queues = Queues::start(2);
    let queue = queues.client(runtime).queue("jobs");
    assert_eq!(queue.take().await.unwrap(), None);
    drop(queues.servers.pop());
    let error = queue.take().await.unwrap_err();
    assert_ne!(error.outcome(), Outcome::Refused);
    // The one that is left takes every item, and hands it out.
    for _ in 0..10 {
        queue.enqueue("item").await.unwrap();
    }
    assert_eq!(queue.take().await.unwrap().unwrap(), "item");
}

on_each_runtime!(
    async:
    items_are_reserved_confirmed_and_put_back,
    a_read_waits_for_its_item,
    items_spread_over_servers_and_none_is_left,
    an_unreachable_queue_is_not_empty,
);
