//! Callers who drive their client while they wait, and those who do not.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use windhover_mio::{Client, ClientThread, block_on, connect, windhover_client};

use crate::script::{SOON, Script, eventually};

/// Notes which thread calls a waker, and passes the call on.
struct Noting<N> {
    note: N,
    waker: Waker,
}

impl<N: Fn() + Send + Sync> Wake for Noting<N> {
    fn wake(self: Arc<Self>) {
        (self.note)();
        self.waker.wake_by_ref();
    }
}

/// Has `note` called before whoever polls the future is woken.
async fn noting<F: Future>(
    future: F,
    note: impl Fn() + Send + Sync + Clone + 'static,
) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let noting = Noting { note: note.clone(), waker: cx.waker().clone() };
        future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(noting))))
    })
    .await
}

fn client_of(server: &Script) -> Client {
    connect(Client::builder().server(&server.address).timeout(SOON)).unwrap()
}

/// Makes calls until this thread drives the client.
fn lead(client: &Client) {
    eventually("a caller who drives its client", || {
        let by: Arc<Mutex<Option<ThreadId>>> = Arc::default();
        let noted = Arc::clone(&by);
        let note = move || *noted.lock().unwrap() = Some(thread::current().id());
        block_on(noting(client.get("k"), note)).unwrap();
        *by.lock().unwrap() == Some(thread::current().id())
    });
}

/// A server that answers `get slow` when it is told to, and all else at once; and what tells it.
fn slow_server() -> (Script, Receiver<()>, Sender<()>) {
    let (asked, was_asked) = channel();
    let (tell, told) = channel::<()>();
    let (asked, told) = (Mutex::new(asked), Mutex::new(told));
    let server = Script::start(move |mut peer, _| {
        while let Some(line) = peer.line() {
            if line == "get slow" {
                asked.lock().unwrap().send(()).unwrap();
                told.lock().unwrap().recv_timeout(SOON).unwrap();
            }
            peer.send("END\r\n");
        }
    });
    (server, was_asked, tell)
}

#[test]
fn a_caller_alone_drives_its_client() {
    let server = Script::cache();
    let client = client_of(&server);
    lead(&client);
    // And goes on, whether or not it waits in one piece.
    lead(&client);
    block_on(async {
        for _ in 0..100 {
            assert_eq!(client.get("k").await.unwrap(), None);
        }
    });
    lead(&client);
}

#[test]
fn others_are_answered_while_a_caller_drives_all_clients_of_a_thread() {
    let (slow, asked, tell) = slow_server();
    let quick = Script::cache();
    let thread = ClientThread::start().unwrap();
    let to =
        |server: &Script| thread.connect(Client::builder().server(&server.address).timeout(SOON));
    let (slow, quick) = (to(&slow).unwrap(), to(&quick).unwrap());
    let waits = thread::spawn(move || {
        lead(&slow);
        block_on(slow.get("slow"))
    });
    asked.recv_timeout(SOON).unwrap();
    for _ in 0..100 {
        assert_eq!(block_on(quick.get("k")).unwrap(), None);
        assert_eq!(windhover_client::block_on(quick.get("k")).unwrap(), None);
    }
    tell.send(()).unwrap();
    assert_eq!(waits.join().unwrap().unwrap(), None);
}

#[test]
fn callers_with_and_without_a_loop_share_a_client() {
    let server = Script::cache();
    let client = client_of(&server);
    lead(&client);
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let client = client.clone();
            thread::spawn(move || {
                for round in 0..200 {
                    let key = format!("{number}-{round}");
                    let calls = async {
                        client.set(&key, key.clone()).await.unwrap();
                        client.get(&key).await.unwrap().unwrap()
                    };
                    let found = match number % 2 {
                        0 => block_on(calls),
                        _ => windhover_client::block_on(calls),
                    };
                    assert_eq!(found.data, key);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    lead(&client);
}

#[test]
fn a_call_that_is_waited_for_elsewhere_leaves_all_the_same() {
    let server = Script::cache();
    let client = client_of(&server);
    for _ in 0..20 {
        lead(&client);
        let mut call = Box::pin(client.get("k"));
        block_on(poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
        // The thread that has begun it does nothing for it any more.
        assert_eq!(windhover_client::block_on(call).unwrap(), None);
    }
}

#[test]
fn a_future_may_wait_for_another_while_it_is_polled() {
    let (one, other) = (Script::cache(), Script::cache());
    let (one, other) = (client_of(&one), client_of(&other));
    lead(&one);
    block_on(async {
        let mut begun = Box::pin(one.get("k"));
        poll_fn(|cx| {
            assert!(begun.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(block_on(one.get("k")).unwrap(), None);
        assert_eq!(block_on(other.get("k")).unwrap(), None);
        assert_eq!(begun.await.unwrap(), None);
        assert_eq!(other.get("k").await.unwrap(), None);
    });
}

#[test]
fn a_waker_that_panics_ends_the_calls_and_nothing_waits_for_ever() {
    let server = Script::cache();
    let client = client_of(&server);
    lead(&client);
    let here = thread::current().id();
    let note = move || assert_ne!(thread::current().id(), here, "as it is to");
    let mut panicked = false;
    eventually("a panic of a caller", || {
        let call = || block_on(noting(client.get("k"), note));
        panicked |= catch_unwind(AssertUnwindSafe(call)).is_err();
        panicked
    });
    assert!(block_on(client.get("k")).is_err());
    assert!(windhover_client::block_on(client.get("k")).is_err());
}
