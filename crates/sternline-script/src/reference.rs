//! What there is for scripts, as documentation: for people, and for whoever looks at a script without running it.

use starlark::docs::DocType;

use crate::ssh;

/// A type of values that scripts get from functions.
pub(crate) struct KnownType {
    /// As `type(value)` gives it.
    pub(crate) name: &'static str,
    /// Its methods.
    pub(crate) docs: DocType,
    /// What it has beside its methods, and what that is.
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(crate) fn types() -> Vec<KnownType> {
    vec![KnownType {
        name: "ssh.client",
        docs: DocType::from_starlark_value::<ssh::Client>(),
        fields: &[("hosts", "The names of its hosts, in their order.")],
    }]
}
