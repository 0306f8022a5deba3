//! Backups of a journal, made while a server writes it, and what restores them.
//!
//! A destination holds two kinds of things ([`layout`]): *objects*, each a stretch of a segment under the name
//! of its content's hash, and the *log*, a row of numbered entries, each put once and for good. An entry is a
//! [`Manifest`], which says which objects make up the journal at its cut, or what a [`prune`] is about to delete.
//!
//! Everything rests on two rules. An entry is put under the next number, and only if nobody has: so of two
//! backups at once one loses, and what it had sent is left for a prune. And an object's name ends with the number
//! that its backup is going to have, while a prune takes a number first and deletes nothing that belongs to a
//! later one: so it never meets the objects of a backup that can still succeed.
//!
//! What decides is pure: [`manifest`], [`plan`], [`retention`]. What moves bytes is a [`Destination`].

#[cfg(feature = "s3")]
mod bucket;
mod codec;
mod command;
mod continuous;
mod create;
mod destination;
mod directory;
mod drill;
mod error;
mod key;
pub mod layout;
mod location;
pub mod manifest;
mod metrics;
pub mod plan;
mod priority;
mod progress;
mod prune;
mod repository;
mod restore;
pub mod retention;
mod throttle;
mod verify;

#[cfg(feature = "s3")]
pub use bucket::BucketDestination;
pub use codec::{Codec, CodecError};
pub use command::{BackupArgs, BackupCommand, ContinuousArgs, run};
pub use continuous::{BackupStats, BackupStatus, Continuous, ContinuousOptions};
pub use create::{CreateOptions, Created, create};
pub use destination::{Destination, DestinationError, Listed, PutResult};
pub use directory::DirectoryDestination;
pub use drill::{DrillReport, drill};
pub use error::BackupError;
pub use key::{BackupKey, KeyError};
pub use location::{BackupLocation, LocationError};
pub use manifest::Manifest;
pub use metrics::BackupMetrics;
pub use priority::{give_way, gives_way};
pub use progress::Progress;
pub use prune::{PruneReport, prune};
pub use repository::{Found, Repository};
pub use restore::{RestoreOptions, Restored, Which, restore};
pub use throttle::Throttle;
pub use verify::{Fault, VerifyReport, verify};
