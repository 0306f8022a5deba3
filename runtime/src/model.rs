//! How models of the places where threads meet are run, those of the adapters too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs `meeting` in every order with at most three places where a thread is stopped against its will, and
/// says in how many that was.
pub fn model(name: &str, meeting: impl Fn() + Sync + Send + 'static) {
    model_of_few(name, 3, meeting);
}

/// The same with another number of such places, for what has very many orders.
pub fn model_of_few(name: &str, stops: usize, meeting: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(stops);
    let orders = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        meeting();
    });
    println!("{name}: {} orders", orders.load(Ordering::Relaxed));
}
