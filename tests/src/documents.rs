//! The programs in the documents, compiled as documentation tests; `tests/tests/readme.rs` runs the commands.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide.md")]
mod guide {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guests.md")]
mod guests {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/sandbox.md")]
mod sandbox {}
