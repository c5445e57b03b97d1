//! Modules as values: those that are there from the start, and files that were loaded.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::docs::{DocItem, DocModule};
use starlark::environment::{Globals, GlobalsBuilder};
use starlark::starlark_complex_value;
use starlark::values::namespace::FrozenNamespace;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, FrozenValue, Heap, NoSerialize, StarlarkPagablePanic,
    StarlarkValue, Trace, Value, ValueLike, starlark_value,
};

use crate::dialect::assert_word;
use crate::error::MODULE;
use crate::outcome::TryFunction;

/// The crate's own module of types, which it finds again by what it is.
const TYPES: &str = "typing";

/// What a module has, by name. Each of its functions has a `try_` form.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct ScriptModuleGen<V> {
    name: String,
    /// In order, so that they are found.
    names: Vec<String>,
    values: Vec<V>,
}
starlark_complex_value!(pub(crate) ScriptModule);

impl<V> ScriptModuleGen<V> {
    pub(crate) fn new(name: &str, mut members: Vec<(String, V)>) -> Self {
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (names, values) = members.into_iter().unzip();
        Self {
            name: name.to_owned(),
            names,
            values,
        }
    }

    fn get(&self, name: &str) -> Option<&V> {
        let at = self
            .names
            .binary_search_by(|known| known.as_str().cmp(name))
            .ok()?;
        self.values.get(at)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &V)> {
        self.names.iter().map(String::as_str).zip(&self.values)
    }
}

impl<V> fmt::Display for ScriptModuleGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<module {:?}>", self.name)
    }
}

impl<'v> Freeze for ScriptModule<'v> {
    type Frozen = FrozenScriptModule;
    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(ScriptModuleGen {
            name: self.name,
            names: self.names,
            values: self.values.freeze(freezer)?,
        })
    }
}

#[starlark_value(type = MODULE)]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for ScriptModuleGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        if let Some(value) = self.get(attribute) {
            return Some(value.to_value());
        }
        let function = self.get(attribute.strip_prefix("try_")?)?.to_value();
        let is_function = function.get_type() == starlark::values::function::FUNCTION_TYPE;
        is_function.then(|| heap.alloc(TryFunction::of(function)))
    }

    fn dir_attr(&self) -> Vec<String> {
        self.names
            .iter()
            .filter(|name| *name != assert_word::ALIAS)
            .cloned()
            .collect()
    }

    fn documentation(&self) -> DocItem {
        let members = self.members().filter(|(name, _)| *name != assert_word::ALIAS);
        let members = members.map(|(name, value)| (name.to_owned(), value.to_value().documentation()));
        DocItem::Module(DocModule {
            docs: None,
            members: members.collect(),
        })
    }
}

/// The same names, with each of the crate's namespaces as a module that knows its name.
pub(crate) fn as_modules(globals: &Globals) -> Globals {
    let mut builder = GlobalsBuilder::new();
    builder.frozen_heap().add_reference(globals.heap());
    for (name, value) in globals.iter() {
        match module_of(name, value) {
            Some(module) => {
                let module = builder.alloc(module);
                builder.set(name, module);
            }
            None => builder.set(name, value),
        }
    }
    builder.build()
}

fn module_of(name: &str, value: FrozenValue) -> Option<FrozenScriptModule> {
    let namespace = value
        .downcast_ref::<FrozenNamespace>()
        .filter(|_| name != TYPES)?;
    let names = value.to_value().dir_attr();
    let members = names.into_iter().filter_map(|name| {
        let member = namespace.get(&name)?;
        Some((name, member))
    });
    Some(ScriptModuleGen::new(name, members.collect()))
}
