//! Ansible's YAML: inventories, and files of variables.

mod groups;
mod scalar;
mod tree;

pub(super) use groups::{read, read_vars};
