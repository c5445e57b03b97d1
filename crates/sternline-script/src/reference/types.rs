//! The values that scripts get from functions.

use starlark::docs::DocType;
use starlark::values::StarlarkValue;

use crate::ssh;

/// A type of values.
pub(crate) struct KnownType {
    /// As `type(value)` gives it.
    pub(crate) name: String,
    /// Its methods.
    pub(crate) docs: DocType,
    /// What it has beside its methods, and what that is.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// Whether each of its methods has a `try_` form.
    pub(crate) has_try: bool,
}

fn known<T: StarlarkValue<'static>>(fields: &'static [(&'static str, &'static str)]) -> KnownType {
    let name = T::TYPE.to_owned();
    KnownType {
        name,
        docs: DocType::from_starlark_value::<T>(),
        fields,
        has_try: true,
    }
}

impl KnownType {
    #[allow(dead_code, reason = "no type is so yet")]
    fn without_try(mut self) -> Self {
        self.has_try = false;
        self
    }
}

/// All of them, as far as they are described.
pub(crate) fn types() -> Vec<KnownType> {
    vec![known::<ssh::Client>(&[(
        "hosts",
        "The names of its hosts, in their order.",
    )])]
}
