//! What stands before the listeners: the budget for what connections hold, TLS, users, Unix sockets, host
//! names, and SIGHUP.
#![allow(clippy::panic, clippy::expect_used)]

mod certificate;
mod matrix;
mod memory;

mod ready;
mod users;
