//! What each token may send: which ones are known, and how many records a second; and what became of what it sent.

mod counts;
mod mask;
mod tally;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use windhover_core::Instant;
use windhover_core::tracking::RecordKind;

pub use self::counts::{TokenCount, TokenCounts, TokenResult};
pub(crate) use self::mask::{fingerprint, masked};
pub(crate) use self::tally::Tally;

/// Most tokens whose rates are known apart. Beyond that those that sent nothing of late are forgotten, and
/// further ones share one bucket.
const BUCKETS: usize = 100_000;
/// What they share.
const OTHERS: &str = "";

/// How much a token may send.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenRate {
    /// Records a second, for as long as it likes.
    pub rate: f64,
    /// Records at once, after it was quiet.
    pub burst: f64,
}

impl TokenRate {
    /// So many records a second, and so many at once; what a second brings where that is not said.
    pub fn new(rate: f64, burst: Option<u64>) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let burst = burst.map_or(rate, |burst| burst as f64);
        Self { rate, burst: burst.max(1.0) }
    }
}

/// What an operator decides about tokens.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TokenPolicy {
    /// Only those are taken that are among `tokens`.
    pub known_only: bool,
    /// For those that have no rate of their own.
    pub rate: Option<TokenRate>,
    /// By token.
    pub tokens: HashMap<String, TokenRules>,
}

/// What an operator decides about one token.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TokenRules {
    /// How much it may send, if that is not what all may.
    pub rate: Option<TokenRate>,
    /// The queues that its events, updates of users and updates of groups go to, where those are its own. They
    /// are names that [`check_name`](windhover_core::queue::check_name) takes.
    pub queues: TokenQueues,
}

/// Queues of a token's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenQueues {
    /// For events.
    pub events: Option<String>,
    /// For updates of users.
    pub engage: Option<String>,
    /// For updates of groups.
    pub groups: Option<String>,
}

impl TokenQueues {
    /// Those that there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.events, &self.engage, &self.groups].into_iter().flatten().map(String::as_str)
    }
}

impl TokenPolicy {
    fn is_empty(&self) -> bool {
        !self.known_only
            && self.rate.is_none()
            && self.tokens.values().all(|rules| *rules == TokenRules::default())
    }

    /// Whether a token's records are taken.
    pub fn knows(&self, token: &str) -> bool {
        !self.known_only || self.tokens.contains_key(token)
    }

    fn rate_of(&self, token: &str) -> Option<TokenRate> {
        self.tokens.get(token).and_then(|rules| rules.rate).or(self.rate)
    }

    /// The queue that a token's records of that kind go to, if it is one of its own.
    pub fn queue_of(&self, token: &str, kind: RecordKind) -> Option<&str> {
        let queues = &self.tokens.get(token)?.queues;
        match kind {
            RecordKind::UserUpdate => queues.engage.as_deref(),
            RecordKind::GroupUpdate => queues.groups.as_deref(),
            _ => queues.events.as_deref(),
        }
    }

    /// The queues of tokens' own, some of them perhaps often.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.tokens.values().flat_map(|rules| rules.queues.names())
    }
}

/// A token's bucket: a record takes one out of it, and it fills with time. A request that takes more than there
/// is in a full one is let through, and has its debt paid before the next.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    since: Instant,
}

impl Bucket {
    fn fill(&mut self, rate: TokenRate, now: Instant) {
        let gained = now.saturating_since(self.since).as_secs_f64() * rate.rate;
        self.level = (self.level + gained).min(rate.burst);
        self.since = self.since.max(now);
    }
}

/// What each token may send, and has sent.
#[derive(Debug, Default)]
pub struct Tokens {
    /// There is a policy.
    is_set: AtomicBool,
    policy: RwLock<Arc<TokenPolicy>>,
    buckets: Mutex<HashMap<Box<str>, Bucket>>,
}

impl Tokens {
    /// From now on this holds.
    pub fn set(&self, policy: TokenPolicy) {
        let is_set = !policy.is_empty();
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.is_set.store(is_set, Ordering::Relaxed);
    }

    /// What holds now, if anything does.
    pub fn policy(&self) -> Option<Arc<TokenPolicy>> {
        let policy = || self.policy.read().unwrap_or_else(PoisonError::into_inner);
        self.is_set.load(Ordering::Relaxed).then(|| Arc::clone(&policy()))
    }

    /// Takes so many records of each token, of all or of none.
    ///
    /// # Errors
    /// How long it takes until they may be sent.
    pub fn take<'t>(
        &self,
        policy: &TokenPolicy,
        records: impl Iterator<Item = (&'t str, u32)> + Clone,
        now: Instant,
    ) -> Result<(), Duration> {
        if records.clone().all(|(token, _)| policy.rate_of(token).is_none()) {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = 0.0_f64;
        for (token, count) in records.clone() {
            let Some(rate) = policy.rate_of(token) else { continue };
            let bucket = bucket(&mut buckets, token, rate, now, policy);
            let missing = f64::from(count).min(rate.burst) - bucket.level;
            if missing > 0.0 {
                wait = wait.max(missing / rate.rate.max(f64::MIN_POSITIVE));
            }
        }
        if wait > 0.0 {
            return Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        }
        for (token, count) in records {
            if let Some(rate) = policy.rate_of(token) {
                bucket(&mut buckets, token, rate, now, policy).level -= f64::from(count);
            }
        }
        Ok(())
    }
}

/// The bucket of a token, as it is now.
fn bucket<'a>(
    buckets: &'a mut HashMap<Box<str>, Bucket>,
    token: &str,
    rate: TokenRate,
    now: Instant,
    policy: &TokenPolicy,
) -> &'a mut Bucket {
    let mut name = token;
    if !buckets.contains_key(token) && buckets.len() >= BUCKETS {
        buckets.retain(|token, bucket| {
            let Some(rate) = policy.rate_of(token) else { return false };
            bucket.fill(rate, now);
            bucket.level < rate.burst
        });
        if buckets.len() >= BUCKETS {
            name = OTHERS;
        }
    }
    let full = Bucket { level: rate.burst, since: now };
    if !buckets.contains_key(name) {
        buckets.insert(name.into(), full);
    }
    let bucket = buckets.entry(name.into()).or_insert(full);
    bucket.fill(rate, now);
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_epoch(Duration::from_millis(millis))
    }

    fn policy(rate: f64, burst: u64) -> TokenPolicy {
        TokenPolicy { rate: Some(TokenRate::new(rate, Some(burst))), ..TokenPolicy::default() }
    }

    fn records<'t>(all: &'t [(&'t str, u32)]) -> impl Iterator<Item = (&'t str, u32)> + Clone {
        all.iter().copied()
    }

    #[test]
    fn a_token_sends_its_burst_and_then_its_rate_and_others_are_not_concerned() {
        let (tokens, policy) = (Tokens::default(), policy(10.0, 20));
        let mut sent = [0_u32; 2];
        for turn in 0..1000 {
            for (sent, token) in sent.iter_mut().zip(["noisy", "quiet"]) {
                // One sends a hundred a second, the other five.
                if token == "noisy" || turn % 20 == 0 {
                    let taken = tokens.take(&policy, records(&[(token, 1)]), at(turn * 10));
                    *sent += u32::from(taken.is_ok());
                }
            }
        }
        assert_eq!(sent, [20 + 99, 50]);
    }

    #[test]
    fn a_request_is_taken_as_a_whole_or_told_how_long_to_wait() {
        let (tokens, policy) = (Tokens::default(), policy(10.0, 20));
        assert_eq!(tokens.take(&policy, records(&[("a", 15), ("b", 5)]), at(0)), Ok(()));
        let wait = tokens.take(&policy, records(&[("a", 10), ("b", 5)]), at(0)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        // Nothing was taken of the other one either.
        assert_eq!(tokens.take(&policy, records(&[("b", 15)]), at(0)), Ok(()));
        assert_eq!(tokens.take(&policy, records(&[("a", 10), ("b", 5)]), at(500)), Ok(()));
        // More than a bucket holds goes when it is full, and is paid back.
        assert_eq!(tokens.take(&policy, records(&[("c", 100)]), at(500)), Ok(()));
        let wait = tokens.take(&policy, records(&[("c", 1)]), at(500)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(8100));
    }

    #[test]
    fn a_policy_that_says_nothing_is_none() {
        let tokens = Tokens::default();
        assert_eq!(tokens.policy(), None);
        let mut policy = TokenPolicy { known_only: true, ..TokenPolicy::default() };
        policy.tokens.insert("a".to_owned(), TokenRules::default());
        tokens.set(policy.clone());
        let held = tokens.policy().unwrap();
        assert!(held.knows("a") && !held.knows("b"));
        assert_eq!(tokens.take(&held, records(&[("a", 1_000_000)]), at(0)), Ok(()));
        tokens.set(TokenPolicy::default());
        assert_eq!(tokens.policy(), None);
    }

    #[test]
    fn no_more_buckets_are_kept_than_there_may_be() {
        let (tokens, policy) = (Tokens::default(), policy(1.0, 2));
        for n in 0..BUCKETS + 10 {
            let _ = tokens.take(&policy, records(&[(&n.to_string(), 1)]), at(0));
        }
        assert!(tokens.buckets.lock().unwrap().len() <= BUCKETS + 1);
        // Later the old ones are full again.
        tokens.take(&policy, records(&[("new", 1)]), at(60_000)).unwrap();
        assert!(tokens.buckets.lock().unwrap().len() <= 2);
    }
}
