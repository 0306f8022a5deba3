//! Where a destination is, as an operator writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(feature = "s3")]
use super::bucket::BucketDestination;
use super::destination::Destination;
#[cfg(not(feature = "s3"))]
use super::destination::DestinationError;
use super::directory::DirectoryDestination;
use super::error::BackupError;
use super::throttle::Throttle;

/// Where backups are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupLocation {
    /// A directory, by its path.
    Directory(PathBuf),
    /// A bucket of an S3-compatible store, which a program with the feature `s3` can use.
    Bucket {
        /// Its name.
        bucket: String,
        /// What all names in it begin with; may be empty.
        prefix: String,
    },
}

/// Why a text names no destination.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocationError {
    /// It is empty.
    Empty,
    /// It is a URL of a kind that is not known here.
    Scheme(String),
    /// It names no bucket.
    NoBucket,
    /// It is a bucket, and this program was built without the feature `s3`.
    WithoutS3,
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the destination is empty"),
            Self::Scheme(scheme) => {
                write!(
                    f,
                    "`{scheme}:` is no kind of destination: a directory, or s3://BUCKET/PREFIX"
                )
            }
            Self::NoBucket => f.write_str("there is no bucket in it: s3://BUCKET/PREFIX"),
            Self::WithoutS3 => f.write_str(
                "this program was built without the feature `s3`, by which buckets are used",
            ),
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
            Some(("s3", _)) if !cfg!(feature = "s3") => Err(LocationError::WithoutS3),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(LocationError::NoBucket);
                }
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some((scheme, _)) => Err(LocationError::Scheme(scheme.to_owned())),
            None => Ok(Self::Directory(text.into())),
        }
    }
}

impl fmt::Display for BackupLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl BackupLocation {
    /// The destination; nothing is done there yet. `endpoint` is the URL of a store that is not AWS's.
    ///
    /// # Errors
    /// [`BackupError`] when it cannot be.
    #[cfg_attr(not(feature = "s3"), allow(unused_variables))]
    pub fn open(
        &self,
        endpoint: Option<&str>,
        throttle: Arc<Throttle>,
    ) -> Result<Box<dyn Destination>, BackupError> {
        match self {
            Self::Directory(path) => Ok(Box::new(DirectoryDestination::new(path, throttle))),
            #[cfg(feature = "s3")]
            Self::Bucket { bucket, prefix } => {
                Ok(Box::new(BucketDestination::new(bucket, prefix, endpoint, throttle)?))
            }
            #[cfg(not(feature = "s3"))]
            Self::Bucket { .. } => {
                let without = LocationError::WithoutS3;
                Err(DestinationError::failed(format!("use {self}"), without).into())
            }
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
        let bucket = |bucket: &str, prefix: &str| BackupLocation::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        if cfg!(feature = "s3") {
            assert_eq!("s3://bucket".parse(), Ok(bucket("bucket", "")));
            assert_eq!("s3://bucket/a/b".parse(), Ok(bucket("bucket", "a/b")));
            assert_eq!("s3:///a".parse::<BackupLocation>(), Err(LocationError::NoBucket));
        } else {
            assert_eq!("s3://bucket".parse::<BackupLocation>(), Err(LocationError::WithoutS3));
        }
        assert_eq!("".parse::<BackupLocation>(), Err(LocationError::Empty));
    }
}
