//! What the documentation says that a user of the client writes, with this crate as the only dependency.

mod windhover {
    pub(crate) use windhover_mio::*;
}
#[path = "../../client/tests/alone/programs.rs"]
mod programs;

use windhover::{block_on, connect};

#[test]
fn one_dependency_is_enough() {
    block_on(programs::run(&connect(programs::builder()).unwrap()));
}
