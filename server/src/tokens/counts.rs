//! What became of the records of each token, for a bounded number of tokens: those that send most have counters
//! of their own, all others share one.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::mask::fingerprint;

/// So many tokens have counters of their own.
const NAMED: usize = 100;
/// How many of the others are weighed at a time.
const CANDIDATES: usize = 1024;
/// One of those gets a counter when it has sent so many times as much of late as the least of those that have
/// one: where many send alike, they do not take turns.
const MUCH_MORE: u64 = 2;
/// What the others are called.
const OTHER: &str = "other";

/// What became of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenResult {
    /// They are in the journal, or were already.
    Accepted,
    /// Something is wrong with them.
    Refused,
    /// Their token has sent more than it may.
    RateLimited,
    /// The journal or a queue did not take them.
    NotDurable,
}

impl TokenResult {
    const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::RateLimited, Self::NotDurable];

    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::NotDurable => "not_durable",
        }
    }
}

/// What became of the records of one token, or of all that have no counter of their own.
#[derive(Debug, Default)]
pub struct TokenCount {
    by_result: [AtomicU64; TokenResult::ALL.len()],
    /// How much it has sent of late: halved now and then.
    weight: AtomicU64,
}

impl TokenCount {
    /// Counts records.
    pub fn count(&self, result: TokenResult, records: u64) {
        if let Some(counter) = self.by_result.get(result as usize) {
            counter.fetch_add(records, Ordering::Relaxed);
        }
    }
}

/// Those of each token. Whoever counts takes no lock but one that others may hold too, and remembers nothing.
#[derive(Debug)]
pub struct TokenCounts {
    named: RwLock<HashMap<Box<str>, Arc<TokenCount>>>,
    other: Arc<TokenCount>,
    hasher: RandomState,
    candidates: Box<[Candidate]>,
    /// What has sent no more than this has no counter of its own; zero when there is room for anyone.
    threshold: AtomicU64,
}

/// A token of those that share the place. What the others send counts against the one that is there, so that one
/// that sends more than all the others together stays (Boyer and Moore's vote). Two threads that meet here may
/// miscount: it is an estimate anyway.
#[derive(Debug, Default)]
struct Candidate {
    hash: AtomicU64,
    weight: AtomicU64,
}

impl Candidate {
    /// Its weight when it has sent so many more.
    fn add(&self, hash: u64, records: u64) -> u64 {
        if self.hash.load(Ordering::Relaxed) == hash {
            return self.weight.fetch_add(records, Ordering::Relaxed) + records;
        }
        let weight = self.weight.load(Ordering::Relaxed);
        if records <= weight {
            self.weight.store(weight - records, Ordering::Relaxed);
            return 0;
        }
        self.hash.store(hash, Ordering::Relaxed);
        self.weight.store(records - weight, Ordering::Relaxed);
        records - weight
    }
}

impl Default for TokenCounts {
    fn default() -> Self {
        Self {
            named: RwLock::default(),
            other: Arc::default(),
            hasher: RandomState::new(),
            candidates: (0..CANDIDATES).map(|_| Candidate::default()).collect(),
            threshold: AtomicU64::new(0),
        }
    }
}

impl TokenCounts {
    /// Where records of a token are counted that has sent so many good ones.
    pub fn of_sender(&self, token: &str, records: u64) -> Arc<TokenCount> {
        if let Some(count) = self.read().get(token) {
            count.weight.fetch_add(records, Ordering::Relaxed);
            return Arc::clone(count);
        }
        let threshold = self.threshold.load(Ordering::Relaxed);
        if threshold == 0 {
            return self.name(token, records);
        }
        let hash = self.hasher.hash_one(token);
        #[allow(clippy::cast_possible_truncation)]
        let candidate = self.candidates.get(hash as usize % CANDIDATES);
        let weight = candidate.map_or(0, |candidate| candidate.add(hash, records));
        if weight <= threshold {
            return Arc::clone(&self.other);
        }
        self.name(token, weight)
    }

    /// Where records of a token are counted, whoever has sent them: what anybody makes up gets no counter.
    pub fn of(&self, token: &str) -> Arc<TokenCount> {
        Arc::clone(self.read().get(token).unwrap_or(&self.other))
    }

    /// To be called now and then: what was sent long ago counts for less.
    pub fn forget_half(&self) {
        let named = self.write();
        for weight in named.values().map(|it| &it.weight) {
            weight.store(weight.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
        for weight in self.candidates.iter().map(|it| &it.weight) {
            weight.store(weight.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
        self.set_threshold(&named);
    }

    /// Gives a token a counter of its own, in the place of the one that has sent least if there is none free.
    fn name(&self, token: &str, weight: u64) -> Arc<TokenCount> {
        let mut named = self.write();
        if let Some(count) = named.get(token) {
            return Arc::clone(count);
        }
        if named.len() >= NAMED {
            let weight_of = |count: &TokenCount| count.weight.load(Ordering::Relaxed);
            let least = named.iter().min_by_key(|(_, count)| weight_of(count));
            let least = least.map(|(token, count)| (token.clone(), weight_of(count)));
            if let Some((least, least_weight)) = least {
                if weight <= least_weight.saturating_mul(MUCH_MORE) {
                    self.set_threshold(&named);
                    return Arc::clone(&self.other);
                }
                named.remove(&least);
            }
        }
        let count = Arc::new(TokenCount::default());
        count.weight.store(weight, Ordering::Relaxed);
        named.insert(token.into(), Arc::clone(&count));
        self.set_threshold(&named);
        count
    }

    fn set_threshold(&self, named: &HashMap<Box<str>, Arc<TokenCount>>) {
        let least = named.values().map(|count| count.weight.load(Ordering::Relaxed)).min();
        let least = least.filter(|_| named.len() >= NAMED).unwrap_or(0);
        self.threshold.store(least.saturating_mul(MUCH_MORE), Ordering::Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Box<str>, Arc<TokenCount>>> {
        self.named.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Box<str>, Arc<TokenCount>>> {
        self.named.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each with what it is called.
    fn all(&self) -> Vec<(String, Arc<TokenCount>)> {
        let named = self.read();
        let named = named.iter().map(|(token, count)| (fingerprint(token), Arc::clone(count)));
        let mut all: Vec<_> = named.collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all.push((OTHER.to_owned(), Arc::clone(&self.other)));
        // Two in some billions are called the same; the page may have each name once.
        all.dedup_by(|(a, _), (b, _)| a == b);
        all
    }
}

impl Collector for TokenCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Events and updates by token (its beginning and a checksum) and what became of them: the hundred \
                    tokens that send most, and all others together";
        let mut metric =
            encoder.encode_descriptor("token_events", help, None, MetricType::Counter)?;
        for (token, count) in self.all() {
            for result in TokenResult::ALL {
                let labels = [("token", &*token), ("result", result.name())];
                let value =
                    count.by_result.get(result as usize).map_or(0, |it| it.load(Ordering::Relaxed));
                metric
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn sends(counts: &TokenCounts, token: &str, records: u64) {
        counts.of_sender(token, records).count(TokenResult::Accepted, records);
    }

    fn accepted(counts: &TokenCounts, token: &str) -> Option<u64> {
        let named = counts.read();
        named.get(token).map(|it| it.by_result[0].load(Ordering::Relaxed))
    }

    #[test]
    fn up_to_a_hundred_tokens_are_counted_exactly() {
        let counts = TokenCounts::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for turn in 0..1000 {
                        sends(&counts, &format!("token-{}", turn % NAMED), 3);
                    }
                });
            }
        });
        let all: Vec<_> = (0..NAMED).map(|n| accepted(&counts, &format!("token-{n}"))).collect();
        assert_eq!(all, [Some(120); NAMED]);
        assert_eq!(counts.other.by_result[0].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_sends_much_is_named_whoever_came_before_and_whatever_is_made_up() {
        let counts = TokenCounts::default();
        let mut sent = 0;
        for n in 0..20_000 {
            sends(&counts, &format!("made-up-{n}"), 1);
            sent += 1;
            // When others have taken all places.
            if n >= 1000 && n % 100 == 0 {
                sends(&counts, "customer", 10);
                sent += 10;
            }
        }
        let customer = accepted(&counts, "customer").expect("it is named");
        assert!(customer > 1800, "{customer} of 1900");
        assert_eq!(counts.read().len(), NAMED);
        // Nothing is counted twice; what those had that made room is not shown any more.
        let shown: u64 =
            counts.all().iter().map(|(_, it)| it.by_result[0].load(Ordering::Relaxed)).sum();
        assert!(shown <= sent && shown > sent - 2 * NAMED as u64, "{shown} of {sent}");
    }

    #[test]
    fn where_all_send_alike_they_do_not_take_turns() {
        let counts = TokenCounts::default();
        for turn in 0..20 {
            for n in 0..300 {
                sends(&counts, &format!("token-{n}"), 1);
            }
            if turn == 9 {
                counts.forget_half();
            }
        }
        let first = (0..NAMED).filter(|n| accepted(&counts, &format!("token-{n}")) == Some(20));
        assert_eq!(first.count(), NAMED);
    }

    #[test]
    fn refusals_give_nobody_a_name() {
        let counts = TokenCounts::default();
        counts.of("nobody").count(TokenResult::Refused, 7);
        assert_eq!(accepted(&counts, "nobody"), None);
        let all = counts.all();
        assert_eq!((all.len(), &*all[0].0), (1, OTHER));
    }
}
