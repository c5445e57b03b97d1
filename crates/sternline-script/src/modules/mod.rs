//! What scripts find without loading it.

pub(crate) mod core;

use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension};

use crate::session::Session;
use crate::{outcome, ssh};

/// All names that a script of this session knows from the start.
pub(crate) fn globals(session: &Session) -> Globals {
    let mut builder = GlobalsBuilder::extended_by(&[
        LibraryExtension::StructType,
        LibraryExtension::Map,
        LibraryExtension::Filter,
        LibraryExtension::Partial,
        LibraryExtension::Typing,
        LibraryExtension::SetType,
        LibraryExtension::Print,
    ]);
    core::register(&mut builder);
    outcome::register(&mut builder);
    ssh::register(&mut builder, session.test_mode());
    builder.build()
}
