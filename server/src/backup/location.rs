//! Where a destination is, as an operator writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::destination::Destination;
use super::directory::DirectoryDestination;
use super::error::BackupError;
use super::throttle::Throttle;

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupLocation {
    /// A directory, by its path.
    Directory(PathBuf),
}

/// Why a text names no destination.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocationError {
    /// It is empty.
    Empty,
    /// It is a URL of a kind that is not known here.
    Scheme(String),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the destination is empty"),
            Self::Scheme(scheme) => {
                write!(f, "`{scheme}:` is no kind of destination; it is a directory")
            }
        }
    }
}

impl std::error::Error for LocationError {}

impl FromStr for BackupLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        match text.split_once("://") {
            Some(("file", path)) => Ok(Self::Directory(path.into())),
            Some((scheme, _)) => Err(LocationError::Scheme(scheme.to_owned())),
            None => Ok(Self::Directory(text.into())),
        }
    }
}

impl fmt::Display for BackupLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

impl BackupLocation {
    /// The destination; nothing is done there yet.
    ///
    /// # Errors
    /// [`BackupError`] when it cannot be.
    pub fn open(&self, throttle: Arc<Throttle>) -> Result<Box<dyn Destination>, BackupError> {
        match self {
            Self::Directory(path) => Ok(Box::new(DirectoryDestination::new(path, throttle))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_another_scheme_is_refused() {
        let directory = |path: &str| Ok(BackupLocation::Directory(path.into()));
        assert_eq!("/mnt/backup".parse(), directory("/mnt/backup"));
        assert_eq!("file:///mnt/backup".parse(), directory("/mnt/backup"));
        assert_eq!("backup:here".parse(), directory("backup:here"));
        let scheme = LocationError::Scheme("ftp".to_owned());
        assert_eq!("ftp://host/path".parse::<BackupLocation>(), Err(scheme));
        assert_eq!("".parse::<BackupLocation>(), Err(LocationError::Empty));
    }
}
