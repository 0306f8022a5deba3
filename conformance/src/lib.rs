//! windhover-conformance
