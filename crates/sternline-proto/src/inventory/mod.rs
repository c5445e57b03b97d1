//! Inventories: which hosts there are, in which groups, and how each is reached.
//!
//! [`Inventory`] is filled from any number of files, in [our TOML](toml) or in Ansible's INI or YAML, and is asked for hosts by
//! [`select`]. Ansible's files mean what they mean to Ansible, down to the precedence of variables; what we cannot know without
//! running somebody's code (templates, encrypted values, plugins) is an error where it matters and is kept as it is where it
//! does not. Every value keeps the place it came from.
//!
//! Nothing is read here: the caller hands over the text of the files.

mod detect;
mod error;
mod finish;
mod ini;
mod literal;
mod model;
mod range;
mod select;
mod ssh;
mod ssh_args;
pub mod toml;
mod value;
mod vars;
mod words;
mod yaml;

pub use detect::{Format, detect};
pub(crate) use error::nearest;
pub use error::{InventoryError, Problem};
pub use model::{GroupId, HostId, Inventory, VarsFile};
pub use select::{ReadList, Selected, Selection, SelectionError, select, select_with_lists, split_terms};
pub use ssh::SshSettings;
pub use value::{Value, Vars};
