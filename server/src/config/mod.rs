//! The configuration file of `windhover serve`: TOML, with the names of the flags, and a table for each
//! queue that has bounds of its own.
//!
//! What the command line says holds over the environment, which holds over the file. A file with a name
//! in it that nothing has, or a value that cannot be, is refused as a whole, and every fault is told.

mod command_line;
mod fault;
mod file;
mod queues;
mod reload;
mod tokens;

pub use command_line::{CommandLineError, check, check_text, command_line};
pub use fault::{ConfigError, ConfigFault};
pub use file::ConfigFile;
pub use queues::QueueTable;
pub(crate) use queues::engine_config;
pub(crate) use reload::ReloadedConfig;
pub use tokens::TokenTable;
pub(crate) use tokens::token_policy;
