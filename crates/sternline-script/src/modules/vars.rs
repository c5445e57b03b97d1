//! The module `vars`: variables that a run is given from outside, with the types that the script asks for.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;

use crate::context::Context;
use crate::data::{Data, from_data};
use crate::outcome::with_try;

/// Adds the module `vars`, and its functions as names of their own.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    functions(builder);
    builder.namespace("vars", |builder| with_try(builder, functions));
}

/// The types that variables can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Str,
    Int,
    Bool,
    Float,
    List,
    Dict,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::List => "list",
            Self::Dict => "dict",
        }
    }

    /// A value of that type, if it can be one.
    fn convert(self, data: &Data) -> Option<Data> {
        let text = data.as_str().map(str::trim);
        Some(match (self, data) {
            (Self::Str, Data::String(_)) | (Self::Bool, Data::Bool(_)) => data.clone(),
            (Self::Str, Data::Null) => "".into(),
            (Self::Str, _) => data.to_string().into(),
            (Self::List, Data::Array(_)) | (Self::Dict, Data::Object(_)) => data.clone(),
            (Self::List | Self::Dict, _) => {
                let data: Data = serde_json::from_str(text?).ok()?;
                let fits = if self == Self::List {
                    data.is_array()
                } else {
                    data.is_object()
                };
                return fits.then_some(data);
            }
            (Self::Bool, _) => Data::Bool(truth(text?)?),
            (Self::Int, Data::Number(number)) => whole(&number.to_string())?,
            (Self::Int, _) => whole(text?)?,
            (Self::Float, Data::Number(number)) => float(&number.to_string())?,
            (Self::Float, _) => float(text?)?,
        })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number, also when it is written as 3.0.
fn whole(text: &str) -> Option<Data> {
    let digits = match text.split_once('.') {
        Some((whole, fraction)) if fraction.chars().all(|c| c == '0') => whole,
        _ => text,
    };
    digits.parse::<i64>().ok().map(Data::from)
}

fn float(text: &str) -> Option<Data> {
    let float: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(float).map(Data::Number)
}

/// What a variable is, or what the script has for the case that there is none.
fn look_up<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    kind: Kind,
    name: &str,
    default: Option<Value<'v>>,
) -> anyhow::Result<Value<'v>> {
    let session = &Context::of(eval)?.session;
    let heap = eval.heap();
    let Some(data) = session.variables().get(name) else {
        return Ok(default.unwrap_or_else(|| match kind {
            Kind::Str => heap.alloc(""),
            Kind::Int => heap.alloc(0),
            Kind::Bool => Value::new_bool(false),
            Kind::Float => heap.alloc(0.0),
            Kind::List => heap.alloc(Vec::<Value<'v>>::new()),
            Kind::Dict => heap.alloc(starlark::values::dict::AllocDict::EMPTY),
        }));
    };
    let converted = kind.convert(data).ok_or_else(|| {
        let shown = match data {
            Data::String(text) => format!("{text:?}"),
            data => data.to_string(),
        };
        let hint = match kind {
            Kind::List => "; write it as JSON, such as [\"a\", \"b\"]",
            Kind::Dict => "; write it as JSON, such as {\"a\": 1}",
            _ => "",
        };
        let kind = kind.name();
        anyhow::anyhow!("var_{kind}: cannot convert {shown} to {kind} for variable {name:?}{hint}")
    })?;
    from_data(&converted, heap)
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// A variable as a text, which every variable can be. Lists and dicts come out as JSON.
    ///
    /// Args:
    ///   name: its name; what lies in a mapping has a dot in its name, such as "ssh.user".
    ///   default: what is returned where there is no such variable.
    fn var_str<'v>(
        name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        look_up(eval, Kind::Str, name, default)
    }

    /// A variable as a whole number. Fails when it is none.
    ///
    /// Args:
    ///   name: as for `var_str`.
    ///   default: as for `var_str`. Default: 0.
    fn var_int<'v>(
        name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        look_up(eval, Kind::Int, name, default)
    }

    /// A variable as a truth value: true, yes, on and 1, or false, no, off and 0. Fails when it is none.
    ///
    /// Args:
    ///   name: as for `var_str`.
    ///   default: as for `var_str`. Default: False.
    fn var_bool<'v>(
        name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        look_up(eval, Kind::Bool, name, default)
    }

    /// A variable as a number. Fails when it is none.
    ///
    /// Args:
    ///   name: as for `var_str`.
    ///   default: as for `var_str`. Default: 0.0.
    fn var_float<'v>(
        name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        look_up(eval, Kind::Float, name, default)
    }

    /// A variable as a list; a text may be a list in JSON. Fails when it is none.
    ///
    /// Args:
    ///   name: as for `var_str`.
    ///   default: as for `var_str`. Default: an empty list.
    fn var_list<'v>(
        name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        look_up(eval, Kind::List, name, default)
    }

    /// A variable as a dict; a text may be an object in JSON. Fails when it is none.
    ///
    /// Args:
    ///   name: as for `var_str`.
    ///   default: as for `var_str`. Default: an empty dict.
    fn var_dict<'v>(
        name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        look_up(eval, Kind::Dict, name, default)
    }

    /// The names of all variables, sorted.
    fn var_names<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<String>> {
        Ok(Context::of(eval)?.session.variables().names())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::scratch::{prints, run_in};
    use crate::variables::{Layer, Variables};

    fn run_with(script: &str) -> Result<String, String> {
        let file = "n: 3\nf: 1.5\nb: true\nt: x\nl: [1, a]\nd: {k: v}\nnone: null\nwhole: 2.0\nyes: 'yes'\nj: '[1]'\n";
        let variables = Variables::from_layers([], [Layer::from_file("v", file).unwrap()]);
        let ran = run_in(Path::new("/"), &[], script, |builder| {
            builder.variables(variables)
        });
        ran.ended
            .map(|_| ran.out)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn variables_have_the_type_that_is_asked_for() {
        let script = r#"
print(var_str("n"), var_str("b"), var_str("l"), repr(var_str("none")), var_str("d.k"))
print(var_int("n"), var_int("whole"), var_float("n"), var_float("f"), var_bool("b"), var_bool("yes"), var_bool("n", True) == None)
"#;
        assert_eq!(
            run_with(script).unwrap_err(),
            "var_bool: cannot convert 3 to bool for variable \"n\""
        );
        let script = r#"
print(var_str("n"), var_str("b"), var_str("l"), repr(var_str("none")), var_str("d.k"))
print(var_int("n"), var_int("whole"), var_float("n"), var_float("f"), var_bool("b"), var_bool("yes"))
print(var_list("l"), var_list("j"), var_dict("d"), vars.var_str("t"), vars.try_var_int("t").ok)
print(len(var_names()), var_names()[:3])
"#;
        assert_eq!(
            run_with(script).unwrap(),
            "3 true [1,\"a\"] \"\" v\n3 2 3.0 1.5 True True\n[1, \"a\"] [1] {\"k\": \"v\"} x False\n11 [\"b\", \"d\", \"d.k\"]\n"
        );
    }

    #[test]
    fn what_is_not_set_is_its_default() {
        let script = r#"
print(repr(var_str("x")), var_int("x"), var_bool("x"), var_float("x"), var_list("x"), var_dict("x"), var_names())
print(var_str("x", "d"), var_int("x", default = 5), var_list("x", [1]), var_str("x", None))
"#;
        assert_eq!(prints(script), "\"\" 0 False 0.0 [] {} []\nd 5 [1] None\n");
    }

    #[test]
    fn what_cannot_be_converted_is_an_error() {
        for (script, message) in [
            (
                "var_int(\"t\")",
                "var_int: cannot convert \"x\" to int for variable \"t\"",
            ),
            (
                "var_int(\"f\")",
                "var_int: cannot convert 1.5 to int for variable \"f\"",
            ),
            (
                "var_float(\"t\")",
                "var_float: cannot convert \"x\" to float for variable \"t\"",
            ),
            (
                "var_list(\"t\")",
                "var_list: cannot convert \"x\" to list for variable \"t\"; write it as JSON, such as [\"a\", \"b\"]",
            ),
            (
                "var_dict(\"l\")",
                "var_dict: cannot convert [1,\"a\"] to dict for variable \"l\"; write it as JSON, such as {\"a\": 1}",
            ),
        ] {
            assert_eq!(run_with(script).unwrap_err(), message);
        }
    }
}
