//! Requests to a cache: reads of items that are there, and writes.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use fastrand::Rng;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits};

use super::{Checked, Frame, Workload, frame, other_line};
use crate::load::failure::Failure;

/// How often which key is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KeyDistribution {
    /// Each as often as any other
    #[default]
    Uniform,
    /// The n-th one 1/n^0.99 as often as the first, as in YCSB
    Zipf,
}

/// What the requests to a cache are.
#[derive(Clone, Debug)]
pub(in super::super) struct Items {
    pub(in super::super) keys: u32,
    pub(in super::super) distribution: KeyDistribution,
    /// Bytes of a value.
    pub(in super::super) size: RangeInclusive<usize>,
    /// Of a hundred requests, so many write.
    pub(in super::super) set_percent: f64,
    /// Keys in a read.
    pub(in super::super) keys_each: u32,
}

/// Values begin at one of so many places of the same text, so that one key's value is not that of another.
const BEGINNINGS: usize = 61;
/// The exponent of YCSB.
const ZIPF: f64 = 0.99;
/// How many are written together before any is asked for.
const FILLED_AT_ONCE: usize = 64;

/// Reads and writes items.
#[derive(Clone, Debug)]
pub(in super::super) struct CacheWorkload {
    items: Items,
    shared: Arc<Shared>,
    limits: Limits,
    random: Rng,
}

#[derive(Debug)]
struct Shared {
    /// All keys, one behind the other, each of [`KEY`] bytes.
    names: Vec<u8>,
    text: Vec<u8>,
    /// For Zipf's law: of all requests, the part that asks for a key up to this one.
    shares: Vec<f64>,
}

const KEY: usize = 15;

const HITS: usize = 0;
const MISSES: usize = 1;
const STORED: usize = 2;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum CacheAsked {
    /// From this key on, so many.
    Get {
        first: u32,
        count: u32,
    },
    Set,
}

impl CacheWorkload {
    pub(in super::super) fn new(items: Items) -> Self {
        let mut names = String::with_capacity(items.keys as usize * KEY);
        for key in 0..items.keys {
            // Writing to a string cannot fail.
            let _ = write!(names, "load:{key:010}");
        }
        let longest = *items.size.end();
        let text = (b'a'..=b'z').chain(b'0'..=b'9').cycle().take(longest + BEGINNINGS).collect();
        let mut shares = Vec::new();
        if items.distribution == KeyDistribution::Zipf {
            let mut sum = 0.0;
            shares.extend((1..=items.keys).map(|rank| {
                sum += f64::from(rank).powf(-ZIPF);
                sum
            }));
            for share in &mut shares {
                *share /= sum;
            }
        }
        let shared = Arc::new(Shared { names: names.into(), text, shares });
        let limits = Limits::default().with_value(usize::MAX);
        Self { items, shared, limits, random: Rng::with_seed(0) }
    }

    fn name(&self, key: u32) -> &[u8] {
        let at = key as usize * KEY;
        self.shared.names.get(at..at + KEY).unwrap_or_default()
    }

    fn value(&self, key: u32) -> &[u8] {
        let (least, most) = (*self.items.size.start(), *self.items.size.end());
        // Any key has the same size each time; neighbours have others.
        let mixed = (u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        let size = least + mixed % (most - least + 1);
        let begin = key as usize % BEGINNINGS;
        self.shared.text.get(begin..begin + size).unwrap_or_default()
    }

    fn choose(&mut self) -> u32 {
        match self.items.distribution {
            KeyDistribution::Uniform => self.random.u32(0..self.items.keys),
            KeyDistribution::Zipf => {
                let at = self.random.f64();
                let key = self.shared.shares.partition_point(|share| *share < at);
                u32::try_from(key).unwrap_or(u32::MAX).min(self.items.keys - 1)
            }
        }
    }

    fn set(&self, key: u32, out: &mut Vec<u8>) {
        let value = self.value(key);
        out.extend_from_slice(b"set ");
        out.extend_from_slice(self.name(key));
        // Writing to a vector cannot fail.
        let _ = write!(out, " 0 0 {}\r\n", value.len());
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes every item once.
    ///
    /// # Errors
    /// When the server does not store one of them; each answer has to come within `timeout`.
    pub(in super::super) fn fill(&self, address: SocketAddr, timeout: Duration) -> io::Result<()> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let mut answers = BufReader::new(stream);
        let (mut out, mut line, mut pending) = (Vec::new(), String::new(), 0);
        for key in 0..self.items.keys {
            self.set(key, &mut out);
            pending += 1;
            if pending < FILLED_AT_ONCE && out.len() < 64 * 1024 && key + 1 < self.items.keys {
                continue;
            }
            answers.get_mut().write_all(&out)?;
            out.clear();
            for _ in 0..std::mem::take(&mut pending) {
                line.clear();
                answers.read_line(&mut line)?;
                if line != "STORED\r\n" {
                    let told = Failure::refused(line.trim_end().as_bytes());
                    return Err(io::Error::other(format!("an item is not stored: {told}")));
                }
            }
        }
        Ok(())
    }
}

impl Workload for CacheWorkload {
    type Asked = CacheAsked;
    type Turn = ();

    const COUNTS: &'static [&'static str] = &["hits", "misses", "stored"];

    fn ask(&mut self, (): &mut (), out: &mut Vec<u8>) -> CacheAsked {
        let key = self.choose();
        if self.random.f64() * 100.0 < self.items.set_percent {
            self.set(key, out);
            return CacheAsked::Set;
        }
        out.extend_from_slice(b"get");
        for next in 0..self.items.keys_each {
            out.push(b' ');
            out.extend_from_slice(self.name((key + next) % self.items.keys));
        }
        out.extend_from_slice(b"\r\n");
        CacheAsked::Get { first: key, count: self.items.keys_each }
    }

    fn check(&self, asked: CacheAsked, came: &[u8], (): &mut (), counts: &mut [u64]) -> Checked {
        let mut add = |which: usize, more: u64| {
            counts.iter_mut().skip(which).take(1).for_each(|it| *it += more);
        };
        let CacheAsked::Get { first, count } = asked else {
            return match frame(came, Dialect::Memcached, &self.limits) {
                Frame::Partial => Checked::Partial,
                Frame::NoAnswer(why) => Checked::NoAnswer(why),
                Frame::Whole(Response::Stored, length) => {
                    add(STORED, 1);
                    Checked::Good { length, closes: false }
                }
                Frame::Whole(line, length) => other_line(&line, came, length),
            };
        };
        let (mut at, mut next, mut hits) = (0, 0, 0);
        loop {
            let rest = came.get(at..).unwrap_or_default();
            match frame(rest, Dialect::Memcached, &self.limits) {
                Frame::Partial => return Checked::Partial,
                Frame::NoAnswer(why) => return Checked::NoAnswer(why),
                Frame::Whole(Response::Value(value), length) => {
                    // In the order of the request; a miss leaves no trace.
                    let mut keys = (next..count).map(|it| (it, (first + it) % self.items.keys));
                    match keys.find(|(_, key)| self.name(*key) == value.key) {
                        Some((it, key)) if value.data == self.value(key) => next = it + 1,
                        _ => return Checked::NoAnswer(Failure::not_an_answer(rest)),
                    }
                    hits += 1;
                    at += length;
                }
                Frame::Whole(Response::End, length) => {
                    add(HITS, hits);
                    add(MISSES, u64::from(count) - hits);
                    return Checked::Good { length: at + length, closes: false };
                }
                Frame::Whole(line, length) if at == 0 => return other_line(&line, rest, length),
                Frame::Whole(..) => return Checked::NoAnswer(Failure::not_an_answer(rest)),
            }
        }
    }

    fn seed(&mut self, seed: u64) {
        self.random = Rng::with_seed(seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Items {
        Items {
            keys: 100,
            distribution: KeyDistribution::Uniform,
            size: 2..=2,
            set_percent: 10.0,
            keys_each: 3,
        }
    }

    #[test]
    fn values_are_those_that_were_written_or_it_is_no_answer() {
        let workload = CacheWorkload::new(items());
        let asked = CacheAsked::Get { first: 98, count: 3 };
        let good = b"VALUE load:0000000098 0 2\r\nbc\r\nVALUE load:0000000000 0 2\r\nab\r\nEND\r\n";
        let mut counts = [0; 3];
        for end in 0..good.len() {
            let partial = workload.check(asked, &good[..end], &mut (), &mut counts);
            assert_eq!((partial, counts), (Checked::Partial, [0; 3]), "{end} bytes");
        }
        let whole = workload.check(asked, good, &mut (), &mut counts);
        assert_eq!(whole, Checked::Good { length: good.len(), closes: false });
        assert_eq!(counts, [2, 1, 0]);
        for wrong in [
            "VALUE load:0000000098 0 2\r\nxx\r\n",
            "VALUE load:0000000097 0 2\r\nab\r\n",
            "VALUE load:0000000000 0 2\r\nab\r\nVALUE load:0000000098 0 2\r\nbc\r\n",
            "STORED\r\n",
            "nonsense\r\n",
        ] {
            let checked = workload.check(asked, wrong.as_bytes(), &mut (), &mut counts);
            assert!(matches!(checked, Checked::NoAnswer(_)), "{wrong}: {checked:?}");
        }
    }

    #[test]
    fn one_request_in_ten_writes_and_every_key_is_asked_for() {
        let mut workload = CacheWorkload::new(items());
        let (mut writes, mut seen) = (0, [false; 100]);
        for _ in 0..10_000 {
            match workload.ask(&mut (), &mut Vec::new()) {
                CacheAsked::Set => writes += 1,
                CacheAsked::Get { first, .. } => seen[first as usize] = true,
            }
        }
        assert!((900..1100).contains(&writes), "{writes}");
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn the_first_keys_are_most_of_zipfs() {
        let distribution = KeyDistribution::Zipf;
        let mut workload = CacheWorkload::new(Items { distribution, ..items() });
        let first = (0..10_000).filter(|_| workload.choose() == 0).count();
        // 1 of the sum of 1/n^0.99, n to 100, which is 5.3.
        assert!((1700..2100).contains(&first), "{first}");
        assert!((0..10_000).any(|_| workload.choose() > 50));
    }

    #[test]
    fn sizes_are_within_their_range_and_differ() {
        let workload = CacheWorkload::new(Items { size: 10..=1000, ..items() });
        let sizes: Vec<usize> = (0..100).map(|key| workload.value(key).len()).collect();
        assert!(sizes.iter().all(|size| (10..=1000).contains(size)));
        assert!(sizes.iter().min() < Some(&100) && sizes.iter().max() > Some(&900), "{sizes:?}");
        assert_eq!(workload.value(7), workload.value(7));
    }
}
