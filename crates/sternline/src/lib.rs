//! An SSH automation engine.
