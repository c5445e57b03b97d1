//! The module `csv`: tables in files.

mod text;

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::fs::arguments::PathArg;
use super::fs::content::{file_text, replace};
use crate::outcome::{try_method, with_try};
use text::{Format, parse, write};

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("csv", |builder| with_try(builder, functions));
}

/// A file with a table in it.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct CsvFile(String);
starlark_simple_value!(CsvFile);

impl fmt::Display for CsvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "csv.file({:?})", self.0)
    }
}

starlark::methods_static!(FILE = file_methods);

#[starlark_value(type = "csv.file")]
impl<'v> StarlarkValue<'v> for CsvFile {
    fn get_methods() -> Option<&'static Methods> {
        Some(FILE.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        try_method(heap.alloc(self.clone()), attribute, heap)
    }
}

/// A table that is to be written.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct CsvWriter(#[allocative(skip)] Arc<Vec<Row>>);
starlark_simple_value!(CsvWriter);

#[derive(Debug)]
enum Row {
    Cells(Vec<String>),
    Named(Vec<(String, String)>),
}

impl fmt::Display for CsvWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<csv.writer of {} rows>", self.0.len())
    }
}

starlark::methods_static!(WRITER = writer_methods);

#[starlark_value(type = "csv.writer")]
impl<'v> StarlarkValue<'v> for CsvWriter {
    fn get_methods() -> Option<&'static Methods> {
        Some(WRITER.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        try_method(heap.alloc(self.clone()), attribute, heap)
    }
}

fn row(value: Value<'_>) -> anyhow::Result<Row> {
    let cell = |value: &Value<'_>| {
        if value.is_none() {
            String::new()
        } else {
            value.to_str()
        }
    };
    if let Some(list) = ListRef::from_value(value) {
        Ok(Row::Cells(list.content().iter().map(cell).collect()))
    } else if let Some(tuple) = TupleRef::from_value(value) {
        Ok(Row::Cells(tuple.content().iter().map(cell).collect()))
    } else if let Some(dict) = DictRef::from_value(value) {
        Ok(Row::Named(
            dict.iter()
                .map(|(key, value)| (key.to_str(), cell(&value)))
                .collect(),
        ))
    } else {
        anyhow::bail!(
            "csv.source: a row is a list or a dict, and this is a value of type {}",
            value.get_type()
        )
    }
}

/// The rows as lists. Dicts are put under the headers, or under the keys of the first one, which then come first.
fn table(rows: &[Row], headers: Option<Vec<String>>) -> anyhow::Result<Vec<Vec<String>>> {
    let headers = headers.or_else(|| match rows.first() {
        Some(Row::Named(fields)) => Some(fields.iter().map(|(name, _)| name.clone()).collect()),
        _ => None,
    });
    let mut out: Vec<Vec<String>> = headers.iter().cloned().collect();
    for row in rows {
        match (row, &headers) {
            (Row::Cells(cells), _) => out.push(cells.clone()),
            (Row::Named(fields), Some(headers)) => {
                let value = |header: &String| fields.iter().find(|(name, _)| name == header);
                out.push(
                    headers
                        .iter()
                        .map(|header| value(header).map(|(_, cell)| cell.clone()).unwrap_or_default())
                        .collect(),
                );
            }
            (Row::Named(_), None) => {
                anyhow::bail!(
                    "csv: the first row is a list and a later one is a dict: give the names of the columns as headers=[...]"
                )
            }
        }
    }
    Ok(out)
}

/// One character that is no line end and no quote.
fn one_char(what: &str, text: &str) -> anyhow::Result<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !matches!(c, '"' | '\n' | '\r') => Ok(c),
        _ => anyhow::bail!("csv: {what} is one character, and not {text:?}"),
    }
}

#[starlark_module]
fn file_methods(builder: &mut MethodsBuilder) {
    /// The path of the file.
    #[starlark(attribute)]
    fn path(this: &CsvFile) -> anyhow::Result<String> {
        Ok(this.0.clone())
    }

    /// The rows of the file, each a list of strings. With `header=True` the first one has the names of the columns, and the others are
    /// dicts. `sep` stands between fields, lines that begin with `comment` are left out, and so are the first `skip` rows.
    fn read<'v>(
        this: &CsvFile,
        #[starlark(default = ",")] sep: &str,
        #[starlark(default = "")] comment: &str,
        #[starlark(default = 0)] skip: u32,
        #[starlark(default = false)] header: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let format = Format {
            separator: one_char("sep", sep)?,
            comment: if comment.is_empty() {
                None
            } else {
                Some(one_char("comment", comment)?)
            },
        };
        let text = file_text(eval, "file", &this.0)?;
        let rows = parse(&text, format).map_err(|error| anyhow::anyhow!("csv: {:?}, {error}", this.0))?;
        let mut rows = rows.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        let heap = eval.heap();
        if !header {
            return Ok(heap.alloc(rows.collect::<Vec<_>>()));
        }
        let names = rows.next().unwrap_or_default();
        let mut dicts = Vec::new();
        for (index, row) in rows.enumerate() {
            if row.len() != names.len() {
                let (row, of) = (row.len(), names.len());
                anyhow::bail!(
                    "csv: {:?}: row {} has {row} fields, and there are {of} columns",
                    this.0,
                    index + 1
                );
            }
            dicts.push(heap.alloc(AllocDict(names.iter().map(String::as_str).zip(row))));
        }
        Ok(heap.alloc(dicts))
    }
}

#[starlark_module]
fn writer_methods(builder: &mut MethodsBuilder) {
    /// Writes the rows to a file, in place of what is there. `headers` come first; with rows that are dicts, they say which fields are
    /// written, and the default is those of the first row. Does nothing in a dry run.
    fn write_file<'v>(
        this: &CsvWriter,
        path: PathArg,
        #[starlark(default = ",")] sep: &str,
        #[starlark(default = NoneOr::None)] headers: NoneOr<UnpackList<String>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let headers = headers.into_option().map(|headers| headers.items);
        let text = write(&table(&this.0, headers)?, one_char("sep", sep)?);
        replace(eval, "write_file", &path.0, text.into_bytes(), None)?;
        Ok(NoneType)
    }
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// A file to read rows from.
    fn file(#[starlark(require = pos)] path: PathArg) -> anyhow::Result<CsvFile> {
        Ok(CsvFile(path.0))
    }

    /// Rows to write: a list of lists or of dicts.
    fn source<'v>(#[starlark(require = pos)] data: UnpackList<Value<'v>>) -> anyhow::Result<CsvWriter> {
        let rows = data.items.into_iter().map(row).collect::<anyhow::Result<_>>()?;
        Ok(CsvWriter(Arc::new(rows)))
    }
}
