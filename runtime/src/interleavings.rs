//! Models of the places where threads meet, run by loom in every order: a waiter that nobody wakes is a
//! deadlock there. `conformance/interleavings` runs them.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;
use windhover_core::Instant;

use crate::memory::Account;
use crate::model::model;
use crate::{ConnectionLimit, ConnectionMemory, Peer, Shutdown};

#[test]
fn a_task_that_waits_for_the_shutdown_is_woken() {
    model("a_task_that_waits_for_the_shutdown_is_woken", || {
        let shutdown = Shutdown::new();
        let wait = shutdown.wait();
        let trigger = thread::spawn(move || shutdown.trigger());
        block_on(wait);
        trigger.join().unwrap();
    });
}

#[test]
fn a_thread_that_waits_for_the_shutdown_is_woken() {
    model("a_thread_that_waits_for_the_shutdown_is_woken", || {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        let wait = thread::spawn(move || other.wait_blocking());
        shutdown.trigger();
        wait.join().unwrap();
    });
}

#[test]
fn a_loop_that_registers_beside_the_shutdown_is_woken() {
    model("a_loop_that_registers_beside_the_shutdown_is_woken", || {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        let trigger = thread::spawn(move || other.trigger());
        let mut has_registered = false;
        block_on(poll_fn(|cx| {
            if shutdown.is_triggered() {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut has_registered, true) {
                shutdown.wake_on_trigger(cx.waker().clone());
            }
            Poll::Pending
        }));
        trigger.join().unwrap();
    });
}

#[test]
fn who_stops_waiting_beside_the_shutdown_takes_nobody_elses_wake_up() {
    model("who_stops_waiting_beside_the_shutdown_takes_nobody_elses_wake_up", || {
        let shutdown = Shutdown::new();
        let (stays, mut goes) = (shutdown.wait(), shutdown.wait());
        let _ = pin!(&mut goes).poll(&mut Context::from_waker(Waker::noop()));
        let trigger = thread::spawn(move || shutdown.trigger());
        let drops = thread::spawn(move || drop(goes));
        block_on(stays);
        trigger.join().unwrap();
        drops.join().unwrap();
    });
}

#[test]
fn a_permit_that_comes_back_reaches_who_waits() {
    model("a_permit_that_comes_back_reaches_who_waits", || {
        let limit = ConnectionLimit::new(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let limit = limit.clone();
                thread::spawn(move || drop(block_on(limit.acquire())))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        block_on(limit.until_idle());
    });
}

#[test]
fn a_permit_granted_to_who_has_gone_reaches_the_next() {
    model("a_permit_granted_to_who_has_gone_reaches_the_next", || {
        let limit = ConnectionLimit::new(1);
        let permit = block_on(limit.acquire());
        let mut gone = limit.acquire();
        let _ = pin!(&mut gone).poll(&mut Context::from_waker(Waker::noop()));
        let next = limit.acquire();
        let gives_back = thread::spawn(move || drop(permit));
        let goes = thread::spawn(move || drop(gone));
        drop(block_on(next));
        gives_back.join().unwrap();
        goes.join().unwrap();
    });
}

#[test]
fn who_waits_until_all_permits_are_back_is_woken() {
    model("who_waits_until_all_permits_are_back_is_woken", || {
        let limit = ConnectionLimit::new(2);
        let permits = [block_on(limit.acquire()), block_on(limit.acquire())];
        let threads = permits.map(|permit| thread::spawn(move || drop(permit)));
        block_on(limit.until_idle());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_connection_that_may_not_read_is_woken_when_another_gives_memory_back() {
    const LARGE: usize = 64 * 1024;
    let now = Instant::default();
    model("a_connection_that_may_not_read_is_woken_when_another_gives_memory_back", move || {
        let memory = ConnectionMemory::new(LARGE);
        let mut noop = Context::from_waker(Waker::noop());
        let mut full = Account::new(Some(memory.clone()), Peer::default());
        assert!(full.settle(LARGE, now, &mut noop));
        let gives_back = thread::spawn(move || {
            let noop = Context::from_waker(Waker::noop());
            assert!(full.settle(0, now, &noop));
        });
        let mut waits = Account::new(Some(memory.clone()), Peer::default());
        block_on(poll_fn(|cx| {
            if waits.may_read(|| LARGE, now, cx) { Poll::Ready(()) } else { Poll::Pending }
        }));
        gives_back.join().unwrap();
        assert_eq!(memory.used(), 0);
    });
}
