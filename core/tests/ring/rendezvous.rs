//! Rendezvous hashing.

use windhover_core::client::ring::{Member, Rendezvous};

use crate::{KEYS, deviations, keys, members, moves, named, owners};

fn rendezvous(servers: &[(String, u32)]) -> Rendezvous {
    Rendezvous::new(&members(servers))
}

/// Keys must stay where they are from one version to the next. These were computed apart, with a
/// logarithm in double precision.
#[test]
fn the_choice_is_a_promise() {
    let choice = rendezvous(&named(&[1, 2, 3, 4]));
    let owners: Vec<Vec<usize>> = keys().take(8).map(|key| choice.owners(&key).collect()).collect();
    let expected = [
        [2, 1, 3, 0],
        [3, 1, 2, 0],
        [3, 2, 1, 0],
        [3, 2, 1, 0],
        [0, 3, 1, 2],
        [3, 2, 1, 0],
        [2, 3, 0, 1],
        [3, 2, 1, 0],
    ];
    assert_eq!(owners, expected);
}

#[test]
fn nobody_owns_a_key_where_nobody_is() {
    assert_eq!(rendezvous(&[]).owner(b"key"), None);
    assert_eq!(rendezvous(&named(&[0, 0])).owner(b"key"), None);
    assert_eq!(rendezvous(&named(&[0, 0])).owners(b"key").len(), 0);
}

#[test]
fn one_server_owns_everything() {
    let alone = rendezvous(&named(&[7]));
    assert!(keys().take(1000).all(|key| alone.owners(&key).eq([0])));
}

#[test]
fn a_server_of_weight_zero_takes_no_part() {
    let servers = named(&[3, 0, 2]);
    let with_drained = rendezvous(&servers);
    let without = rendezvous(&[servers[0].clone(), servers[2].clone()]);

    for key in keys().take(10_000) {
        assert!(with_drained.owners(&key).eq(without.owners(&key).map(|server| server * 2)));
    }
}

#[test]
fn of_one_name_the_first_owns_all() {
    let same = Rendezvous::new(&[Member::new(b"same", 1), Member::new(b"same", 1)]);
    assert!(keys().take(1000).all(|key| same.owners(&key).eq([0, 1])));
}

#[test]
fn shares_follow_the_weights() {
    // Chance alone accounts for 2 % at the smallest share here.
    for weights in [vec![1; 8], vec![1, 2, 3, 4, 4, 5, 6, 7], vec![1000, 3000], vec![1, 1, 30]] {
        let choice = rendezvous(&named(&weights));
        let deviations = deviations(&weights, |key| choice.owner(key));
        assert!(deviations.iter().all(|off| off.abs() < 0.05), "{weights:?}: {deviations:?}");
    }
}

#[test]
fn weights_of_the_whole_range_are_taken() {
    let choice = rendezvous(&named(&[u32::MAX, u32::MAX, 1]));
    let owned = keys().filter(|key| choice.owner(key) == Some(0)).count();
    assert!(owned.abs_diff(KEYS / 2) < KEYS / 50, "{owned}");
}

#[test]
fn a_server_that_leaves_or_comes_moves_its_own_keys_only() {
    let servers = named(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let all = rendezvous(&servers);
    let before = owners(&servers, |key| all.owner(key));
    for leaves in [0, 3, 7] {
        let mut fewer = servers.clone();
        let (gone, weight) = fewer.remove(leaves);
        let without = rendezvous(&fewer);
        let after = owners(&fewer, |key| without.owner(key));

        let leaving = moves(&before, &after);
        assert!(leaving.iter().all(|(old, _)| *old == gone));
        let share = KEYS * weight as usize / 36;
        assert!(leaving.len().abs_diff(share) < share / 10, "{} of about {share}", leaving.len());
        let coming = moves(&after, &before);
        assert!(coming.iter().all(|(_, new)| *new == gone));
    }
}

#[test]
fn a_weight_that_grows_only_draws_keys_in() {
    let (light, heavy) = (named(&[1, 2, 3, 4]), named(&[1, 2, 6, 4]));
    let (before, after) = (rendezvous(&light), rendezvous(&heavy));

    let moved =
        moves(&owners(&light, |key| before.owner(key)), &owners(&heavy, |key| after.owner(key)));

    // From 3/10 of the keys to 6/13.
    assert!(moved.iter().all(|(_, new)| *new == "server2"));
    assert!(moved.len().abs_diff(KEYS * 21 / 130) < KEYS / 100, "{}", moved.len());
}

#[test]
fn each_owner_is_who_inherits_from_those_before() {
    let servers = named(&[1, 2, 3, 4]);
    let all = rendezvous(&servers);

    for key in keys().take(2000) {
        let owners: Vec<usize> = all.owners(&key).collect();
        assert_eq!(owners.len(), 4);
        let mut left = servers.clone();
        for &owner in &owners {
            assert_eq!(rendezvous(&left).owner(&key), Some(owner));
            left[owner].1 = 0;
        }
    }
}

/// The keys that a server loses go to the others by weight too, not all to one neighbour.
#[test]
fn what_a_server_loses_is_shared_out_by_weight() {
    let choice = rendezvous(&named(&[4, 1, 1, 2]));
    let mut inherited = [0_usize; 4];
    for key in keys() {
        let owners: Vec<usize> = choice.owners(&key).take(2).collect();
        if owners[0] == 0 {
            inherited[owners[1]] += 1;
        }
    }

    let total: usize = inherited.iter().sum();
    for (server, weight) in [(1, 1), (2, 1), (3, 2)] {
        let share = total * weight / 4;
        assert!(inherited[server].abs_diff(share) < share / 20, "{inherited:?}");
    }
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    let servers = named(&[1, 2, 3, 4]);
    let turned: Vec<_> = servers.iter().rev().cloned().collect();
    let (one, other) = (rendezvous(&servers), rendezvous(&turned));
    for key in keys().take(10_000) {
        assert!(one.owners(&key).eq(other.owners(&key).map(|server| 3 - server)));
    }
}
