//! Which server a key belongs to, of 1 to 1,000 servers.

use std::hint::black_box;

use windhover_core::client::ring::{Member, Naming, Rendezvous, Ring};

use crate::timing::Timed;

/// Ketama and rendezvous hashing, by the number of servers.
pub fn cases() -> Vec<Timed> {
    let mut cases = Vec::new();
    for count in [1, 10, 100, 1000] {
        let names: Vec<String> =
            (0..count).map(|n| format!("cache-{n}.example.org:11211")).collect();
        let members: Vec<Member<'_>> =
            names.iter().map(|name| Member::new(name.as_bytes(), 1)).collect();
        let keys: Vec<String> = (0..1024).map(|n| format!("bench:item:{n:04}")).collect();
        let ring = Ring::new(&members, Naming::Libmemcached).expect("few enough");
        let rendezvous = Rendezvous::new(&members);
        let case = format!("client, ns to find the server of a key: servers {count}");
        let (more, messages) = (keys.clone(), keys.len());
        let mut add = |name, call: Box<dyn FnMut() -> usize>| {
            cases.push(Timed { case: case.clone(), name, messages, call });
        };
        add(
            "ketama",
            Box::new(move || {
                keys.iter().filter_map(|key| ring.owner(black_box(key.as_bytes()))).sum()
            }),
        );
        add(
            "rendezvous",
            Box::new(move || {
                more.iter().filter_map(|key| rendezvous.owner(black_box(key.as_bytes()))).sum()
            }),
        );
    }
    cases
}
