//! The ketama ring: each server has points on a circle of 2^32 places, and owns what lies between
//! the point before and its own.

use alloc::{boxed::Box, vec, vec::Vec};
use core::{error::Error, fmt, iter::FusedIterator};

use md5::{Digest as _, Md5};

use super::{HashTag, KeyHash, Member, Naming, key_hash::points_of};

/// Points of a server of the mean weight.
const POINTS: u16 = 160;
/// Points that come out of one digest.
const POINTS_OF_DIGEST: u16 = 4;

/// A weighted ketama ring that agrees, key for key, with libmemcached's and twemproxy's.
///
/// It follows libmemcached 1.0.16 to 1.1.4 (`ketama_weighted`) and twemproxy 0.5.0 (`distribution:
/// ketama`). A server of weight w, among n servers of total weight W, has ⌊40·n·w/W⌋ digests of
/// `NAME-INDEX`, each worth four points, reckoned in single precision as both do. A key belongs to
/// the first point at or after its hash. [`Naming`] says what is hashed for a point, and who wins
/// equal ones.
///
/// What that means for an operator:
///
/// - A server of less than 1/(40·n) of the total weight has no point and gets no key; see
///   [`points`](Self::points).
/// - The number of points hangs on n/W. When a server comes or goes and the mean weight changes with
///   it, the others' points grow or shrink a little, and some of their keys move among them, in all
///   three programs alike. While the mean weight stays, no key moves between two servers that stay.
/// - libmemcached's *unweighted* ketama (pylibmc's `ketama` without `ketama_weighted`) is another
///   ring: 100 points for each server, hashed with whatever hashes the keys (Jenkins' one-at-a-time
///   when nothing is set). It is not offered here.
/// - libmemcached takes a weight of 0 for 1, and twemproxy refuses it. Here such a server takes no
///   part, n and W included: the others' keys are where they were if it were not in the list.
///
/// ```
/// use windhover_core::client::ring::{Member, Naming, Ring};
///
/// let servers = ["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11212"];
/// let members = servers.map(|name| Member::new(name.as_bytes(), 1));
/// let ring = Ring::new(&members, Naming::Libmemcached)?;
///
/// let owner = ring.owner(b"user:1").expect("there are servers");
/// let next = ring.owners(b"user:1").find(|&server| server != owner);
/// assert!(next.is_some_and(|server| server < servers.len()));
/// # Ok::<(), windhover_core::client::ring::RingError>(())
/// ```
#[derive(Clone)]
pub struct Ring {
    /// Where the points lie, in order.
    values: Box<[u32]>,
    /// Whose they are.
    places: Box<[Place]>,
    /// How many servers have points.
    owners: usize,
    key_hash: KeyHash,
    hash_tag: Option<HashTag>,
}

#[derive(Clone, Copy)]
struct Place {
    server: u32,
    /// How many points back, round the circle, the server's last one lies; all the way round when
    /// it is the only one. Tells without memory whether a walk has met this server before.
    back: u32,
}

impl Ring {
    /// The most servers that a ring may have.
    pub const MAX_MEMBERS: usize = 1 << 16;

    /// A ring over `members`, its keys hashed with MD5.
    ///
    /// # Errors
    ///
    /// When there are more members than [`MAX_MEMBERS`](Self::MAX_MEMBERS).
    pub fn new(members: &[Member<'_>], naming: Naming) -> Result<Self, RingError> {
        if members.len() > Self::MAX_MEMBERS {
            return Err(RingError { members: members.len() });
        }
        let taking_part = members.iter().filter(|member| member.weight > 0);
        let count = taking_part.clone().count();
        let total = taking_part.map(|member| u64::from(member.weight)).sum();

        let order = naming.order(members);
        let mut points: Vec<(u32, usize)> = Vec::with_capacity(count * usize::from(POINTS));
        for (rank, member) in order.iter().filter_map(|&server| members.get(server)).enumerate() {
            let [host, port] = naming.label(member.name);
            let named = Md5::new_with_prefix(host).chain_update(port).chain_update(b"-");
            for index in 0..digests(member.weight, total, count) {
                let mut digits = [0; 10];
                let digest = named.clone().chain_update(decimal(index, &mut digits));
                points.extend(points_of(digest).map(|value| (value, rank)));
            }
        }
        // Equal points lie in order of rank, and a search finds the first of them.
        points.sort_unstable();

        let (places, owners) = places(&points, &order);
        Ok(Self {
            values: points.into_iter().map(|(value, _)| value).collect(),
            places,
            owners,
            key_hash: KeyHash::Md5,
            hash_tag: None,
        })
    }

    /// Hashes keys with `key_hash`.
    #[must_use]
    pub fn with_key_hash(mut self, key_hash: KeyHash) -> Self {
        self.key_hash = key_hash;
        self
    }

    /// Hashes, of a key that has it, the part that `hash_tag` marks.
    #[must_use]
    pub fn with_hash_tag(mut self, hash_tag: HashTag) -> Self {
        self.hash_tag = Some(hash_tag);
        self
    }

    /// The server that `key` belongs to, by its place in the list; `None` when no server has a
    /// point.
    pub fn owner(&self, key: &[u8]) -> Option<usize> {
        self.owners(key).next()
    }

    /// The server that `key` belongs to, and then each other server that has a point, in the order
    /// in which they would inherit the key.
    ///
    /// `ring.owners(key).find(|&server| is_up(server))` moves the keys of servers that are down, and
    /// no others.
    pub fn owners(&self, key: &[u8]) -> Owners<'_> {
        let key = self.hash_tag.map_or(key, |tag| tag.of(key));
        let hash = self.key_hash.of(key);
        let start = self.values.partition_point(|&value| value < hash);
        Owners { places: &self.places, start, walked: 0, left: self.owners }
    }

    /// How many points `server` has: its share of the keys is about this over the
    /// [total](Self::total_points).
    pub fn points(&self, server: usize) -> usize {
        self.places.iter().filter(|place| place.server as usize == server).count()
    }

    /// How many points all servers have together.
    pub fn total_points(&self) -> usize {
        self.places.len()
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("points", &self.places.len())
            .field("owners", &self.owners)
            .field("key_hash", &self.key_hash)
            .field("hash_tag", &self.hash_tag)
            .finish_non_exhaustive()
    }
}

/// The servers that a key may go to, in order; see [`Ring::owners`].
#[derive(Clone)]
pub struct Owners<'a> {
    places: &'a [Place],
    start: usize,
    walked: usize,
    left: usize,
}

impl Iterator for Owners<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.left > 0 {
            // Past the last point it goes on at the first.
            let at = self.start + self.walked;
            let place = self.places.get(at).or_else(|| self.places.get(at - self.places.len()))?;
            let is_new = place.back as usize > self.walked;
            self.walked += 1;
            if is_new {
                self.left -= 1;
                return Some(place.server as usize);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Owners<'_> {}
impl FusedIterator for Owners<'_> {}

impl fmt::Debug for Owners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owners").field("left", &self.left).finish_non_exhaustive()
    }
}

/// A ring was asked to take more servers than [`Ring::MAX_MEMBERS`].
///
/// ```
/// use windhover_core::client::ring::{Member, Naming, Ring, RingError};
///
/// let members = vec![Member::new(b"server", 1); Ring::MAX_MEMBERS + 1];
/// let error: Option<RingError> = Ring::new(&members, Naming::AsIs).err();
/// assert_eq!(error, Some(RingError { members: 65_537 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingError {
    /// How many there were.
    pub members: usize,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (most, members) = (Ring::MAX_MEMBERS, self.members);
        write!(f, "a ring takes at most {most} servers, not {members}: divide them among clusters")
    }
}

impl Error for RingError {}

/// How many digests a server of `weight` has, among `count` servers of `total` weight.
///
/// Single precision, and this order of operations, are part of what has to agree: in real numbers
/// some of the results would be one larger. The 0.0000000001 that both programs add before they
/// round down is too small to change any single-precision number, and is left out.
fn digests(weight: u32, total: u64, count: usize) -> u32 {
    if weight == 0 {
        return 0;
    }
    #[expect(clippy::cast_precision_loss, reason = "as libmemcached and twemproxy do")]
    let (weight, total, count) = (weight as f32, total as f32, count as f32);
    let digests = weight / total * f32::from(POINTS) / f32::from(POINTS_OF_DIGEST) * count;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounds down a number that is at least 0 and at most 40 times 2^16"
    )]
    let rounded_down = digests as u32;
    rounded_down
}

/// `number` in decimal, at the end of `digits`.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        first = at;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

/// The owner of each point, with the way back to its last one; and how many owners there are.
/// `order` tells which server has the rank that stands in a point.
fn places(points: &[(u32, usize)], order: &[usize]) -> (Box<[Place]>, usize) {
    // For each rank, its last point so far; to begin with, its last one on the round before.
    let mut last: Vec<Option<usize>> = vec![None; order.len()];
    for (at, &(_, rank)) in points.iter().enumerate() {
        if let Some(last) = last.get_mut(rank) {
            *last = Some(at);
        }
    }
    let owners = last.iter().flatten().count();
    let place = |(at, &(_, rank)): (usize, &(u32, usize))| {
        let before = last.get_mut(rank).and_then(|last| last.replace(at)).unwrap_or(at);
        let back = if before < at { at - before } else { at + points.len() - before };
        let server = order.get(rank).copied().unwrap_or_default();
        // Both are below `MAX_MEMBERS` times the points of a server: nothing is cut.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        Place { server: server as u32, back: back as u32 }
    };
    (points.iter().enumerate().map(place).collect(), owners)
}
