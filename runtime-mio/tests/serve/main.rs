//! Endpoints served over real sockets: what every adapter has to do, and what mio has beside it.
#![cfg(unix)]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

#[path = "../adapter/mod.rs"]
mod adapter;
#[path = "../../../core/tests/endpoints/echo.rs"]
mod echo;
mod embedded;
mod loops;
#[path = "../../../core/tests/endpoints/one.rs"]
mod one;
#[path = "../../../runtime/tests/serve/mod.rs"]
mod shared;
