//! What a call of a client allocates on tokio.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

#[path = "../../client/tests/adapters/allocations.rs"]
mod shared;

use tokio::runtime::Builder;
use windhover_tokio::{Client, connect};

#[test]
fn a_call_allocates_no_more_than_its_value() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let builder = Client::builder().server(&shared::server());
    let client = runtime.block_on(async { connect(builder) }).unwrap();
    shared::check(&client, |calls| runtime.block_on(calls));
}
