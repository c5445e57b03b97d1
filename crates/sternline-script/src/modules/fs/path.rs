//! `fs.path`: a path as a value.

use std::fmt;
use std::hash::Hash;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Heap, StarlarkPagablePanic, StarlarkValue, Value, ValueLike, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::arguments::{PathArg, text_of};
use super::{content, entry, lexical, look};
use crate::context::Context;
use crate::outcome::try_method;

/// A path. `/` joins it with a name: `path("/etc") / "hosts"`. It is true when it is not empty.
#[derive(
    Debug, Clone, PartialEq, Eq, ProvidesStaticType, StarlarkPagablePanic, Allocative, serde::Serialize,
)]
#[serde(transparent)]
pub(crate) struct PathValue(String);
starlark_simple_value!(PathValue);

impl PathValue {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path({:?})", self.0)
    }
}

starlark::methods_static!(METHODS = all_methods);

fn all_methods(builder: &mut MethodsBuilder) {
    parts(builder);
    look::methods(builder);
    content::methods(builder);
    entry::methods(builder);
}

#[starlark_value(type = "fs.path")]
impl<'v> StarlarkValue<'v> for PathValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        try_method(heap.alloc(self.clone()), attribute, heap)
    }

    fn to_bool(&self) -> bool {
        !self.0.is_empty()
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash(hasher);
        Ok(())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Self>() == Some(self))
    }

    fn compare(&self, other: Value<'v>) -> starlark::Result<std::cmp::Ordering> {
        match other.downcast_ref::<Self>() {
            Some(other) => Ok(self.0.cmp(&other.0)),
            None => starlark::values::ValueError::unsupported_with(self, "compare", other),
        }
    }

    fn div(&self, other: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        match text_of(other) {
            Some(other) => Ok(heap.alloc(Self(lexical::join(&self.0, &other)))),
            None => starlark::values::ValueError::unsupported_with(self, "/", other),
        }
    }
}

#[starlark_module]
fn parts(builder: &mut MethodsBuilder) {
    /// The last part: `report.md` of `/home/alice/report.md`.
    #[starlark(attribute)]
    fn name(this: &PathValue) -> anyhow::Result<String> {
        Ok(lexical::name(&this.0).to_owned())
    }

    /// The path without its last part.
    #[starlark(attribute)]
    fn parent(this: &PathValue) -> anyhow::Result<PathValue> {
        Ok(PathValue(lexical::parent(&this.0)))
    }

    /// The name before its last dot: `report` of `report.md`.
    #[starlark(attribute)]
    fn stem(this: &PathValue) -> anyhow::Result<String> {
        Ok(lexical::stem_and_suffix(&this.0).0.to_owned())
    }

    /// The name from its last dot: `.md` of `report.md`, or an empty string.
    #[starlark(attribute)]
    fn suffix(this: &PathValue) -> anyhow::Result<String> {
        Ok(lexical::stem_and_suffix(&this.0).1.to_owned())
    }

    /// The path as a string, as it was written.
    #[starlark(attribute)]
    fn string(this: &PathValue) -> anyhow::Result<String> {
        Ok(this.0.clone())
    }

    /// The parts, the root among them: `["/", "home", "alice"]`.
    #[starlark(attribute)]
    fn parts(this: &PathValue) -> anyhow::Result<Vec<String>> {
        Ok(lexical::parts(&this.0))
    }

    /// The path with more parts behind it.
    fn join(this: &PathValue, #[starlark(args)] others: UnpackTuple<PathArg>) -> anyhow::Result<PathValue> {
        let others = others.items.iter();
        Ok(PathValue(others.fold(this.0.clone(), |path, other| {
            lexical::join(&path, &other.0)
        })))
    }

    /// The path with another last part.
    fn with_name(this: &PathValue, name: &str) -> anyhow::Result<PathValue> {
        if name.is_empty() || name.contains('/') {
            anyhow::bail!("with_name: {name:?} is no name");
        }
        Ok(PathValue(lexical::join(&lexical::parent(&this.0), name)))
    }

    /// The path with another suffix: `with_suffix(".txt")`. An empty one takes it away.
    fn with_suffix(this: &PathValue, suffix: &str) -> anyhow::Result<PathValue> {
        if suffix.contains('/') || (!suffix.is_empty() && !suffix.starts_with('.')) {
            anyhow::bail!("with_suffix: {suffix:?} is no suffix: write it with its dot, such as \".txt\"");
        }
        let (stem, _) = lexical::stem_and_suffix(&this.0);
        if stem.is_empty() {
            anyhow::bail!("with_suffix: {this} has no name");
        }
        Ok(PathValue(lexical::join(
            &lexical::parent(&this.0),
            &format!("{stem}{suffix}"),
        )))
    }

    /// The shortest form: without `.`, and without `..` where it can be done without. Links are not looked at.
    fn clean(this: &PathValue) -> anyhow::Result<PathValue> {
        Ok(PathValue(lexical::clean(&this.0)))
    }

    /// Whether it begins at the root.
    fn is_absolute(this: &PathValue) -> anyhow::Result<bool> {
        Ok(this.0.starts_with('/'))
    }

    /// Whether it is in a directory, by their texts.
    fn is_relative_to(this: &PathValue, directory: PathArg) -> anyhow::Result<bool> {
        Ok(lexical::relative_to(&this.0, &directory.0).is_some())
    }

    /// What leads from a directory to this path. An error if it is not in the directory.
    fn relative_to(this: &PathValue, directory: PathArg) -> anyhow::Result<PathValue> {
        lexical::relative_to(&this.0, &directory.0)
            .map(PathValue)
            .ok_or_else(|| anyhow::anyhow!("relative_to: {this} is not in {:?}", directory.0))
    }

    /// Whether a pattern is the path, or its end where the pattern does not begin with a slash: `path("a/b.md").match("*.md")`.
    fn r#match(this: &PathValue, pattern: &str) -> anyhow::Result<bool> {
        lexical::matches(&this.0, pattern)
            .map_err(|error| anyhow::anyhow!("match: the pattern {pattern:?} has {error}"))
    }

    /// The path with `~` at its begin replaced by the home directory.
    fn expanduser<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<PathValue> {
        let is_home = this.0 == "~" || this.0.starts_with("~/");
        if !is_home {
            return Ok(this.clone());
        }
        let session = &Context::of(eval)?.session;
        Ok(PathValue(session.path(&this.0).to_string_lossy().into_owned()))
    }

    /// The absolute path without links, as far as it exists.
    fn resolve<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<PathValue> {
        let session = &Context::of(eval)?.session;
        let path = session.permit_path(crate::permissions::Access::Read, "resolve", &this.0)?;
        Ok(PathValue(
            crate::permissions::resolve(&path).to_string_lossy().into_owned(),
        ))
    }
}
