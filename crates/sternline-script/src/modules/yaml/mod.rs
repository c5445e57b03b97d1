//! The module `yaml`.

mod decode;
mod encode;
mod scalar;

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::none::NoneType;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Trace,
    Value, ValueLike, starlark_value,
};
use starlark::{starlark_complex_value, starlark_module, starlark_simple_value};

use super::fs::arguments::PathArg;
use super::fs::content::{file_text, replace};
use crate::data::{Data, from_data, to_data};
use crate::outcome::{try_method, with_try};

pub(crate) use decode::{YamlError, decode as read_document};

/// Adds the module `yaml`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("yaml", |builder| with_try(builder, functions));
}

fn documents<'v>(text: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    let documents = decode::decode_all(text).map_err(|error| anyhow::anyhow!("yaml.decode_all: {error}"))?;
    from_data(&Data::Array(documents), heap)
}

fn document<'v>(text: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    let document = decode::decode(text).map_err(|error| anyhow::anyhow!("yaml.decode: {error}"))?;
    from_data(&document, heap)
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Writes a value as one document of YAML. Fields stay in their order.
    ///
    /// Structs and the results of `ssh` become mappings, tuples and sets become lists.
    ///
    /// Fails for functions, and for numbers that are not finite.
    fn encode<'v>(value: Value<'v>, heap: Heap<'v>) -> anyhow::Result<String> {
        let data = to_data(value, heap).map_err(|error| anyhow::anyhow!("yaml.encode: {error}"))?;
        Ok(encode::encode(&data))
    }

    /// Reads the one document of a text of YAML 1.2, in which `yes` and `on` are texts and 0644 is 644.
    ///
    /// Fails when the text holds several documents, and for tags other than YAML's own.
    fn decode<'v>(text: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        document(text, heap)
    }

    /// Reads all documents of a text, as a list.
    fn decode_all<'v>(text: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        documents(text, heap)
    }

    /// A file of YAML, which is read by `.decode()` or `.decode_all()`.
    fn file(path: PathArg) -> anyhow::Result<YamlFile> {
        Ok(YamlFile { path: path.0 })
    }

    /// A value to be written: by `.encode()` as a text, by `.write_file(path)` into a file.
    fn source<'v>(data: Value<'v>) -> anyhow::Result<YamlWriter<'v>> {
        Ok(YamlWriterGen { data })
    }
}

/// A file of YAML.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct YamlFile {
    path: String,
}
starlark_simple_value!(YamlFile);

impl fmt::Display for YamlFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "yaml.file({:?})", self.path)
    }
}

starlark::methods_static!(FILE_METHODS = file_methods);

#[starlark_value(type = "yaml.file")]
impl<'v> StarlarkValue<'v> for YamlFile {
    fn get_methods() -> Option<&'static Methods> {
        Some(FILE_METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "path" => Some(heap.alloc(self.path.as_str())),
            _ => try_method(heap.alloc(self.clone()), attribute, heap),
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        ["path", "try_decode", "try_decode_all"]
            .map(str::to_owned)
            .to_vec()
    }
}

#[starlark_module]
fn file_methods(builder: &mut MethodsBuilder) {
    /// Reads the file, which holds one document.
    fn decode<'v>(this: &YamlFile, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let text = file_text(eval, "file", &this.path)?;
        document(&text, eval.heap())
    }

    /// Reads all documents of the file, as a list.
    fn decode_all<'v>(this: &YamlFile, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let text = file_text(eval, "file", &this.path)?;
        documents(&text, eval.heap())
    }
}

/// A value to be written as YAML.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct YamlWriterGen<V> {
    data: V,
}
starlark_complex_value!(pub(crate) YamlWriter);

impl<V> fmt::Display for YamlWriterGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<yaml.writer>")
    }
}

impl<'v> Freeze for YamlWriter<'v> {
    type Frozen = FrozenYamlWriter;
    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(YamlWriterGen {
            data: self.data.freeze(freezer)?,
        })
    }
}

impl<'v> YamlWriter<'v> {
    /// A list of mappings becomes a document each, everything else one document.
    fn text(&self, heap: Heap<'v>) -> anyhow::Result<String> {
        Ok(match to_data(self.data, heap)? {
            Data::Array(items) if !items.is_empty() && items.iter().all(Data::is_object) => {
                encode::encode_all(&items)
            }
            data => encode::encode(&data),
        })
    }
}

starlark::methods_static!(WRITER_METHODS = writer_methods);

#[starlark_value(type = "yaml.writer")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for YamlWriterGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn get_methods() -> Option<&'static Methods> {
        Some(WRITER_METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "data" => Some(self.data.to_value()),
            _ => try_method(
                heap.alloc(YamlWriterGen {
                    data: self.data.to_value(),
                }),
                attribute,
                heap,
            ),
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        ["data", "try_encode", "try_write_file"]
            .map(str::to_owned)
            .to_vec()
    }
}

#[starlark_module]
fn writer_methods(builder: &mut MethodsBuilder) {
    /// The value as a text of YAML. A list of dicts becomes several documents; `yaml.encode` writes it as a list.
    fn encode<'v>(this: &YamlWriter<'v>, heap: Heap<'v>) -> anyhow::Result<String> {
        this.text(heap)
    }

    /// Writes the value into a file, as `encode` would; what was in it is replaced. Does nothing in a dry run.
    fn write_file<'v>(
        this: &YamlWriter<'v>,
        path: PathArg,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let text = this.text(eval.heap())?;
        replace(eval, "write_file", &path.0, text.into_bytes(), None)?;
        Ok(NoneType)
    }
}
