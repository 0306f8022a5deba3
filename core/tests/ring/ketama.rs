//! The ketama ring.

use windhover_core::client::ring::{HashTag, KeyHash, Member, Naming, Ring, RingError};

use crate::{KEYS, deviations, keys, members, moves, named, owners};

fn ring(servers: &[(String, u32)]) -> Ring {
    Ring::new(&members(servers), Naming::AsIs).expect("few enough")
}

fn of_addresses<const N: usize>(addresses: [(&str, u32); N]) -> Ring {
    let members = addresses.map(|(name, weight)| Member::new(name.as_bytes(), weight));
    Ring::new(&members, Naming::Libmemcached).expect("few enough")
}

fn owners_of_first_keys(ring: &Ring) -> Vec<usize> {
    keys().take(24).map(|key| ring.owner(&key).expect("there are servers")).collect()
}

/// What pylibmc 1.6.3 with libmemcached 1.0.16 says; `conformance/tests/ketama.rs` asks it for
/// 100,000 keys.
#[test]
fn agrees_with_libmemcached() {
    let ring = of_addresses([
        ("10.0.0.1:11211", 1),
        ("cache2:11211", 2),
        ("cache2:11212", 3),
        ("10.0.0.1:11978", 4),
        ("10.0.0.1:11399", 4),
        ("[::1]:11211", 5),
        ("[::1]:11212", 6),
        ("cache8.example.org:65535", 7),
    ]);

    assert_eq!(
        owners_of_first_keys(&ring),
        [6, 3, 6, 1, 4, 6, 3, 7, 1, 7, 7, 2, 5, 4, 6, 0, 7, 7, 3, 4, 7, 5, 2, 2]
    );
    // These keys lie before a point that the servers 3 and 4 share.
    for key in ["key500", "key947", "key1918", "key4512"] {
        let owners: Vec<usize> = ring.owners(key.as_bytes()).take(2).collect();
        assert_eq!(owners, [3, 4], "{key}");
    }
}

/// 40·5·1/25 is 8, but 7 in the single precision that the others reckon in.
#[test]
fn rounds_as_libmemcached_does() {
    let ring = of_addresses([("a:1", 1), ("b:2", 2), ("c:3", 3), ("d:4", 4), ("e:5", 15)]);

    assert_eq!([0, 1, 2, 3, 4].map(|server| ring.points(server) / 4), [7, 15, 23, 31, 120]);
    assert_eq!(
        owners_of_first_keys(&ring),
        [1, 4, 1, 0, 3, 4, 4, 3, 4, 2, 2, 4, 4, 4, 4, 4, 3, 4, 4, 4, 2, 4, 3, 4]
    );
}

#[test]
fn nobody_owns_a_key_where_nobody_is() {
    let empty = ring(&[]);
    assert_eq!(empty.owner(b"key"), None);
    assert_eq!(empty.owners(b"key").next(), None);
    assert_eq!(empty.total_points(), 0);

    let drained = ring(&named(&[0, 0]));
    assert_eq!(drained.owner(b"key"), None);
}

#[test]
fn one_server_owns_everything() {
    let alone = ring(&named(&[7]));
    assert!(keys().take(1000).all(|key| alone.owners(&key).eq([0])));
    assert_eq!(alone.points(0), 160);
}

#[test]
fn a_server_of_weight_zero_takes_no_part() {
    let servers = named(&[3, 0, 2]);
    let with_drained = ring(&servers);
    let without = ring(&[servers[0].clone(), servers[2].clone()]);

    assert_eq!(with_drained.points(1), 0);
    for key in keys().take(10_000) {
        let owners = without.owners(&key).map(|server| server * 2);
        assert!(with_drained.owners(&key).eq(owners));
    }
}

#[test]
fn weights_of_the_whole_range_are_taken() {
    let ring = ring(&named(&[u32::MAX, u32::MAX, 1]));

    assert_eq!([0, 1, 2].map(|server| ring.points(server)), [240, 240, 0]);
    assert!(keys().take(1000).all(|key| ring.owners(&key).count() == 2));
}

#[test]
fn of_one_name_the_first_owns_all() {
    let same = named(&[1, 1]).into_iter().map(|(_, weight)| ("same".to_owned(), weight));
    let ring = ring(&same.collect::<Vec<_>>());
    assert!(keys().take(1000).all(|key| ring.owners(&key).eq([0, 1])));
}

#[test]
fn owners_are_each_server_once_in_the_order_of_the_points() {
    let servers = named(&[1, 2, 3, 4, 4, 5, 6, 7]);
    let all = ring(&servers);

    for key in keys().take(2000) {
        let owners: Vec<usize> = all.owners(&key).collect();
        let mut sorted = owners.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(all.owners(&key).len(), 8);
        assert_eq!(all.owner(&key), Some(owners[0]));
    }
}

/// The second owner is the one that a ring without the first has, where the mean weight stays.
#[test]
fn the_next_owner_is_who_inherits() {
    let servers = named(&[1; 8]);
    let all = ring(&servers);
    let without: Vec<Ring> = (0..8)
        .map(|removed| {
            let mut fewer = servers.clone();
            fewer.remove(removed);
            ring(&fewer)
        })
        .collect();

    for key in keys().take(20_000) {
        let owners: Vec<usize> = all.owners(&key).take(2).collect();
        let heir = without[owners[0]].owner(&key).expect("there are servers");
        assert_eq!(owners[1], heir + usize::from(heir >= owners[0]));
    }
}

#[test]
fn a_server_that_is_down_moves_its_own_keys_only() {
    let all = ring(&named(&[1, 2, 3, 4, 5, 6, 7, 8]));
    let mut moved = 0;

    for key in keys() {
        let owner = all.owner(&key);
        let up = all.owners(&key).find(|&server| server != 7);
        assert!(up == owner || owner == Some(7));
        moved += usize::from(up != owner);
    }

    let share = all.points(7) * KEYS / all.total_points();
    assert!(moved.abs_diff(share) < share / 4, "{moved} of about {share}");
}

#[test]
fn a_server_that_leaves_moves_its_own_keys_only_while_the_mean_weight_stays() {
    for (weights, leaves) in [(vec![1; 8], 2), (vec![1, 2, 3, 4, 4, 5, 6, 7], 3)] {
        let servers = named(&weights);
        let mut fewer = servers.clone();
        let (gone, _) = fewer.remove(leaves);
        let (all, without) = (ring(&servers), ring(&fewer));
        let before = owners(&servers, |key| all.owner(key));
        let after = owners(&fewer, |key| without.owner(key));

        let leaving = moves(&before, &after);
        assert!(leaving.len() > KEYS / 16);
        assert!(leaving.iter().all(|(old, _)| *old == gone));
        let coming = moves(&after, &before);
        assert!(coming.iter().all(|(_, new)| *new == gone));
    }
}

/// Points say what each server gets; a few of them say it roughly, many say it well.
#[test]
fn shares_follow_the_weights() {
    let weights = [1, 2, 3, 4, 4, 5, 6, 7];
    let all = ring(&named(&weights));

    for (server, deviation) in deviations(&weights, |key| all.owner(key)).into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss)]
        let bound = 3.0 / (all.points(server) as f64).sqrt();
        assert!(deviation.abs() < bound, "server {server} is off by {deviation}, over {bound}");
    }

    // At 100 servers of one weight, the middle half are within the 8 % that 160 points give.
    let many = [1; 100];
    let all = ring(&named(&many));
    let mut deviations = deviations(&many, |key| all.owner(key));
    deviations.sort_by(f64::total_cmp);
    assert!(deviations[25] > -0.08 && deviations[75] < 0.08, "{deviations:?}");
}

#[test]
fn keys_of_one_tag_stay_together() {
    let plain = ring(&named(&[1; 8]));
    let tagged = plain.clone().with_hash_tag(HashTag { open: b'{', close: b'}' });

    for user in 0..1000 {
        let whole = format!("user{user}");
        let parts = [format!("{{{whole}}}:name"), format!("mail:{{{whole}}}")];
        for part in parts {
            assert_eq!(tagged.owner(part.as_bytes()), plain.owner(whole.as_bytes()));
        }
    }
}

#[test]
fn the_key_hash_changes_the_keys_and_not_the_points() {
    let md5 = ring(&named(&[1; 8]));
    let fnv = md5.clone().with_key_hash(KeyHash::Fnv1a64);

    assert!(keys().take(1000).any(|key| md5.owner(&key) != fnv.owner(&key)));
    assert_eq!(md5.total_points(), fnv.total_points());
    assert_eq!(fnv.with_key_hash(KeyHash::Md5).owner(b"key"), md5.owner(b"key"));
}

#[test]
fn too_many_servers_are_refused() {
    let members = vec![Member::new(b"one", 1); Ring::MAX_MEMBERS + 1];

    let refused = Ring::new(&members, Naming::AsIs).expect_err("one too many");

    assert_eq!(refused, RingError { members: 65_537 });
    assert_eq!(
        refused.to_string(),
        "a ring takes at most 65536 servers, not 65537: divide them among clusters"
    );
}
