//! Whose a key is: by searching all points, and by drawing all lots.

use windhover_core::client::ring::{HashTag, KeyHash, Naming};

use super::md5;

/// A server: its name and its weight.
pub type Server = (Vec<u8>, u32);

/// A weighted ketama ring: every point with its server.
#[derive(Clone, Debug)]
pub struct Ketama {
    points: Vec<(u32, usize)>,
}

impl Ketama {
    /// The ring of those servers.
    pub fn new(servers: &[Server], naming: Naming) -> Self {
        let taking_part = servers.iter().filter(|server| server.1 > 0).count();
        let total: u64 = servers.iter().map(|server| u64::from(server.1)).sum();
        // Who comes first has what two would have.
        let mut order: Vec<usize> = (0..servers.len()).collect();
        if naming != Naming::Libmemcached {
            order.sort_by_key(|&at| {
                let label = label(&servers[at].0, naming);
                (label.len(), label)
            });
        }
        let mut points: Vec<(u32, usize)> = Vec::new();
        for &server in &order {
            let (name, weight) = &servers[server];
            for index in 0..digests(*weight, total, taking_part) {
                let named = [&label(name, naming)[..], format!("-{index}").as_bytes()].concat();
                let digest = md5::digest(&named);
                for point in digest.chunks(4) {
                    points.push((u32::from_le_bytes(point.try_into().expect("four")), server));
                }
            }
        }
        // A stable sort: equal points stay in their order.
        points.sort_by_key(|point| point.0);
        Self { points }
    }

    /// How many points a server has.
    pub fn points(&self, server: usize) -> usize {
        self.points.iter().filter(|point| point.1 == server).count()
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.points.len()
    }

    /// Every server that has a point, in the order in which a key is theirs.
    pub fn owners(&self, key: &[u8], hash: KeyHash, tag: Option<HashTag>) -> Vec<usize> {
        let key = tag.map_or(key, |tag| tagged(key, tag));
        let place = match hash {
            KeyHash::Md5 => {
                u32::from_le_bytes(md5::digest(key)[..4].try_into().expect("four bytes"))
            }
            _ => fnv_64_in_32(key),
        };
        let (before, behind): (Vec<_>, Vec<_>) =
            self.points.iter().partition(|point| point.0 < place);
        let mut owners: Vec<usize> = Vec::new();
        for (_, server) in behind.into_iter().chain(before) {
            if !owners.contains(&server) {
                owners.push(server);
            }
        }
        owners
    }
}

/// In single precision, as libmemcached and twemproxy have it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as both do"
)]
fn digests(weight: u32, total: u64, count: usize) -> u32 {
    if weight == 0 {
        return 0;
    }
    let share = weight as f32 / total as f32;
    (share * 160.0 / 4.0 * count as f32).floor() as u32
}

/// What is hashed in front of the index (libmemcached, twemproxy's address, a name of one's own).
fn label(name: &[u8], naming: Naming) -> Vec<u8> {
    let socket: &[u8] = match naming {
        Naming::Libmemcached => b":0",
        Naming::TwemproxyAddress => b":",
        _ => return name.to_vec(),
    };
    if name.starts_with(b"/") {
        return [name, socket].concat();
    }
    let name = name.strip_suffix(b":11211").unwrap_or(name);
    match name.iter().position(|&byte| byte == b']') {
        Some(end) if name[0] == b'[' => [&name[1..end], &name[end + 1..]].concat(),
        _ => name.to_vec(),
    }
}

/// The part between the two bytes, where there is one.
fn tagged(key: &[u8], tag: HashTag) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == tag.open) else {
        return key;
    };
    let behind = &key[open + 1..];
    match behind.iter().position(|&byte| byte == tag.close) {
        None | Some(0) => key,
        Some(end) => &behind[..end],
    }
}

/// FNV-1a of 64 bits in C's `uint32_t`, over signed characters.
fn fnv_64_in_32(key: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in key {
        let signed = i64::from(i8::from_ne_bytes([byte]));
        hash = (hash ^ signed.cast_unsigned()).wrapping_mul(0x0000_0100_0000_01b3);
    }
    u32::try_from(hash & 0xffff_ffff).expect("32 bits")
}

/// How far each server of a weight lies from a key by rendezvous hashing: -ln(u)/w.
#[expect(clippy::cast_precision_loss, reason = "compared with tolerance")]
pub fn distances(servers: &[Server], key: &[u8]) -> Vec<Option<f64>> {
    let hash = |bytes: &[u8]| {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash
    };
    let distance = |(name, weight): &Server| {
        let mut bits = hash(key).wrapping_add(hash(name));
        for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
            bits = (bits ^ (bits >> shift)).wrapping_mul(factor);
        }
        bits ^= bits >> 31;
        // Half a step away from 0 and 1, where the logarithm is none or the quotient lost.
        let drawn = (bits as f64 + 0.5) / 18_446_744_073_709_551_616.0;
        let log = if drawn > 0.999 {
            // Close to 1 a double has no digits left for it.
            let rest = (u64::MAX - bits) as f64 + 0.5;
            -(-(rest / 18_446_744_073_709_551_616.0)).ln_1p()
        } else {
            -drawn.ln()
        };
        (*weight > 0).then(|| log / f64::from(*weight))
    };
    servers.iter().map(distance).collect()
}
