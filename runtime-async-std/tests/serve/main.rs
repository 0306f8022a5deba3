//! Endpoints served over real sockets.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

mod bounds;
#[path = "../../../core/tests/endpoints/echo.rs"]
mod echo;
mod ending;
mod exchange;
mod http;
#[path = "../../../core/tests/endpoints/one.rs"]
mod one;
mod server;
