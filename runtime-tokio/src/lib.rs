//! windhover-tokio
