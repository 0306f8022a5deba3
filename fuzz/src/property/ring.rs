//! Which server a key belongs to.

use windhover_core::client::ring::{HashTag, KeyHash, Member, Naming, Rendezvous, Ring, RingError};

use crate::reference::ring::{Ketama, Server, distances};
use crate::{Script, Source};

/// Both choices are those of a simple, slow reckoning, and whoever goes takes along no key but its
/// own, where that is promised.
pub fn ring(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut source = Source::new(first);
    let naming = source.pick(&[Naming::Libmemcached, Naming::TwemproxyAddress, Naming::AsIs]);
    let hash = source.pick(&[KeyHash::Md5, KeyHash::Fnv1a64]);
    let tags = [
        None,
        Some(HashTag { open: b'{', close: b'}' }),
        Some(HashTag { open: b'$', close: b'$' }),
    ];
    let tag = source.pick(&tags);
    let same_weights = source.chance(1, 3);
    let mut servers: Vec<Server> = Vec::new();
    for step in steps.iter().filter(|step| step.first().is_none_or(|byte| byte % 2 == 0)).take(9) {
        let mut source = Source::new(step);
        source.byte();
        let (name, weight) = server(&mut source);
        servers.push((name, if same_weights { weight.min(1) } else { weight }));
    }
    let keys: Vec<&[u8]> = steps
        .iter()
        .filter(|step| step.first().is_some_and(|byte| byte % 2 == 1))
        .take(12)
        .map(|step| &step[1..])
        .chain([&b"key"[..], b"", b"a{b}c", b"{}x"])
        .collect();
    ketama(&servers, &keys, naming, hash, tag);
    rendezvous(&servers, &keys);
    if source.chance(1, 64) {
        let most = Ring::MAX_MEMBERS;
        let many = vec![Member::new(b"a", 0); most + 1];
        let refused = Ring::new(&many, naming).err();
        assert_eq!(refused, Some(RingError { members: most + 1 }));
        assert!(refused.is_some_and(|error| error.to_string().contains("65537")));
        assert!(Ring::new(&many[1..], naming).is_ok_and(|ring| ring.owner(b"k").is_none()));
    }
}

fn server(source: &mut Source<'_>) -> Server {
    let number = source.below(12);
    let name = match source.below(8) {
        0..=2 => format!("10.0.0.{number}:11211").into_bytes(),
        3 => format!("cache{number}:11212").into_bytes(),
        4 => format!("[::{number}]:{}", source.pick(&[11211, 11212])).into_bytes(),
        5 => format!("/run/cache{number}").into_bytes(),
        6 => source.pick(&[&b""[..], b"[", b":11211", b"[]", b"[::1", b"/", b"x]"]).to_vec(),
        _ => source.clone().rest().to_vec(),
    };
    let weight = match source.below(8) {
        0..=3 => 1,
        4 => u32::from(source.byte()),
        5 => 0,
        6 => u32::MAX,
        _ => source.pick(&[100, 3, 1000, 65_537]),
    };
    (name, weight)
}

fn members(servers: &[Server]) -> Vec<Member<'_>> {
    servers.iter().map(|(name, weight)| Member::new(name, *weight)).collect()
}

fn ketama(servers: &[Server], keys: &[&[u8]], naming: Naming, hash: KeyHash, tag: Option<HashTag>) {
    let build = |servers: &[Server]| {
        let ring = Ring::new(&members(servers), naming).expect("few servers").with_key_hash(hash);
        match tag {
            Some(tag) => ring.with_hash_tag(tag),
            None => ring,
        }
    };
    let (ring, slow) = (build(servers), Ketama::new(servers, naming));
    assert!(format!("{ring:?}").contains(&format!("points: {}", slow.total())));
    assert_eq!(ring.total_points(), slow.total());
    for (at, server) in servers.iter().enumerate() {
        assert_eq!(ring.points(at), slow.points(at), "of {server:?}");
    }
    for key in keys {
        let mut owners = ring.owners(key);
        assert!(format!("{owners:?}").contains("left"));
        let expected = slow.owners(key, hash, tag);
        assert_eq!(owners.len(), expected.len());
        let given: Vec<usize> = owners.by_ref().collect();
        assert_eq!(given, expected, "the owners of {key:?} among {servers:?}");
        assert_eq!((owners.next(), owners.len()), (None, 0));
        assert_eq!(ring.owner(key), expected.first().copied());
    }
    // While the mean weight stays, nobody's key moves but those of who goes.
    let alike = servers.iter().all(|server| server.1 == servers[0].1);
    if alike && servers.len() > 1 {
        let (_, rest) = servers.split_first().expect("there are two");
        let without = build(rest);
        for key in keys {
            let owners: Vec<_> = ring.owners(key).collect();
            // Two of one name share their points.
            let named = |at: usize| &servers[at].0;
            if owners.first() != Some(&0) && !rest.iter().any(|other| other.0 == servers[0].0) {
                let now = without.owner(key).map(|at| at + 1);
                assert_eq!(now.map(named), owners.first().map(|&at| named(at)), "of {key:?}");
            }
        }
    }
}

fn rendezvous(servers: &[Server], keys: &[&[u8]]) {
    let choice = Rendezvous::new(&members(servers));
    assert!(format!("{choice:?}").contains("Rendezvous"));
    for key in keys {
        let distances = distances(servers, key);
        let mut owners = choice.owners(key);
        let given: Vec<usize> = owners.by_ref().collect();
        assert_eq!((owners.next(), owners.len()), (None, 0));
        assert_eq!(choice.owner(key), given.first().copied());
        let mut sorted = given.clone();
        sorted.sort_unstable();
        let taking_part: Vec<usize> = (0..servers.len()).filter(|&at| servers[at].1 > 0).collect();
        assert_eq!(sorted, taking_part, "each of a weight, once");
        for pair in given.windows(2) {
            let [near, far] = [pair[0], pair[1]].map(|at| distances[at].expect("it has a weight"));
            // The core's logarithm is off by up to 0.3 %.
            assert!(near <= far * 1.01, "{pair:?} of {key:?} among {servers:?}: {near}, {far}");
            if servers[pair[0]] == servers[pair[1]] {
                assert!(pair[0] < pair[1], "of two alike the first is the first");
            }
        }
        for gone in 0..servers.len() {
            let mut rest = servers.to_vec();
            rest.remove(gone);
            let without = Rendezvous::new(&members(&rest));
            let place = |at: usize| at + usize::from(at >= gone);
            let expected = given.iter().copied().filter(|&at| at != gone);
            assert!(without.owners(key).map(place).eq(expected), "{gone} takes others' keys along");
        }
    }
}
