//! windhover
