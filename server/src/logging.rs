//! Logs: how much of them, in which form, and in which colours.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What says how much is logged.
const VARIABLE: &str = "RUST_LOG";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The form of logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[non_exhaustive]
pub struct LogArgs {
    /// The form of the log on standard error, and of the access log
    #[arg(
        id = "log_format",
        long = "log-format",
        env = "WINDHOVER_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub format: LogFormat,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// lines to be read
    #[default]
    Text,
    /// an object of JSON in each line
    Json,
}

/// Why `RUST_LOG` says nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogFilterError {
    /// It is no filter.
    Parse {
        /// What it is.
        value: String,
        /// Why.
        source: ParseError,
    },
    /// A word of it would be taken for the name of a module, and nearly is a level.
    NearLevel {
        /// The word.
        word: String,
        /// The level.
        level: &'static str,
    },
    /// It is not UTF-8.
    NotText(OsString),
}

impl fmt::Display for LogFilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXPECTED: &str =
            "expected a level (info) or modules with levels (windhover=debug,info)";
        match self {
            Self::Parse { value, .. } => write!(f, "{VARIABLE} is `{value}`, {EXPECTED}"),
            Self::NearLevel { word, level } => {
                write!(f, "{VARIABLE} has `{word}`, which is no level: did you mean `{level}`?")
            }
            Self::NotText(value) => write!(f, "{VARIABLE} is `{}`, {EXPECTED}", value.display()),
        }
    }
}

impl std::error::Error for LogFilterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Parse { source, .. } => Some(source),
            Self::NearLevel { .. } | Self::NotText(_) => None,
        }
    }
}

/// Has logs go to standard error, as `RUST_LOG` says (`info`, where it says nothing). They have colours on a
/// terminal, unless `NO_COLOR` is set (<https://no-color.org>).
///
/// # Errors
/// [`LogFilterError`] when it says something that is no filter.
pub fn start(format: LogFormat) -> Result<(), LogFilterError> {
    let filter = match env::var(VARIABLE) {
        Ok(value) => filter(&value)?,
        Err(env::VarError::NotPresent) => EnvFilter::new("info"),
        Err(env::VarError::NotUnicode(value)) => return Err(LogFilterError::NotText(value)),
    };
    let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = io::stderr().is_terminal() && !is_plain;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(colours).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

fn filter(value: &str) -> Result<EnvFilter, LogFilterError> {
    if value.trim().is_empty() {
        return Ok(EnvFilter::new("info"));
    }
    for word in value.split(',').map(str::trim) {
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        // A letter or two, fewer in a short word.
        let near = |level: &&&str| {
            strsim::damerau_levenshtein(level, &word.to_lowercase()) < level.len().min(5) - 2
        };
        if !is_level
            && word.len() > 2
            && let Some(level) = LEVELS.iter().find(near)
        {
            return Err(LogFilterError::NearLevel { word: word.to_owned(), level });
        }
    }
    EnvFilter::try_new(value)
        .map_err(|source| LogFilterError::Parse { value: value.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_filter_is_taken() {
        for value in [
            "",
            "info",
            "DEBUG",
            "off",
            "windhover=debug",
            "windhover_server=trace,warn",
            "rustls",
            "foo",
            "mio",
        ] {
            assert!(filter(value).is_ok(), "{value}");
        }
    }

    #[test]
    fn what_is_none_is_told() {
        for (value, words) in [
            (
                "windhover=loud",
                "RUST_LOG is `windhover=loud`, expected a level (info) or modules with levels (windhover=debug,info)",
            ),
            ("inof", "RUST_LOG has `inof`, which is no level: did you mean `info`?"),
            (
                "windhover=debug,warm",
                "RUST_LOG has `warm`, which is no level: did you mean `warn`?",
            ),
        ] {
            assert_eq!(
                filter(value).map(|_| ()).map_err(|error| error.to_string()),
                Err(words.to_owned())
            );
        }
    }
}
