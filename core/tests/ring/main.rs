//! Which server a key belongs to: shares, movement, order, and what libmemcached says.
#![cfg(feature = "client")]
#![allow(clippy::expect_used)]

mod ketama;
mod rendezvous;

use windhover_core::client::ring::Member;

const KEYS: usize = 100_000;

fn keys() -> impl Iterator<Item = Vec<u8>> {
    (0..KEYS).map(|number| format!("key{number}").into_bytes())
}

/// Members called `server0`, `server1` and so on.
fn named(weights: &[u32]) -> Vec<(String, u32)> {
    let name = |(number, &weight)| (format!("server{number}"), weight);
    weights.iter().enumerate().map(name).collect()
}

fn members(named: &[(String, u32)]) -> Vec<Member<'_>> {
    named.iter().map(|(name, weight)| Member::new(name.as_bytes(), *weight)).collect()
}

/// How far each server's share of the keys is from its share of the weights, as a fraction of the
/// latter.
#[expect(clippy::cast_precision_loss)]
fn deviations(weights: &[u32], owner: impl Fn(&[u8]) -> Option<usize>) -> Vec<f64> {
    let mut owned = vec![0_u32; weights.len()];
    for key in keys() {
        owned[owner(&key).expect("there are servers")] += 1;
    }
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let deviation =
        |(&weight, owned)| f64::from(owned) / KEYS as f64 / (f64::from(weight) / total) - 1.0;
    weights.iter().zip(owned).map(deviation).collect()
}

/// The name of each key's owner.
fn owners(servers: &[(String, u32)], owner: impl Fn(&[u8]) -> Option<usize>) -> Vec<&str> {
    keys().map(|key| servers[owner(&key).expect("there are servers")].0.as_str()).collect()
}

/// The old and the new owner of each key that moved.
fn moves<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let owners = before.iter().copied().zip(after.iter().copied());
    owners.filter(|(old, new)| old != new).collect()
}
