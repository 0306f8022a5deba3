//! `windhover cache`: a [`windhover_cache::Cache`] as a process.

mod args;
mod run;

pub use self::args::CacheArgs;
pub use self::run::run;
