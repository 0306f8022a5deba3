//! The typed client against servers whose words the test says: no socket, no thread, no runtime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builder;
mod classic;
mod compute;
mod errors;
mod large;
mod many;
mod replies;
mod script;
mod servers;
mod update;
mod values;
