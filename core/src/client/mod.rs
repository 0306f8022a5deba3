//! The client role.

pub mod ring;
