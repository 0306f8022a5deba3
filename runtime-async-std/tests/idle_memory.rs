//! What an idle connection costs; a process of its own, for its memory is measured.
#![cfg(target_os = "linux")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "other tests use all of it")]
mod adapter;
#[path = "../../runtime/tests/serve/idle_memory.rs"]
mod idle_memory;
#[path = "../../core/tests/endpoints/one.rs"]
mod one;
