//! What the documentation says that a user of the client writes, with this crate as the only dependency.

mod windhover {
    pub(crate) use windhover_async_std::*;
}
#[path = "../../client/tests/alone/programs.rs"]
mod programs;

use windhover::connect;

#[async_std::test]
async fn one_dependency_is_enough() {
    programs::run(&connect(programs::builder()).unwrap()).await;
}
