//! The module `table`: rows in columns.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneType;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::proto::text::escape_again;
use unicode_width::UnicodeWidthStr as _;

use crate::context::Context;
use crate::outcome::with_try;

/// Adds the module `table`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("table", |builder| with_try(builder, functions));
}

/// A table: its headers, and the rows that were added. Attributes: `headers`, `rows` and `row_count`.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Table(#[allocative(skip)] Arc<Inner>);
starlark_simple_value!(Table);

#[derive(Debug)]
struct Inner {
    headers: Vec<String>,
    rows: Mutex<Vec<Vec<String>>>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<table columns={} rows={}>",
            self.0.headers.len(),
            self.rows().len()
        )
    }
}

impl Table {
    fn rows(&self) -> MutexGuard<'_, Vec<Vec<String>>> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn render(&self) -> String {
        let rows = self.rows();
        let mut widths: Vec<usize> = self.0.headers.iter().map(|header| header.width()).collect();
        for row in rows.iter() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut out = line(&self.0.headers, &widths);
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        out.push_str(&rules.join("-+-"));
        out.push('\n');
        for row in rows.iter() {
            out.push_str(&line(row, &widths));
        }
        out
    }
}

/// The cells of a row, each as wide as its column.
fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let blanks = width.saturating_sub(cell.width());
        format!("{cell}{:blanks$}", "")
    });
    let line = padded.collect::<Vec<_>>().join(" | ");
    format!("{}\n", line.trim_end())
}

/// A cell as it is shown: in one line, without anything that a terminal obeys.
fn cell(value: Value<'_>) -> String {
    escape_again(&value.to_str())
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// A table with these headers.
    fn new<'v>(headers: UnpackListOrTuple<Value<'v>>) -> anyhow::Result<Table> {
        if headers.items.is_empty() {
            anyhow::bail!("table.new: a table has at least one column; name it in headers=[...]");
        }
        let headers = headers.items.into_iter().map(cell).collect();
        Ok(Table(Arc::new(Inner {
            headers,
            rows: Mutex::default(),
        })))
    }

    /// Prints a table on standard output.
    fn print<'v>(table: &'v Table, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Context::of(eval)?.session.out(&table.render())?;
        Ok(NoneType)
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "table")]
impl<'v> StarlarkValue<'v> for Table {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn length(&self) -> starlark::Result<i32> {
        Ok(i32::try_from(self.rows().len()).unwrap_or(i32::MAX))
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        Some(match attribute {
            "headers" => heap.alloc(self.0.headers.clone()),
            "rows" => heap.alloc(self.rows().clone()),
            "row_count" => heap.alloc(i64::try_from(self.rows().len()).unwrap_or(i64::MAX)),
            _ => return None,
        })
    }

    fn dir_attr(&self) -> Vec<String> {
        ["headers", "row_count", "rows"].map(str::to_owned).to_vec()
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Adds a row: a cell for each column, of any type. Cells that are missing at the end stay empty.
    fn add_row<'v>(
        this: &Table,
        #[starlark(args)] cells: UnpackTuple<Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        let mut row: Vec<String> = cells.items.into_iter().map(cell).collect();
        let columns = this.0.headers.len();
        if row.len() > columns {
            anyhow::bail!(
                "add_row: {} cells, and the table has {columns} columns",
                row.len()
            );
        }
        row.resize(columns, String::new());
        this.rows().push(row);
        Ok(NoneType)
    }

    /// The table as a text: the headers, a line, and the rows.
    fn render(this: &Table) -> anyhow::Result<String> {
        Ok(this.render())
    }

    /// Prints the table on standard output.
    fn print<'v>(this: &Table, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Context::of(eval)?.session.out(&this.render())?;
        Ok(NoneType)
    }
}

#[cfg(test)]
mod tests {
    use crate::scratch::{fails, prints};

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let script = r#"
t = table.new(["HOST", "CODE", "NOTE"])
t.add_row("web-1", 0, "fine")
t.add_row("日本", None)
t.add_row("x", True, "two\nlines \x1b[31m C:\\x")
table.print(t)
t.print()
print(t.row_count, len(t), t.headers, type(t))
print(table.new(("a",)).render() + ".", table.try_new([]).ok)
"#;
        let table = concat!(
            "HOST  | CODE | NOTE\n",
            "------+------+-------------------------\n",
            "web-1 | 0    | fine\n",
            "日本  | None |\n",
            "x     | True | two\\nlines \\x1b[31m C:\\x\n",
        );
        assert_eq!(
            prints(script),
            format!("{table}{table}3 3 [\"HOST\", \"CODE\", \"NOTE\"] table\na\n-\n. False\n")
        );
    }

    #[test]
    fn a_row_has_no_more_cells_than_there_are_columns() {
        let error = fails("table.new([\"a\"]).add_row(1, 2)");
        assert_eq!(error, "add_row: 2 cells, and the table has 1 columns");
    }
}
