//! A program without a runtime asks memcache servers, and waits for each answer on its own thread.
//!
//! ```text
//! cargo run -p windhover-client --example blocking_client -- 127.0.0.1:11211 greeting hello
//! ```
//!
//! [`adapter`] is the client's half of `docs/adapter.md`.

mod adapter;

use std::error::Error;

use windhover_client::{Client, block_on};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, key, value] = arguments.as_slice() else {
        return Err("usage: blocking_client SERVER KEY VALUE".into());
    };
    let client = adapter::connect(Client::builder().server(server))?;
    block_on(client.set(key, value.clone()))?;
    match block_on(client.get(key))? {
        Some(value) => println!("{}", value.data.escape_ascii()),
        None => println!("not there any more"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
