//! What the documentation says that a user of the client writes, with this crate as the only dependency.

mod windhover {
    pub(crate) use windhover_tokio::*;
}
#[path = "../../client/tests/alone/programs.rs"]
mod programs;

use std::time::Duration;

use windhover::connect;

#[tokio::test]
async fn one_dependency_is_enough() {
    let client = connect(programs::builder()).unwrap().with_timeout(Duration::from_millis(1));
    for outcome in [
        programs::cache(&client).await,
        programs::meta(&client).await,
        programs::queue(&client).await,
    ] {
        // Nobody answers within a millisecond at names that are none.
        assert_ne!(programs::advice(&outcome.unwrap_err()), "look at the value");
    }
}
