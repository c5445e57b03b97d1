//! The module `base64`: bytes as text of 64 letters, and back.

use std::fmt;

use allocative::Allocative;
use data_encoding::{BASE64, BASE64URL, Encoding};
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::data::Data;
use super::fs::arguments::{Content, PathArg};
use crate::outcome::{try_method, with_try};

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("base64", |builder| with_try(builder, functions));
}

/// What is to be encoded or decoded.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Base64(#[allocative(skip)] Data);
starlark_simple_value!(Base64);

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.path() {
            Some(path) => write!(f, "base64.file({path:?})"),
            None => f.write_str("<base64.source>"),
        }
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "base64.source")]
impl<'v> StarlarkValue<'v> for Base64 {
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

/// Line ends do not count, and the last characters may be missing, as many programs write it.
fn decode(encoding: &Encoding, text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    while !text.len().is_multiple_of(4) && text.len() % 4 != 1 {
        text.push(b'=');
    }
    encoding
        .decode(&text)
        .map_err(|error| anyhow::anyhow!("decode: this is no base64: {error}"))
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The data in base64.
    fn encode<'v>(this: &Base64, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(BASE64.encode(&this.0.bytes(eval, "file")?))
    }

    /// The data in base64 with `-` and `_`, for URLs and names of files.
    fn encode_url<'v>(this: &Base64, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(BASE64URL.encode(&this.0.bytes(eval, "file")?))
    }

    /// The bytes that the data is the base64 of.
    fn decode<'v>(this: &Base64, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<u8>> {
        decode(&BASE64, &this.0.bytes(eval, "file")?)
    }

    /// The bytes that the data is the base64 of, with `-` and `_`.
    fn decode_url<'v>(this: &Base64, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<u8>> {
        decode(&BASE64URL, &this.0.bytes(eval, "file")?)
    }
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The data is a string.
    fn text(#[starlark(require = pos)] s: &str) -> anyhow::Result<Base64> {
        Ok(Base64(Data::given(s.as_bytes().to_vec())))
    }

    /// The data is bytes.
    fn bytes(#[starlark(require = pos)] data: Content) -> anyhow::Result<Base64> {
        Ok(Base64(Data::given(data.0)))
    }

    /// The data is in a file.
    fn file(#[starlark(require = pos)] path: PathArg) -> anyhow::Result<Base64> {
        Ok(Base64(Data::File(path.0)))
    }
}
