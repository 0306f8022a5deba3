//! Values of flags.

use std::time::Duration;

pub(super) fn rate(value: &str) -> Result<f64, String> {
    let rate = value.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| format!("`{value}` is no positive number"))
}

pub(crate) fn seconds(value: &str) -> Result<Duration, String> {
    seconds_to(86_400, value)
}

/// A time of up to ten years.
pub(super) fn long_seconds(value: &str) -> Result<Duration, String> {
    seconds_to(315_360_000, value)
}

fn seconds_to(most: u32, value: &str) -> Result<Duration, String> {
    value
        .parse()
        .ok()
        .filter(|seconds: &f64| (0.0..=f64::from(most)).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{value}` is no number of seconds from 0 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err());
        assert!(seconds("NaN").is_err());
        assert!(seconds("forever").is_err());
    }
}
