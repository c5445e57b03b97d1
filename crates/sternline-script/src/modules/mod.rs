//! What scripts find without loading it.

pub(crate) mod arguments;
pub(crate) mod base64;
pub(crate) mod concur;
pub(crate) mod core;
pub(crate) mod csv;
mod data;
pub(crate) mod fmt;
pub(crate) mod fs;
pub(crate) mod hash;
pub(crate) mod inventory;
pub(crate) mod json;
pub(crate) mod log;
mod md5;
pub(crate) mod module;
pub(crate) mod os;
pub(crate) mod regexp;
pub(crate) mod retry;
mod runtime;
mod strings;
pub(crate) mod table;
pub(crate) mod test;
pub(crate) mod time;
mod uuid;
pub(crate) mod vars;
pub(crate) mod yaml;

use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension};

use crate::session::Session;
use crate::{outcome, ssh};

/// What the language itself has.
pub(crate) const LANGUAGE: &[LibraryExtension] = &[
    LibraryExtension::StructType,
    LibraryExtension::Map,
    LibraryExtension::Filter,
    LibraryExtension::Partial,
    LibraryExtension::Typing,
    LibraryExtension::SetType,
];

/// All names that a script of this session knows from the start.
pub(crate) fn globals(session: &Session) -> Globals {
    known(session.test_mode())
}

/// All names that a script knows from the start. Test servers and keys are there in test mode only.
pub(crate) fn known(test_mode: bool) -> Globals {
    let mut builder = GlobalsBuilder::extended_by(LANGUAGE);
    arguments::register(&mut builder);
    core::register(&mut builder);
    fmt::register(&mut builder);
    fs::register(&mut builder);
    os::register(&mut builder);
    base64::register(&mut builder);
    csv::register(&mut builder);
    hash::register(&mut builder);
    regexp::register(&mut builder);
    runtime::register(&mut builder);
    strings::register(&mut builder);
    uuid::register(&mut builder);
    outcome::register(&mut builder);
    concur::register(&mut builder);
    inventory::register(&mut builder);
    json::register(&mut builder);
    log::register(&mut builder);
    retry::register(&mut builder);
    table::register(&mut builder);
    time::register(&mut builder);
    vars::register(&mut builder);
    yaml::register(&mut builder);
    ssh::register(&mut builder, test_mode);
    test::register(&mut builder);
    module::as_modules(&builder.build())
}
