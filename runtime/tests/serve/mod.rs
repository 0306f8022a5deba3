//! What every adapter has to do, over real sockets. Each runs these tests with an `adapter` of its own:
//! `serve` and `drive`, on the thread that calls them, and how many listeners one server of it takes.

mod bounds;
mod ending;
mod exchange;
mod given;
mod http;
pub(crate) mod server;
