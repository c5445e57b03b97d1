//! A file of a test server, as a script sees it.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::{
    Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, ValueError, ValueLike, starlark_value,
};
use sternline_server::VirtualFile;

/// One file at one moment: `path`, `name`, `content`, `content_bytes` and `mode`, as attributes and by index.
#[derive(Debug, Clone, PartialEq, Eq, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct ServedFile {
    path: String,
    content: Vec<u8>,
    mode: u32,
}
starlark_simple_value!(ServedFile);

impl ServedFile {
    const ATTRIBUTES: [&str; 5] = ["content", "content_bytes", "mode", "name", "path"];

    pub(super) fn new(path: &str, file: &VirtualFile) -> Self {
        Self {
            path: path.to_owned(),
            content: file.content.to_vec(),
            mode: file.mode,
        }
    }

    fn attribute<'v>(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        Some(match name {
            "path" => heap.alloc(self.path.as_str()),
            "name" => heap.alloc(self.path.rsplit('/').next().unwrap_or_default()),
            "content" => heap.alloc(&*String::from_utf8_lossy(&self.content)),
            "content_bytes" => heap.alloc(self.content.clone()),
            "mode" => heap.alloc(mode_text(self.mode)),
            _ => return None,
        })
    }
}

/// A mode as scripts write it: `0644`.
fn mode_text(mode: u32) -> String {
    format!("{mode:04o}")
}

impl fmt::Display for ServedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = String::from_utf8_lossy(&self.content);
        write!(
            f,
            "SSHFile(content = {content:?}, mode = {:?}, path = {:?})",
            mode_text(self.mode),
            self.path
        )
    }
}

#[starlark_value(type = "SSHFile")]
impl<'v> StarlarkValue<'v> for ServedFile {
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        self.attribute(attribute, heap)
    }

    fn dir_attr(&self) -> Vec<String> {
        Self::ATTRIBUTES.map(str::to_owned).to_vec()
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let found = index.unpack_str().and_then(|name| self.attribute(name, heap));
        found.ok_or_else(|| ValueError::KeyNotFound(index.to_repr()).into())
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other
            .unpack_str()
            .is_some_and(|name| Self::ATTRIBUTES.contains(&name)))
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Self>() == Some(self))
    }
}
