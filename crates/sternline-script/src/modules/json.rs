//! The module `json`.

use std::fmt;

use allocative::Allocative;
use serde::Serialize as _;
use serde_json::ser::PrettyFormatter;
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

/// Adds the module `json`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("json", |builder| with_try(builder, functions));
}

/// Reads JSON.
pub(crate) fn decode_text<'v>(text: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    let data: Data = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| anyhow::anyhow!("json.decode: this is no JSON: {error}"))?;
    from_data(&data, heap)
}

/// Writes JSON: on one line, unless there is something to indent by.
fn encode_text(mut data: Data, indent: &str, prefix: &str, sort_keys: bool) -> anyhow::Result<String> {
    if sort_keys {
        data.sort_all_objects();
    }
    if indent.is_empty() && prefix.is_empty() {
        return Ok(data.to_string());
    }
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    data.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    let text = String::from_utf8(bytes)?;
    // Line ends stand between values only: those in texts are written as \n.
    Ok(text.replace('\n', &format!("\n{prefix}")))
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Writes a value as JSON.
    ///
    /// Structs and the results of `ssh` become objects, tuples and sets become lists. Keys are sorted, so that the same
    /// value always gives the same text.
    ///
    /// Args:
    ///   value: None, truth values, numbers, texts, lists, dicts, structs, and results.
    ///   indent: what each level is indented by. Default: everything stands on one line.
    ///   prefix: what each line but the first begins with.
    ///   sort_keys: False leaves the fields in their order.
    ///
    /// Fails for functions, and for numbers that are not finite.
    fn encode<'v>(
        value: Value<'v>,
        #[starlark(require = named, default = "")] indent: &str,
        #[starlark(require = named, default = "")] prefix: &str,
        #[starlark(require = named, default = true)] sort_keys: bool,
        heap: Heap<'v>,
    ) -> anyhow::Result<String> {
        let data = to_data(value, heap).map_err(|error| anyhow::anyhow!("json.encode: {error}"))?;
        encode_text(data, indent, prefix, sort_keys)
    }

    /// Reads JSON. Whole numbers stay whole, and fields stay in their order.
    fn decode<'v>(text: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        decode_text(text, heap)
    }

    /// A file of JSON, which is read by `.decode()`.
    fn file(path: PathArg) -> anyhow::Result<JsonFile> {
        Ok(JsonFile { path: path.0 })
    }

    /// A value to be written: by `.encode()` as a text, by `.write_file(path)` into a file.
    fn source<'v>(data: Value<'v>) -> anyhow::Result<JsonWriter<'v>> {
        Ok(JsonWriterGen { data })
    }
}

/// A file of JSON.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct JsonFile {
    path: String,
}
starlark_simple_value!(JsonFile);

impl fmt::Display for JsonFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "json.file({:?})", self.path)
    }
}

starlark::methods_static!(FILE_METHODS = file_methods);

#[starlark_value(type = "json.file")]
impl<'v> StarlarkValue<'v> for JsonFile {
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
        ["path", "try_decode"].map(str::to_owned).to_vec()
    }
}

#[starlark_module]
fn file_methods(builder: &mut MethodsBuilder) {
    /// Reads the file.
    fn decode<'v>(this: &JsonFile, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let text = file_text(eval, "file", &this.path)?;
        decode_text(&text, eval.heap())
    }
}

/// A value to be written as JSON.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct JsonWriterGen<V> {
    data: V,
}
starlark_complex_value!(pub(crate) JsonWriter);

impl<V> fmt::Display for JsonWriterGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<json.writer>")
    }
}

impl<'v> Freeze for JsonWriter<'v> {
    type Frozen = FrozenJsonWriter;
    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(JsonWriterGen {
            data: self.data.freeze(freezer)?,
        })
    }
}

starlark::methods_static!(WRITER_METHODS = writer_methods);

#[starlark_value(type = "json.writer")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for JsonWriterGen<V>
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
                heap.alloc(JsonWriterGen {
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
    /// The value as a text of JSON, with sorted keys.
    ///
    /// Args:
    ///   indent: what each level is indented by. Default: everything stands on one line.
    ///   prefix: what each line but the first begins with.
    ///   sort_keys: False leaves the fields in their order.
    fn encode<'v>(
        this: &JsonWriter<'v>,
        #[starlark(default = "")] indent: &str,
        #[starlark(default = "")] prefix: &str,
        #[starlark(require = named, default = true)] sort_keys: bool,
        heap: Heap<'v>,
    ) -> anyhow::Result<String> {
        encode_text(to_data(this.data, heap)?, indent, prefix, sort_keys)
    }

    /// Writes the value into a file, as `encode` would; what was in it is replaced. Does nothing in a dry run.
    fn write_file<'v>(
        this: &JsonWriter<'v>,
        path: PathArg,
        #[starlark(default = "")] indent: &str,
        #[starlark(default = "")] prefix: &str,
        #[starlark(require = named, default = true)] sort_keys: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let mut text = encode_text(to_data(this.data, eval.heap())?, indent, prefix, sort_keys)?;
        text.push('\n');
        replace(eval, "write_file", &path.0, text.into_bytes(), None)?;
        Ok(NoneType)
    }
}

#[cfg(test)]
mod tests {
    use crate::scratch::{fails, prints, run_in};

    #[test]
    fn values_become_json_and_come_back() {
        let script = r#"
print(json.encode({"b": [1, 2.5, None, True], "a": ("x", struct(n = 1)), 3: set([1])}))
print(json.encode({"b": 1, "a": "<&>"}, sort_keys = False), json.encode(Result(False, error = "e")), json.encode("é\n"))
print(json.decode('{"z": 1, "a": [42, 4.0, 1e3, 123456789012345678901234567890]}'), type(json.decode("42")))
print(json.encode([1, {"a": {}}], indent = "  ", prefix = "> "))
print(json.source({"a": 1}).encode(indent = " "), json.source([1]).data, json.file("x.json").path, json.file("x.json"))
print(json.encode(time.duration("90s")), json.encode(time.parse("date", "2026-03-11")), json.encode(range(3)))
"#;
        assert_eq!(
            prints(script),
            concat!(
                "{\"3\":[1],\"a\":[\"x\",{\"n\":1}],\"b\":[1,2.5,null,true]}\n",
                "{\"b\":1,\"a\":\"<&>\"} {\"error\":\"e\",\"ok\":false,\"value\":null} \"é\\n\"\n",
                "{\"z\": 1, \"a\": [42, 4.0, 1000.0, 123456789012345678901234567890]} int\n",
                "[\n>   1,\n>   {\n>     \"a\": {}\n>   }\n> ]\n",
                "{\n \"a\": 1\n} [1] x.json json.file(\"x.json\")\n",
                "\"1m30s\" \"2026-03-11T00:00:00Z\" [0,1,2]\n",
            )
        );
    }

    #[test]
    fn what_is_no_data_and_what_is_no_json_are_errors() {
        for (script, part) in [
            (
                "json.encode(len)",
                "json.encode: a value of the type function cannot be written as data",
            ),
            ("json.encode([float(\"nan\")])", "json.encode: NaN is no number"),
            ("json.encode({(1,): 2})", "a key of the type tuple"),
            ("x = []\nx.append(x)\njson.encode(x)", "contains itself"),
            ("json.decode(\"{\")", "json.decode: this is no JSON: "),
            ("json.decode(\"1e999\")", "too large"),
            ("json.decode(\"[\" * 1000)", "recursion limit"),
        ] {
            let error = fails(script);
            assert!(error.contains(part), "{script}: {error}");
        }
        assert_eq!(
            prints("print(json.try_decode(\"{\").ok, json.try_file(\"x\").ok)"),
            "False True\n"
        );
    }

    #[test]
    fn files_are_read_and_written_where_the_script_is() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"
json.source({"b": 1, "a": [1]}).write_file(fs.path("x.json"), indent = "  ")
print(json.file(path("x.json")).decode())
r = json.file("none.json").try_decode()
print(r.ok, r.error)
yaml.source([{"a": 1}, {"a": 2}]).write_file("x.yaml")
print(yaml.file("x.yaml").decode_all(), yaml.file("x.yaml").try_decode().error)
yaml.source({"a": "yes", "l": [1, "x"]}).write_file("y.yaml")
print(yaml.file("y.yaml").decode(), yaml.source([1]).encode(), yaml.encode([{"a": 1}]), yaml.decode("a: [1, 0x10, yes]"))
"#;
        let ran = run_in(folder.path(), &[], script, |builder| builder);
        if let Err(error) = ran.ended {
            panic!("{error}");
        }
        assert_eq!(
            ran.out,
            concat!(
                "{\"a\": [1], \"b\": 1}\n",
                "False open none.json: no such file or directory\n",
                "[{\"a\": 1}, {\"a\": 2}] yaml.decode: line 2: a second document begins here; read all of them with decode_all\n",
                "{\"a\": \"yes\", \"l\": [1, \"x\"]} - 1\n - a: 1\n {\"a\": [1, 16, \"yes\"]}\n",
            )
        );
        let text = std::fs::read_to_string(folder.path().join("x.json")).unwrap();
        assert_eq!(text, "{\n  \"a\": [\n    1\n  ],\n  \"b\": 1\n}\n");
        let ran = run_in(
            folder.path(),
            &[],
            "json.source(1).write_file(\"dry.json\")",
            |builder| builder.dry_run(true),
        );
        assert!(ran.ended.is_ok() && !folder.path().join("dry.json").exists());
    }
}
