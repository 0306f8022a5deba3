//! What every adapter has to do, over real sockets. Each runs these tests with an `adapter` of its own:
//! `serve` and `drive`, on the thread that calls them, and how many listeners a server has in most tests.

mod bounds;
mod doors;
mod ending;
mod exchange;
mod given;
mod http;
mod memory;
pub(crate) mod server;
mod tls;
