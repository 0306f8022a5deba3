//! How the cluster of a run behaves: anything that is allowed.

use std::time::Duration;

use windhover_core::Instant;
use windhover_core::client::{
    Backoff, ClusterOptions, Credentials, RetryLimit, Rotation, ServerSelection,
};
use windhover_core::memcache::Dialect;

use crate::dice::Dice;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When a run begins, on its own clock.
pub(crate) const START: Instant = Instant::from_epoch(Duration::from_secs(1));

/// Draws the options. Whatever they are, a server that is well again is asked again within some two
/// seconds.
pub(crate) fn options(dialect: Dialect, dice: &mut Dice) -> ClusterOptions {
    let mut options =
        if dialect.is_queue() { ClusterOptions::queues() } else { ClusterOptions::default() };
    options.limits.pipeline = dice.pick(&[1, 2, 5, 64]);
    options.timeouts.stall = dice.micros(30_000, 300_000);
    options.timeouts.write = dice.micros(30_000, 300_000);
    options.timeouts.idle = dice.micros(200_000, 5_000_000);
    options.connect_timeout = dice.micros(20_000, 150_000);
    options.attempt_timeout = dice.micros(10_000, 100_000);
    options.slow = dice.micros(5_000, 50_000);
    options.selection =
        if dice.chance(50) { ServerSelection::Rendezvous } else { ServerSelection::default() };
    options.rotation = dice.pick(&[Rotation::RoundRobin, Rotation::Random]);
    options.health.failures = u32::try_from(dice.below(5)).unwrap();
    options.health.backoff =
        Backoff::new(dice.micros(5_000, 50_000), dice.micros(100_000, 400_000));
    options.health.keep_last = dice.chance(50);
    options.attempts = u32::try_from(1 + dice.below(4)).unwrap();
    options.retries =
        dice.pick(&[RetryLimit::default(), RetryLimit::new(0, 0), RetryLimit::new(100, 1000)]);
    options.hedge = dice.chance(60).then(|| dice.micros(200, 20_000));
    options.connections = dice.below(4);
    options.opened_in_advance = dice.below(3);
    options.exclusive = 1 + dice.below(8);
    options.max_age = dice.chance(40).then(|| dice.micros(20_000, 1_000_000));
    options.waiting = dice.pick(&[12, 50, 10_000]);
    if !dialect.is_queue() && dice.chance(20) {
        let password = "secret".into();
        options.credentials = Some(Credentials { user: "sim".into(), password });
    }
    options
}
