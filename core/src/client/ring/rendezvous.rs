//! Rendezvous hashing: every server draws a lot for the key, and the best lot gets it.
//!
//! A server's lot for a key is a number u in (0, 1), uniform and drawn from the key and the server's
//! name alone, and its *distance* is -ln(u)/w for its weight w: the time to the first event of a
//! Poisson process with the rate w. The nearest server owns the key. The first event of several such
//! processes is one of a server's with the probability w/W, W being the sum, so shares follow the weights exactly;
//! and as a lot hangs on no other server, one that comes or goes changes no order among the others.
//!
//! Distances are compared exactly, in integers: a/v < b/w as a·w < b·v, where a and b are -log2(u) as
//! fixed-point numbers. The logarithm itself is read from a table with straight lines
//! between its entries. That is off by less than 0.3 %, equally for all servers; shares feel less of
//! it than that, and neither determinism nor the least movement of keys feels any.

use alloc::boxed::Box;
use core::{cmp::Ordering, fmt, iter::FusedIterator};

use super::Member;

/// Bits behind the point of a distance.
const FRACTION: u32 = 32;

/// A choice by highest random weight: when a server comes or goes, or its weight changes, only keys
/// from or to that server move.
///
/// It agrees with no other program: take it for clusters that only windhover's clients use. The
/// choice is a promise all the same: another version of this crate puts no key elsewhere.
///
/// ```
/// use windhover_core::client::ring::{Member, Rendezvous};
///
/// let members = [Member::new(b"big", 3), Member::new(b"small", 1), Member::new(b"drained", 0)];
/// let all = Rendezvous::new(&members);
/// let without_big = Rendezvous::new(&members[1..]);
///
/// // What `big` had goes to `small`, and nothing of `small`'s has moved.
/// assert!(without_big.owner(b"key").is_some_and(|server| members[1 + server].name == b"small"));
/// assert_eq!(all.owners(b"key").count(), 2);
/// ```
#[derive(Clone)]
pub struct Rendezvous {
    seats: Box<[Seat]>,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    server: usize,
    seed: u64,
    weight: u32,
}

impl Rendezvous {
    /// A choice among `members`. Those of weight 0 are never chosen.
    pub fn new(members: &[Member<'_>]) -> Self {
        let seats = members.iter().enumerate().filter(|(_, member)| member.weight > 0);
        let seat = |(server, member): (usize, &Member<'_>)| Seat {
            server,
            seed: hash(member.name),
            weight: member.weight,
        };
        Self { seats: seats.map(seat).collect() }
    }

    /// The server that `key` belongs to, by its place in the list; `None` when there is none.
    ///
    /// The cost grows with the number of servers: a few nanoseconds for each.
    pub fn owner(&self, key: &[u8]) -> Option<usize> {
        self.owners(key).next()
    }

    /// The server that `key` belongs to, and then each other server of a weight, in the order in
    /// which they would inherit the key.
    ///
    /// Each step costs as much as [`owner`](Self::owner) does.
    pub fn owners(&self, key: &[u8]) -> Ranked<'_> {
        Ranked { seats: &self.seats, key: hash(key), last: None, left: self.seats.len() }
    }
}

impl fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous").field("owners", &self.seats.len()).finish()
    }
}

/// The servers that a key may go to, nearest first; see [`Rendezvous::owners`].
#[derive(Clone, Debug)]
pub struct Ranked<'a> {
    seats: &'a [Seat],
    key: u64,
    last: Option<Lot>,
    left: usize,
}

impl Iterator for Ranked<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lots = self.seats.iter().map(|seat| Lot::draw(self.key, seat));
        let is_left = |lot: &Lot| self.last.is_none_or(|last| lot.compare(&last).is_gt());
        let nearest = lots.filter(is_left).min_by(Lot::compare);
        self.last = nearest.or(self.last);
        self.left -= usize::from(nearest.is_some());
        nearest.map(|lot| lot.server)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Ranked<'_> {}
impl FusedIterator for Ranked<'_> {}

/// What a server drew for a key. The least is the nearest.
#[derive(Clone, Copy, Debug)]
struct Lot {
    /// -log2 of the number drawn, fixed-point.
    distance: u64,
    weight: u32,
    /// The number drawn, as a fraction of 2^64: decides where the distances are the same.
    drawn: u64,
    server: usize,
}

impl Lot {
    fn draw(key: u64, seat: &Seat) -> Self {
        let drawn = mix(key.wrapping_add(seat.seed));
        Self { distance: distance(drawn), weight: seat.weight, drawn, server: seat.server }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let own = u128::from(self.distance) * u128::from(other.weight);
        let others = u128::from(other.distance) * u128::from(self.weight);
        own.cmp(&others)
            .then_with(|| other.drawn.cmp(&self.drawn))
            .then_with(|| self.server.cmp(&other.server))
    }
}

/// FNV-1a of 64 bits: quick for keys, which are short. Its weak bits are [mixed](mix) before use.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `SplitMix64`'s finaliser: a bijection in which each bit that goes in turns about half of those
/// that come out.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// -log2(`drawn` / 2^64), in units of 2^-32: at least 1, at most 64 · 2^32, and never more for a
/// larger number.
fn distance(drawn: u64) -> u64 {
    // 0 would be infinitely far; it is drawn once in 2^64 times.
    let drawn = drawn.max(1);
    let zeros = drawn.leading_zeros();
    // What follows the first 1: eight bits choose the line, the next 32 the place on it.
    let rest = drawn << zeros << 1;
    let [line, place @ ..] = rest.to_be_bytes();
    let [from, to] = [LOG2[usize::from(line)], LOG2[usize::from(line) + 1]];
    let [a, b, c, d, ..] = place;
    let along = ((to - from) * u64::from(u32::from_be_bytes([a, b, c, d]))) >> FRACTION;
    (u64::from(zeros + 1) << FRACTION) - from - along
}

/// log2(1 + i/256) in units of 2^-32, rounded down, for i from 0 to 256.
const LOG2: [u64; 257] = {
    let mut table = [0; 257];
    let mut at = 0;
    while at < 256 {
        table[at] = log2(256 + at as u64);
        at += 1;
    }
    table[256] = 1 << FRACTION;
    table
};

/// The bits behind the point of log2(`of` / 256), for `of` from 256 to 511: squaring a number
/// doubles its logarithm, so each square that reaches 2 tells the next bit as a 1.
const fn log2(of: u64) -> u64 {
    // In [1, 2), with 63 bits behind the point.
    let mut number = (of as u128) << 55;
    let mut bits = 0;
    let mut bit = 0;
    while bit < FRACTION {
        number = (number * number) >> 63;
        bits <<= 1;
        if number >> 64 != 0 {
            number >>= 1;
            bits |= 1;
        }
        bit += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_logarithms() {
        assert_eq!(distance(u64::MAX), 1);
        assert_eq!(distance(1 << 63), 1 << FRACTION);
        assert_eq!(distance(1 << 62), 2 << FRACTION);
        assert_eq!(distance(1), 64 << FRACTION);
        assert_eq!(distance(0), 64 << FRACTION);
        // The distances that win among 2, 20, 200 and 2,000 servers.
        for servers in [2.0_f64, 20.0, 200.0, 2000.0] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let drawn = (0.5_f64.powf(1.0 / servers) * 2.0_f64.powi(64)) as u64;
            #[expect(clippy::cast_precision_loss)]
            let seen = distance(drawn) as f64 / f64::from(FRACTION).exp2() * servers;
            assert!((seen - 1.0).abs() < 0.003, "{seen} for {servers}");
        }
    }

    #[test]
    fn a_larger_number_is_never_farther() {
        let mut before = distance(0);
        for step in 0..1_000_000_u64 {
            let drawn = step * (u64::MAX / 1_000_000);
            let now = distance(drawn);
            assert!(now <= before && distance(drawn + 1) <= now, "at {drawn}");
            before = now;
        }
    }

    #[test]
    fn the_mix_turns_half_of_the_bits() {
        for bit in 0..64 {
            let turned: u32 = (0..1000).map(|n| (mix(n) ^ mix(n ^ (1 << bit))).count_ones()).sum();
            assert!((31_000..33_000).contains(&turned), "bit {bit}: {turned} of 64,000");
        }
    }
}
