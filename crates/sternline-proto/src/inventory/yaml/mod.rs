//! Ansible's YAML: inventories, and files of variables.

mod groups;
mod scalar;
mod tree;

pub(super) use groups::{is_vault, read, read_vars};
