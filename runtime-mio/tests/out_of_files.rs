//! A process that has no file descriptor left; a process of its own.
#![cfg(unix)]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "other tests use all of it")]
mod adapter;
#[path = "../../runtime/tests/serve/out_of_files.rs"]
mod out_of_files;
