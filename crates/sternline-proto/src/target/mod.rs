//! Where to connect: `user@host:port`, IPv6 literals, `ssh://` URLs, and lists of hosts such as `a,web-[01-20]`.

mod address;
mod error;
mod fold;
mod list;
mod name;
mod range;

pub use address::Target;
pub use error::{NamePart, TargetError};
pub use fold::{Folded, fold};
pub use list::{MAX_TARGETS, TargetList, parse_targets};
pub use name::{check_host, check_user};
pub(crate) use range::expand as expand_range;
