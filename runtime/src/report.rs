//! Errors with their causes, as one line.

use std::error::Error;
use std::fmt;

/// An error and all its causes in one line, for logs and terminals.
///
/// Every error of the workspace keeps one rule: its text says what happened and does not repeat its
/// [`source`](Error::source), and what only passes another error on has that one's text and source. So
/// nothing is said twice here, or by `anyhow`, `eyre` and whatever else prints the chain.
///
/// ```
/// use std::io;
/// use windhover_runtime::Report;
///
/// #[derive(Debug)]
/// struct ConfigError(io::Error);
/// # impl std::fmt::Display for ConfigError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("the configuration cannot be read")
/// #     }
/// # }
/// # impl std::error::Error for ConfigError {
/// #     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
/// #         Some(&self.0)
/// #     }
/// # }
///
/// let error = ConfigError(io::Error::from(io::ErrorKind::PermissionDenied));
/// assert_eq!(
///     Report::new(&error).to_string(),
///     "the configuration cannot be read: permission denied"
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Report<'a>(&'a (dyn Error + 'static));

impl<'a> Report<'a> {
    /// Of an error.
    pub const fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |error| (*error).source())
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}
