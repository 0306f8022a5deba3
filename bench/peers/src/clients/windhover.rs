//! Ours, on each runtime.

use std::future::Future;
use std::thread;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use windhover_client::{Builder, Client, block_on};

use super::{Workers, current_thread, threads};
use crate::work::{KEY, KEYS, THREADS, TOGETHER, VALUE, Window, Work, keys};

/// One after the other, until the window is over.
type Gets = std::pin::Pin<Box<dyn Future<Output = u64> + Send>>;

fn builder(port: u16) -> Builder {
    Client::builder().server(&format!("127.0.0.1:{port}"))
}

pub(super) fn tokio(work: Work, port: u16, window: Window) -> Workers {
    if work == Work::Threads {
        // The client's tasks have a thread, and those who wait for them have others.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let client = {
            let _entered = runtime.enter();
            windhover_tokio::connect(builder(port)).expect("a client")
        };
        // It lasts as long as the process.
        std::mem::forget(runtime);
        return on_threads(&client, window, block_on);
    }
    threads(work, move || {
        current_thread().block_on(async {
            let client = windhover_tokio::connect(builder(port)).expect("a client");
            let spawn = |task| async { tokio::spawn(task).await.expect("it does not panic") };
            on_one(client, work, window, spawn).await
        })
    })
}

pub(super) fn async_std(work: Work, port: u16, window: Window) -> Workers {
    windhover_async_std::start_threads(1);
    let connect = move || windhover_async_std::connect(builder(port)).expect("a client");
    if work == Work::Threads {
        return on_threads(&connect(), window, block_on);
    }
    threads(work, move || {
        async_std::task::block_on(on_one(connect(), work, window, async_std::task::spawn))
    })
}

/// Its loop has a thread of its own, and there are no tasks.
pub(super) fn mio(work: Work, port: u16, window: Window) -> Workers {
    let connect = move || windhover_mio::connect(builder(port)).expect("a client");
    if work == Work::Threads {
        return on_threads(&connect(), window, windhover_mio::block_on);
    }
    threads(work, move || windhover_mio::block_on(on_one(connect(), work, window, |task| task)))
}

fn on_threads(
    client: &Client,
    window: Window,
    block_on: impl Fn(Gets) -> u64 + Clone + Send + 'static,
) -> Workers {
    let one = |client: Client| {
        let block_on = block_on.clone();
        thread::spawn(move || block_on(Box::pin(gets(client, window))))
    };
    (0..THREADS).map(|_| one(client.clone())).collect()
}

/// The work on one client; `spawn` makes a task of a future.
async fn on_one<F: Future<Output = u64>>(
    client: Client,
    work: Work,
    window: Window,
    spawn: impl Fn(Gets) -> F,
) -> u64 {
    match work {
        Work::Get | Work::ThreadsApart => gets(client, window).await,
        Work::Set => {
            let mut count = 0;
            while {
                set(&client).await;
                window.goes_on(&mut count, 1)
            } {}
            count
        }
        Work::Gets | Work::Sets => {
            let mut count = 0;
            while {
                if work == Work::Gets {
                    join_all((0..TOGETHER).map(|_| get(&client))).await;
                } else {
                    join_all((0..TOGETHER).map(|_| set(&client))).await;
                }
                window.goes_on(&mut count, TOGETHER)
            } {}
            count
        }
        Work::SetMany => {
            let (keys, mut count) = (keys(), 0);
            while {
                let items = keys.iter().take(TOGETHER).map(|key| (key, &VALUE[..]));
                for stored in client.set_many(items).await {
                    stored.expect("it is stored");
                }
                window.goes_on(&mut count, TOGETHER)
            } {}
            count
        }
        Work::InFlight => {
            let calls: FuturesUnordered<_> =
                (0..TOGETHER).map(|_| gets(client.clone(), window)).collect();
            calls.fold(0, async |sum, count| sum + count).await
        }
        Work::Tasks => {
            let tasks = (0..TOGETHER).map(|_| spawn(Box::pin(gets(client.clone(), window))));
            // All of them are started before the first is waited for.
            let tasks: Vec<F> = tasks.collect();
            join_all(tasks).await.into_iter().sum()
        }
        Work::Keys => {
            let (keys, mut count) = (keys(), 0);
            while {
                for found in client.get_many(&keys).await {
                    assert_eq!(found.expect("an answer").expect("an item").data[..], VALUE[..]);
                }
                window.goes_on(&mut count, KEYS)
            } {}
            count
        }
        Work::Threads => unreachable!("it has no thread of its own"),
    }
}

async fn gets(client: Client, window: Window) -> u64 {
    let mut count = 0;
    while {
        get(&client).await;
        window.goes_on(&mut count, 1)
    } {}
    count
}

async fn get(client: &Client) {
    let found = client.get(KEY).await.expect("an answer").expect("an item");
    assert_eq!(found.data[..], VALUE[..]);
}

async fn set(client: &Client) {
    client.set(KEY, &VALUE[..]).await.expect("it is stored");
}
