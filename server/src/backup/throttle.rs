//! A bound on how many bytes are sent in a second.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lets so many bytes pass in a second, on the average; or any number.
#[derive(Debug, Default)]
pub struct Throttle {
    bytes_per_second: Option<u64>,
    /// When what has passed is paid for.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A bound of so many bytes in a second; none without.
    pub const fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(None) }
    }

    /// Waits until `bytes` more may pass.
    pub fn pass(&self, bytes: usize) {
        let wait = self.wait(bytes, Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }

    fn wait(&self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second.filter(|rate| *rate > 0) else {
            return Duration::ZERO;
        };
        let nanos = (bytes as u128) * 1_000_000_000 / u128::from(rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = begins.checked_add(takes);
        begins.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_waits_for_what_has_passed() {
        let throttle = Throttle::new(Some(1000));
        let now = Instant::now();
        assert_eq!(throttle.wait(500, now), Duration::ZERO);
        assert_eq!(throttle.wait(250, now), Duration::from_millis(500));
        assert_eq!(throttle.wait(1, now), Duration::from_millis(750));
        // What was not used is not saved up.
        assert_eq!(throttle.wait(1, now + Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(throttle.wait(1, now + Duration::from_secs(60)), Duration::from_millis(1));
    }

    #[test]
    fn without_a_bound_nothing_waits() {
        let throttle = Throttle::new(None);
        assert_eq!(throttle.wait(usize::MAX, Instant::now()), Duration::ZERO);
        assert_eq!(throttle.wait(usize::MAX, Instant::now()), Duration::ZERO);
    }
}
