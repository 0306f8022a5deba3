//! What was refused by the tracker, counted by endpoint and reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Counts by two labels, both from a small fixed set, so that there is an end to them.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Refusals {
    /// Counts one.
    pub fn count(&self, endpoint: &'static str, reason: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((endpoint, reason)).or_default() += 1;
    }

    /// Appends them to the page for Prometheus as the counter of that name.
    pub fn render(&self, name: &str, help: &str, page: &mut String) {
        // Writing to memory does not fail.
        let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} counter\n");
        for ((endpoint, reason), count) in
            &*self.counts.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let _ = writeln!(page, "{name}{{endpoint=\"{endpoint}\",reason=\"{reason}\"}} {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_counted_by_both_labels() {
        let refusals = Refusals::default();
        refusals.count("track", "token_missing");
        refusals.count("track", "json");
        refusals.count("track", "token_missing");
        let mut page = String::new();
        refusals.render("refused_total", "What was refused.", &mut page);
        assert_eq!(
            page,
            "# HELP refused_total What was refused.\n# TYPE refused_total counter\n\
             refused_total{endpoint=\"track\",reason=\"json\"} 1\n\
             refused_total{endpoint=\"track\",reason=\"token_missing\"} 2\n"
        );
    }
}
