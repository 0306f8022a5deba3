//! Figures that a passing test shows too.

use std::io::Write as _;

/// Prints a line past the capture of the test harness, which shows what a test prints only when
/// the test fails.
pub fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "    {line}");
}
