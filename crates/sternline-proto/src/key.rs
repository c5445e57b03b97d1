//! key (being written).
