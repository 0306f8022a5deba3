//! What the documentation says that a user of the client writes, with this crate as the only dependency.

mod windhover {
    pub(crate) use windhover_tokio::*;
}
#[path = "../../client/tests/alone/programs.rs"]
mod programs;

use windhover::connect;

#[tokio::test]
async fn one_dependency_is_enough() {
    programs::run(&connect(programs::builder()).unwrap()).await;
}
