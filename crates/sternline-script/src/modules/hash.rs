//! The module `hash`: what tells one content from another.

use std::fmt;

use allocative::Allocative;
use data_encoding::HEXLOWER;
use sha2::Digest;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::data::Data;
use super::fs::arguments::{Content, PathArg};
use super::md5::md5;
use crate::outcome::{try_method, with_try};

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("hash", |builder| with_try(builder, functions));
}

/// What is to be hashed.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Hash(#[allocative(skip)] Data);
starlark_simple_value!(Hash);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.path() {
            Some(path) => write!(f, "hash.file({path:?})"),
            None => f.write_str("<hash.source>"),
        }
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "hash.source")]
impl<'v> StarlarkValue<'v> for Hash {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "path" => self.0.path().map(|path| heap.alloc(path)),
            "data" => self.0.known().map(|bytes| heap.alloc(bytes)),
            _ => try_method(heap.alloc(self.clone()), attribute, heap),
        }
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The SHA-256 of the data, in hexadecimal.
    fn sha256<'v>(this: &Hash, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(HEXLOWER.encode(&sha2::Sha256::digest(this.0.bytes(eval, "hash")?)))
    }

    /// The SHA-512 of the data, in hexadecimal.
    fn sha512<'v>(this: &Hash, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(HEXLOWER.encode(&sha2::Sha512::digest(this.0.bytes(eval, "hash")?)))
    }

    /// The MD5 of the data, in hexadecimal: for old lists of checksums only, as SHA-1.
    fn md5<'v>(this: &Hash, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(HEXLOWER.encode(&md5(&this.0.bytes(eval, "hash")?)))
    }

    /// The SHA-1 of the data, in hexadecimal: for old formats only, since anybody can make two contents with the same one.
    fn sha1<'v>(this: &Hash, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(HEXLOWER.encode(&sha1::Sha1::digest(this.0.bytes(eval, "hash")?)))
    }
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The data is a string.
    fn text(#[starlark(require = pos)] s: &str) -> anyhow::Result<Hash> {
        Ok(Hash(Data::given(s.as_bytes().to_vec())))
    }

    /// The data is bytes.
    fn bytes(#[starlark(require = pos)] data: Content) -> anyhow::Result<Hash> {
        Ok(Hash(Data::given(data.0)))
    }

    /// The data is in a file.
    fn file(#[starlark(require = pos)] path: PathArg) -> anyhow::Result<Hash> {
        Ok(Hash(Data::File(path.0)))
    }
}
