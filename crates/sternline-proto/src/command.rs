//! command (being written).
