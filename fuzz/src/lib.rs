//! What must hold of windhover's protocols for every input, written once: as functions over plain
//! bytes that panic where it does not hold.
//!
//! A [`Target`] is a property with the shape of its inputs. The corpora under `corpus/` and the
//! finds of old under `regressions/` are replayed by `cargo test`; `fuzz/fuzzcheck` drives the same
//! targets guided by coverage; proptest draws from the same generators.
//!
//! - [`Source`] turns bytes into choices, so that one generator serves a corpus, proptest and a
//!   seed alike;
//! - [`generate`] has the generators: commands, pipelines, replies, HTTP requests, events;
//! - [`mutate`] changes an input, by bytes, by tokens of its protocol or by its structure;
//! - [`property`] has the properties, [`reference`](mod@reference) the simple and slow decoders and models that
//!   they compare with.
//!
//! A property has nobody to report an error to but the run that called it: what does not hold is a
//! panic that says what was expected and what was seen.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a property says that it does not hold"
)]
#![allow(
    clippy::format_push_string,
    clippy::struct_excessive_bools,
    reason = "what is compared with is to be simple, not fast; a driver has a switch for each choice"
)]

pub mod corpus;
pub mod generate;
pub mod minimise;
pub mod mutate;
pub mod peer;
pub mod property;
pub mod reference;
mod script;
mod source;
mod target;

pub use script::Script;
pub use source::Source;
pub use target::{Shape, TARGETS, Target, find, target};
