//! The tracking API.
