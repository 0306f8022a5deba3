//! A thousand callers at a time of one key, through clients that know nothing of each other.

use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader};
use std::pin::{Pin, pin};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use windhover_client::{Client, Computed, Error, ErrorKind, Origin, Recompute, Store};
use windhover_conformance::{CacheServer, Runtime, on_each_runtime, sleep};

const CLIENTS: usize = 10;
const CALLERS: usize = 1_000;
/// How long a computation takes.
const COMPUTING: Duration = Duration::from_millis(300);

/// What a thousand callers have come to.
struct Herd {
    found: Vec<Computed>,
    computations: usize,
    took: Duration,
}

impl Herd {
    fn of(&self, origin: &str) -> usize {
        self.found.iter().filter(|found| format!("{:?}", found.origin) == origin).count()
    }
}

fn recompute() -> Recompute {
    Recompute::after(Duration::from_secs(60)).lease(Duration::from_secs(2))
}

/// Has a thousand callers ask for a key, through ten clients.
async fn herd(runtime: Runtime, server: &CacheServer, key: &str) -> Herd {
    let address = server.address().to_string();
    let connect = || {
        let builder = Client::builder().server(&address).timeout(Duration::from_secs(10));
        runtime.connect(builder)
    };
    let clients: Vec<Client> = (0..CLIENTS).map(|_| connect()).collect();
    let computations = AtomicUsize::new(0);
    let call = |client: Client| {
        let computations = &computations;
        async move {
            let compute = || async {
                computations.fetch_add(1, Ordering::Relaxed);
                sleep(COMPUTING).await;
                Ok::<_, Error>("new")
            };
            client.get_or_compute(key, recompute(), compute).await.unwrap()
        }
    };
    let began = Instant::now();
    let calls = (0..CALLERS).map(|n| call(clients[n % CLIENTS].clone())).collect();
    let found = all(calls).await;
    let took = began.elapsed();
    Herd { found, computations: computations.load(Ordering::Relaxed), took }
}

async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let all = poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().any(Option::is_none) { Poll::Pending } else { Poll::Ready(()) }
    });
    pin!(all).await;
    done.into_iter().flatten().collect()
}

async fn statistic(client: &Client, name: &str) -> u64 {
    let (_, statistics) = client.stats("").await.remove(0);
    let statistics = statistics.unwrap();
    let (_, value) = statistics.iter().find(|(it, _)| it == name).unwrap();
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// Runs a test against the real memcached, then against `windhover cache`.
async fn on_both<F: Future<Output = ()>>(
    runtime: Runtime,
    test: impl Fn(CacheServer, Client) -> F,
) {
    for server in [CacheServer::memcached(&[]), CacheServer::windhover(runtime, &[])] {
        let builder = Client::builder().server(&server.address().to_string());
        let client = runtime.connect(builder.timeout(Duration::from_secs(10)));
        test(server, client).await;
    }
}

async fn a_key_that_is_not_there_is_computed_once(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        let herd = herd(runtime, &server, "k").await;
        assert_eq!(herd.computations, 1, "{}", server.name());
        assert_eq!((herd.of("Computed"), herd.of("Fresh")), (1, CALLERS - 1));
        assert!(herd.found.iter().all(|found| found.value.data == "new"));
        let misses = statistic(&client, "get_misses").await;
        let reads = statistic(&client, "cmd_get").await;
        assert!(misses <= 1, "{}: {misses} misses", server.name());
        // Each waits longer each time.
        assert!(reads < 20 * CALLERS as u64, "{}: {reads} reads", server.name());
        // Whoever comes later computes nothing.
        assert_eq!(client.get("k").await.unwrap().unwrap().data, "new");
    })
    .await;
}

async fn an_old_value_is_given_while_one_computes(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        let minute = Duration::from_secs(60);
        client.set("k", Store::from("old").expires(minute)).await.unwrap();
        assert!(client.invalidate("k", minute).await.unwrap());
        let herd = herd(runtime, &server, "k").await;
        assert_eq!(herd.computations, 1, "{}", server.name());
        assert_eq!((herd.of("Computed"), herd.of("Stale")), (1, CALLERS - 1));
        let old = herd.found.iter().filter(|found| found.value.data == "old").count();
        assert_eq!(old, CALLERS - 1);
        assert_eq!(client.get("k").await.unwrap().unwrap().data, "new");
        assert_eq!(statistic(&client, "get_misses").await, 0);
    })
    .await;
}

async fn a_value_that_gets_old_is_computed_once_before_it_expires(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        // It has a minute of its two left at most: it is no longer fresh.
        let left = Duration::from_secs(59);
        client.set("k", Store::from("old").expires(left)).await.unwrap();
        let herd = herd(runtime, &server, "k").await;
        assert_eq!(herd.computations, 1, "{}", server.name());
        assert_eq!((herd.of("Computed"), herd.of("Stale")), (1, CALLERS - 1));
        assert_eq!(statistic(&client, "get_misses").await, 0);
    })
    .await;
}

/// A process that computes, and never ends.
fn computing(server: &CacheServer, key: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_computes"))
        .args([&server.address().to_string(), key])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "computes\n");
    child
}

async fn another_one_computes_when_the_winner_is_killed(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        let mut winner = computing(&server, "k");
        let killed = async {
            sleep(Duration::from_millis(500)).await;
            winner.kill().unwrap();
            winner.wait().unwrap();
        };
        let (herd, ()) = both(herd(runtime, &server, "k"), killed).await;
        assert_eq!(herd.computations, 1, "{}", server.name());
        assert_eq!((herd.of("Computed"), herd.of("Fresh")), (1, CALLERS - 1));
        // The winner's lease is over after two seconds, as exactly as the server counts them.
        assert!(herd.took < Duration::from_secs(20), "{:?}", herd.took);
        let misses = statistic(&client, "get_misses").await;
        assert!(misses <= 2, "{}: {misses} misses", server.name());
    })
    .await;
}

async fn the_old_value_is_given_while_the_winner_is_dead(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        let minute = Duration::from_secs(60);
        client.set("k", Store::from("old").expires(minute)).await.unwrap();
        assert!(client.invalidate("k", minute).await.unwrap());
        let mut winner = computing(&server, "k");
        winner.kill().unwrap();
        winner.wait().unwrap();
        let first = herd(runtime, &server, "k").await;
        assert_eq!((first.computations, first.of("Stale")), (0, CALLERS), "{}", server.name());
        // It is not given for longer than the lease.
        let until = Instant::now() + Duration::from_secs(20);
        while client.get("k").await.unwrap().is_some() {
            assert!(Instant::now() < until, "the old value lives on");
            sleep(Duration::from_millis(50)).await;
        }
        let second = herd(runtime, &server, "k").await;
        assert_eq!((second.computations, second.of("Fresh")), (1, CALLERS - 1));
    })
    .await;
}

async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|cx| {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            of_b = Some(output);
        }
        if of_a.is_some() && of_b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (of_a.unwrap(), of_b.unwrap())
}

async fn a_computation_that_fails_is_another_callers(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        let _server = server;
        let failing = || async { Err::<Store, _>(Error::from(ErrorKind::QueueFull)) };
        client.get_or_compute("k", recompute(), failing).await.unwrap_err();
        let began = Instant::now();
        let working = || async { Ok::<_, Error>("new") };
        let found = client.get_or_compute("k", recompute(), working).await.unwrap();
        assert!(matches!(found.origin, Origin::Computed), "{found:?}");
        // Long before the lease is over.
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    })
    .await;
}

async fn what_was_changed_while_it_was_computed_is_not_overwritten(runtime: Runtime) {
    on_both(runtime, |server, client| async move {
        let _server = server;
        let compute = || async {
            client.set("k", "newer").await.unwrap();
            Ok::<_, Error>("outdated")
        };
        let found = client.get_or_compute("k", recompute(), compute).await.unwrap();
        assert!(matches!(found.origin, Origin::Superseded), "{found:?}");
        assert_eq!(client.get("k").await.unwrap().unwrap().data, "newer");
        let compute = || async {
            client.delete("l").await.unwrap();
            Ok::<_, Error>("outdated")
        };
        let found = client.get_or_compute("l", recompute(), compute).await.unwrap();
        assert!(matches!(found.origin, Origin::Superseded), "{found:?}");
        assert_eq!(client.get("l").await.unwrap(), None);
    })
    .await;
}

on_each_runtime!(async:
    a_key_that_is_not_there_is_computed_once,
    an_old_value_is_given_while_one_computes,
    a_value_that_gets_old_is_computed_once_before_it_expires,
    another_one_computes_when_the_winner_is_killed,
    the_old_value_is_given_while_the_winner_is_dead,
    a_computation_that_fails_is_another_callers,
    what_was_changed_while_it_was_computed_is_not_overwritten,
);
