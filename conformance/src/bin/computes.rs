//! A client that has won the computation of a key, and never ends: to be killed.
//!
//! usage: computes ADDRESS KEY

use std::future::pending;
use std::time::Duration;

use windhover_client::{Client, Error, Recompute, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(key)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: computes ADDRESS KEY");
        return Ok(());
    };
    let client = windhover_tokio::connect(Client::builder().server(&address))?;
    let recompute = Recompute::after(Duration::from_secs(60)).lease(Duration::from_secs(2));
    let computes = || {
        println!("computes");
        pending::<Result<Store, Error>>()
    };
    client.get_or_compute(key, recompute, computes).await.map(drop)
}
