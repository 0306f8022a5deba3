//! What is wrong with a configuration file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigFault {
    /// The line, counted from 1; 0 where it is of no one line.
    pub line: usize,
    /// What is wrong, and what may stand there.
    pub message: String,
}

/// Why a configuration file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says cannot be. Nothing of it was taken.
    Faults {
        /// The file.
        path: PathBuf,
        /// Every fault that was found, in the order of their lines.
        faults: Vec<ConfigFault>,
    },
}

impl ConfigError {
    /// That of a file with those faults; none is no error.
    pub(super) fn of(path: &Path, mut faults: Vec<ConfigFault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|fault| fault.line);
        Err(Self::Faults { path: path.to_owned(), faults })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Faults { path, faults } => {
                for (n, fault) in faults.iter().enumerate() {
                    let end = if n == 0 { "" } else { "\n" };
                    write!(f, "{end}{}", path.display())?;
                    if fault.line > 0 {
                        write!(f, ":{}", fault.line)?;
                    }
                    write!(f, ": {}", fault.message)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Faults { .. } => None,
        }
    }
}
