//! Queue servers that hang, die and come back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use windhover_client::{Client, Queue};
use windhover_conformance::{
    Runtime, Server, Setup, TempDir, on_each_runtime, report, sleep, timeout,
};
use windhover_core::client::{ClusterOptions, NotSent};
use windhover_core::memcache::Reason;

use crate::{LONG, ends_at, ends_at_once, is_gone, millis, not_sent, unknown, until_answered};

const DEADLINE: Duration = Duration::from_millis(300);

fn start(count: usize) -> (Vec<TempDir>, Vec<Server>) {
    let directories: Vec<_> = (0..count).map(|_| TempDir::new("queue-faults")).collect();
    let servers =
        directories.iter().map(|directory| Setup::new(directory.path()).start()).collect();
    (directories, servers)
}

fn client(
    runtime: Runtime,
    servers: &[Server],
    change: impl FnOnce(&mut ClusterOptions),
) -> Client {
    let mut builder = Client::queue_builder().timeout(LONG).options(change);
    for server in servers {
        builder = builder.server(&server.queue().to_string());
    }
    runtime.connect(builder)
}

/// Takes what is there.
async fn items(queue: &Queue) -> Vec<String> {
    let mut items = Vec::new();
    while let (Some(item), _) = until_answered(|| queue.take()).await {
        items.push(String::from_utf8(item.to_vec()).unwrap());
    }
    items
}

async fn a_queue_that_hangs_ends_calls_at_their_deadline(runtime: Runtime) {
    let (_directories, servers) = start(1);
    let client = client(runtime, &servers, |_| ());
    let queue = client.queue("jobs");
    queue.enqueue("one").await.unwrap();
    let hasty = client.with_timeout(DEADLINE).queue("jobs");
    servers[0].pause();
    let peek = ends_at("queue hangs, peek", DEADLINE, hasty.peek()).await.unwrap_err();
    assert_eq!(unknown(&peek), Reason::Deadline);
    let reserve = ends_at("queue hangs, reserve", DEADLINE, hasty.reserve()).await.unwrap_err();
    assert_eq!(unknown(&reserve), Reason::Deadline);
    let enqueue = ends_at("queue hangs, enqueue", DEADLINE, hasty.enqueue("two")).await;
    assert_eq!(unknown(&enqueue.unwrap_err()), Reason::Deadline);
    servers[0].resume();
    // What the late reservation had set aside comes back, since its connection was closed.
    let first = queue.reserve_within(LONG).await.unwrap().unwrap();
    assert_eq!(first.confirm().await.unwrap(), "one");
    // Nobody knew it, and it was done.
    let second = queue.reserve_within(LONG).await.unwrap().unwrap();
    assert_eq!(second.confirm().await.unwrap(), "two");
}

async fn a_read_that_waits_ends_soon_after_its_wait_when_the_queue_hangs(runtime: Runtime) {
    let (_directories, servers) = start(1);
    let client = client(runtime, &servers, |_| ()).with_timeout(DEADLINE);
    let queue = client.queue("jobs");
    assert!(queue.reserve().await.unwrap().is_none());
    let wait = Duration::from_millis(500);
    let waiting = runtime.spawn({
        let queue = queue.clone();
        async move {
            // The wire has whole milliseconds.
            let aim = wait + DEADLINE.saturating_sub(Duration::from_millis(1));
            ends_at("queue hangs, waiting reserve", aim, queue.reserve_within(wait)).await
        }
    });
    sleep(Duration::from_millis(100)).await;
    servers[0].pause();
    assert_eq!(unknown(&waiting.await.unwrap_err()), Reason::Deadline);
    servers[0].resume();
    client.with_timeout(LONG).queue("jobs").enqueue("one").await.unwrap();
    assert_eq!(items(&queue).await, ["one"]);
}

async fn enqueue_goes_to_another_server_at_once_when_one_is_killed(runtime: Runtime) {
    let (_directories, mut servers) = start(3);
    let client = client(runtime, &servers, |_| ());
    let queue = client.queue("jobs");
    for n in 0..30 {
        queue.enqueue(n.to_string()).await.unwrap();
    }
    servers.remove(1).kill();
    // Nothing is under way: no call's outcome is in doubt.
    sleep(Duration::from_millis(100)).await;
    let mut slowest = Duration::ZERO;
    for n in 30..330 {
        let begun = Instant::now();
        queue.enqueue(n.to_string()).await.unwrap();
        slowest = slowest.max(begun.elapsed());
    }
    report(&format!("killed queue, slowest of 300 enqueues: {:.1} ms", millis(slowest)));
    assert!(slowest < crate::LOOSE, "{slowest:?}");
    let survivors = self::client(runtime, &servers, |_| ()).queue("jobs");
    assert_eq!(items(&survivors).await.len(), 20 + 300);
}

async fn enqueue_at_least_once_goes_to_another_server_when_one_hangs(runtime: Runtime) {
    let (_directories, servers) = start(3);
    let attempt = Duration::from_millis(250);
    let client = client(runtime, &servers, |options| options.attempt_timeout = attempt);
    let queue = client.queue("jobs").at_least_once();
    for n in 0..3 {
        queue.enqueue(n.to_string()).await.unwrap();
    }
    servers[0].pause();
    let (mut slow, mut slowest) = (0, Duration::ZERO);
    for n in 3..303 {
        let begun = Instant::now();
        queue.enqueue(n.to_string()).await.unwrap();
        slow += usize::from(begun.elapsed() >= attempt);
        slowest = slowest.max(begun.elapsed());
    }
    report(&format!(
        "queue hangs, enqueue at least once: {slow} of 300 waited for it, aim {} ms, over by \
         {:.1} ms",
        attempt.as_millis(),
        millis(slowest.saturating_sub(attempt))
    ));
    assert!((1..=3).contains(&slow), "after three failures it is out of use: {slow}");
    assert!(slowest < attempt + crate::LOOSE, "{slowest:?}");
    servers[0].resume();
    let mut seen = items(&queue).await;
    seen.sort_by_key(|item| item.parse::<u32>().unwrap());
    seen.dedup();
    assert_eq!(seen, (0..303).map(|n| n.to_string()).collect::<Vec<_>>(), "none is lost");
}

async fn a_sweep_over_many_servers_ends_at_one_deadline(runtime: Runtime) {
    let (_directories, servers) = start(3);
    // The silence after the first call does not end the second one.
    let client = client(runtime, &servers, |options| options.timeouts.stall = LONG);
    for _ in 0..3 {
        client.queue("jobs").enqueue("item").await.unwrap();
    }
    // Three of them would be later than any machine is.
    let deadline = Duration::from_millis(1800);
    let hasty = client.with_timeout(deadline).queue("empty");
    assert!(hasty.take().await.unwrap().is_none());
    servers.iter().for_each(Server::pause);
    let take = ends_at("three queues hang, take", deadline, hasty.take()).await.unwrap_err();
    assert_eq!(unknown(&take), Reason::Deadline);
    let flush = ends_at("three queues hang, flush", deadline, hasty.flush()).await.unwrap_err();
    assert_eq!(unknown(&flush), Reason::Deadline);
    servers.iter().for_each(Server::resume);
    assert_eq!(items(&client.queue("jobs")).await.len(), 3);
}

async fn a_reader_gets_the_items_of_the_servers_that_answer(runtime: Runtime) {
    let (_directories, servers) = start(3);
    let client = client(runtime, &servers, |_| ());
    let queue = client.queue("jobs");
    assert!(queue.reserve().await.unwrap().is_none());
    servers[0].pause();
    let mut reader = runtime.spawn({
        let queue = queue.clone();
        async move { queue.reserve_within(LONG).await }
    });
    let ended = timeout(Duration::from_secs(3), &mut reader).await;
    assert!(ended.is_err(), "one server that hangs does not end the wait for the others");
    let begun = Instant::now();
    queue.clone().at_least_once().enqueue("late").await.unwrap();
    let reservation = reader.await.unwrap().unwrap();
    report(&format!("one of three hangs, an item comes after {:.1} ms", millis(begun.elapsed())));
    assert_eq!(reservation.confirm().await.unwrap(), "late");
    // Nothing came, and one server could not be asked: that is not "empty".
    let nothing = queue.reserve_within(DEADLINE).await.unwrap_err();
    assert!(!matches!(nothing.outcome(), windhover_client::Outcome::Refused), "{nothing}");
    servers[0].resume();
}

async fn a_reservation_whose_server_is_killed_is_not_confirmed_and_comes_again(runtime: Runtime) {
    let directory = TempDir::new("queue-faults");
    let setup = Setup::new(directory.path());
    let server = setup.start();
    let address: SocketAddr = server.queue();
    let client = client(runtime, std::slice::from_ref(&server), |_| ());
    let queue = client.queue("jobs");
    for item in ["one", "two"] {
        queue.enqueue(item).await.unwrap();
    }
    let first = queue.reserve().await.unwrap().unwrap();
    let second = queue.reserve().await.unwrap().unwrap();
    server.pause();
    // One is confirmed to a server that dies before it reads that, one to a dead server.
    let confirmed = runtime.spawn(first.confirm());
    sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    server.kill();
    let cut = confirmed.await.unwrap_err();
    report(&format!("killed queue, confirm under way: {:.1} ms", millis(begun.elapsed())));
    assert!(is_gone(unknown(&cut)), "{cut}");
    let lost = ends_at_once("killed queue, confirm", second.confirm()).await.unwrap_err();
    assert_eq!(not_sent(&lost), NotSent::ReservationLost);
    let _server = setup.queue_at(address).start();
    let (first, took) = until_answered(|| queue.reserve()).await;
    report(&format!("reserved {:.1} ms after the restart", millis(took)));
    assert_eq!(first.unwrap().confirm().await.unwrap(), "one");
    assert_eq!(items(&queue).await, ["two"]);
}

async fn a_reservation_that_is_dropped_comes_back(runtime: Runtime) {
    let (_directories, servers) = start(1);
    let (one, other) = (client(runtime, &servers, |_| ()), client(runtime, &servers, |_| ()));
    one.queue("jobs").enqueue("item").await.unwrap();
    let reservation = one.queue("jobs").reserve().await.unwrap().unwrap();
    assert!(other.queue("jobs").reserve().await.unwrap().is_none());
    let begun = Instant::now();
    drop(reservation);
    let again = other.queue("jobs").reserve_within(LONG).await.unwrap().unwrap();
    report(&format!("dropped reservation: back after {:.1} ms", millis(begun.elapsed())));
    assert_eq!(again.confirm().await.unwrap(), "item");
}

async fn a_reserve_that_is_dropped_keeps_no_item(runtime: Runtime) {
    let (_directories, servers) = start(1);
    let client = client(runtime, &servers, |_| ());
    let queue = client.queue("jobs");
    // Dropped while it waits, while it connects, and as its answer comes.
    for micros in (0..3000).step_by(100) {
        let time = Duration::from_micros(micros);
        let dropped = timeout(time, queue.reserve_within(LONG)).await;
        assert!(dropped.is_err(), "there was no item");
    }
    for n in 0..50_u64 {
        queue.enqueue(n.to_string()).await.unwrap();
        let time = Duration::from_micros(n * 40);
        let _ = timeout(time, queue.reserve()).await;
        let item = queue.reserve_within(LONG).await.unwrap().unwrap();
        assert_eq!(item.confirm().await.unwrap(), n.to_string());
    }
}

async fn a_restarted_queue_is_used_again(runtime: Runtime) {
    let directories: Vec<_> = (0..3).map(|_| TempDir::new("queue-faults")).collect();
    let setups: Vec<_> = directories.iter().map(|it| Setup::new(it.path())).collect();
    let mut servers: Vec<_> = setups.iter().map(Setup::start).collect();
    let client = client(runtime, &servers, |_| ());
    let queue = client.queue("jobs");
    for n in 0..30 {
        queue.enqueue(n.to_string()).await.unwrap();
    }
    let address = servers[2].queue();
    servers.remove(2).kill();
    sleep(Duration::from_millis(100)).await;
    for n in 30..60 {
        queue.enqueue(n.to_string()).await.unwrap();
    }
    let begun = Instant::now();
    servers.push(setups[2].clone().queue_at(address).start());
    let before = client.statistics()[2].counters.answered;
    while client.statistics()[2].counters.answered < before + 10 {
        assert!(begun.elapsed() < LONG, "not used again: {:?}", client.statistics()[2]);
        queue.enqueue("more").await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    report(&format!("restarted queue: used again {:.1} ms later", millis(begun.elapsed())));
    let mut seen = items(&queue).await;
    seen.retain(|item| item != "more");
    seen.sort_by_key(|item| item.parse::<u32>().unwrap());
    assert_eq!(seen, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());
}

on_each_runtime!(
    async:
    a_queue_that_hangs_ends_calls_at_their_deadline,
    a_read_that_waits_ends_soon_after_its_wait_when_the_queue_hangs,
    enqueue_goes_to_another_server_at_once_when_one_is_killed,
    enqueue_at_least_once_goes_to_another_server_when_one_hangs,
    a_sweep_over_many_servers_ends_at_one_deadline,
    a_reader_gets_the_items_of_the_servers_that_answer,
    a_reservation_whose_server_is_killed_is_not_confirmed_and_comes_again,
    a_reservation_that_is_dropped_comes_back,
    a_reserve_that_is_dropped_keeps_no_item,
    a_restarted_queue_is_used_again,
);
