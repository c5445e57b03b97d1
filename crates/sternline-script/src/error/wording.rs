//! What the language says when something is wrong, in words that help the author of a script.
//!
//! The crate has types for some of its errors only, so most are told by their text. A text that is not known stays as it is.

use starlark::ErrorKind;

use super::nearest::nearest;
use crate::dialect::assert_word;
use crate::validate::Parameters;

/// What is wrong, and what may help.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Worded {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Worded {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a function takes, found by what is called in the script.
pub(super) type Takes<'f> = &'f dyn Fn(&str) -> Option<Parameters>;

/// An error of the crate's. `code` is the piece of the script that it is about, if that is known.
pub(super) fn reword(kind: &ErrorKind, text: &str, code: Option<&str>, takes: Takes<'_>) -> Worded {
    let text = assert_word::restore(text);
    let code = code.map(assert_word::restore);
    let code = code.as_deref();
    let known = match kind {
        ErrorKind::Parser(_) => Some(syntax(&text)),
        ErrorKind::Scope(_) => unknown_name(&text),
        ErrorKind::StackOverflow(_) => Some(too_deep()),
        ErrorKind::Function(_) => arguments(&text, code, takes),
        ErrorKind::Value(_) => value(&text, code),
        ErrorKind::Internal(_) => None,
        _ => symbol_of_module(&text).or_else(|| value(&text, code)),
    };
    known.unwrap_or_else(|| Worded::new(text))
}

fn too_deep() -> Worded {
    Worded::new("functions call one another too deep")
        .hint("look for a function that calls itself without an end")
}

fn syntax(text: &str) -> Worded {
    let text = text.strip_prefix("Parse error: ").unwrap_or(text);
    let Some(word) = between(text, "cannot use reserved keyword `", "`") else {
        return Worded::new(text);
    };
    let instead = match word {
        assert_word::WORD => {
            return Worded::new("`assert` is a function here, and cannot be a name of the script's own");
        }
        "while" => "write `for _ in range(1000):` with `break`",
        "try" | "except" | "finally" => {
            "call the try_ form of the function, and look at `.ok` and `.error` of what it returns"
        }
        "raise" => "call fail(\"why\")",
        "import" | "from" => "write load(\"./file.star\", \"name\")",
        "class" => "use struct(name = value), or a dict",
        "with" => "use defer(function) for what has to be done at the end",
        "is" => "compare with ==",
        "del" => "use the pop method of the list or dict",
        "global" | "nonlocal" => "change a list or dict in place, or return the value",
        "async" | "await" | "yield" => "calls wait by themselves, and client.exec works on all hosts at once",
        _ => return Worded::new(format!("`{word}` is no word of the language")),
    };
    Worded::new(format!("there is no `{word}` in the language")).hint(instead)
}

fn unknown_name(text: &str) -> Option<Worded> {
    let name = between(text, "Variable `", "` not found")?;
    let suggestion = between(text, "did you mean `", "`").map(|better| format!(" (did you mean {better}?)"));
    Some(Worded::new(format!(
        "undefined: {name}{}",
        suggestion.unwrap_or_default()
    )))
}

/// What `load` asks of a module that does not have it.
fn symbol_of_module(text: &str) -> Option<Worded> {
    if let Some(name) = between(text, "Module has no symbol `", "`") {
        let suggestion =
            between(text, "did you mean `", "`").map(|better| format!(" (did you mean {better}?)"));
        return Some(Worded::new(format!(
            "the file has no {name}{}",
            suggestion.unwrap_or_default()
        )));
    }
    let private = between(text, "Cannot import private symbol `", "`").or_else(|| {
        let is_hidden = text.contains("not exported");
        between(text, "`", "`").filter(|_| is_hidden && text.starts_with("Module symbol"))
    })?;
    let worded = Worded::new(format!("{private} is private to its file"));
    Some(
        worded.hint(
            "only names that the file itself gives a value, and that do not begin with _, can be loaded",
        ),
    )
}

fn value(text: &str, code: Option<&str>) -> Option<Worded> {
    if let Some(unknown) = attribute(text, code) {
        return Some(unknown);
    }
    if let Some(kind) = parameter_type(text, code) {
        return Some(kind);
    }
    let unsupported = between(text, "Operation `", "` not supported ");
    let types = between(text, " not supported for types `", "`").zip(between(text, "` and `", "`"));
    let of_type = between(text, " not supported on type `", "`");
    match (unsupported, types, of_type) {
        (Some("compare"), Some((left, right)), _) => {
            return Some(Worded::new(format!("{left} and {right} have no order")));
        }
        (Some("[]"), Some((left, right)), _) => {
            return Some(Worded::new(format!("{left} cannot be indexed with {right}")));
        }
        (Some("call()"), _, Some(kind)) => {
            return Some(Worded::new(format!(
                "{kind} is no function, and cannot be called"
            )));
        }
        (Some("(iter)"), _, Some("string")) => {
            return Some(
                Worded::new("string cannot be iterated over")
                    .hint("write .elems() for its characters, or .splitlines()"),
            );
        }
        (Some("(iter)"), _, Some(kind)) => {
            return Some(Worded::new(format!("{kind} cannot be iterated over")));
        }
        (Some(operation), Some((left, right)), _) => {
            let worded = Worded::new(format!("{left} {operation} {right} is not possible"));
            let mixes_text = operation == "+" && (left == "string") != (right == "string");
            return Some(if mixes_text {
                worded.hint("write str(x) to make a text of a value")
            } else {
                worded
            });
        }
        (Some(operation), _, Some(kind)) => return Some(Worded::new(format!("{kind} has no {operation}"))),
        _ => {}
    }
    Some(match text {
        "Immutable" => Worded::new("this value cannot be changed: what a file gave a value at its top level stays as it is once the file has loaded")
            .hint("change a copy: list(x) or dict(x); or make the value inside of a function"),
        "This operation mutates an iterable for an iterator while iterating." => {
            Worded::new("this value cannot be changed while a loop goes over it").hint("loop over a copy: list(x)")
        }
        "Cannot divide by zero" => Worded::new("division by zero"),
        _ => {
            if let Some(key) = between(text, "Key `", "` was not found") {
                Worded::new(format!("key {key} not in dict")).hint("write .get(key, default) where it may be missing")
            } else if let Some(index) = between(text, "Index `", "` is out of bound") {
                Worded::new(format!("index {index} is out of range"))
            } else if let Some(kind) = between(text, "Value of type `", "` is not hashable") {
                Worded::new(format!("{kind} cannot be a key of a dict"))
            } else if let Some(name) = between(text, "Local variable `", "` referenced before assignment") {
                Worded::new(format!("{name} is used before it has a value"))
            } else {
                return None;
            }
        }
    })
}

/// A field or method that a value does not have.
fn attribute(text: &str, code: Option<&str>) -> Option<Worded> {
    let (kind, name) = between(text, "Object of type `", "`")
        .zip(between(text, "has no attribute `", "`"))
        .or_else(|| {
            // What `getattr` says.
            let name = between(text, "Operation `.", "` not supported on type")?;
            Some((between(text, " not supported on type `", "`")?, name))
        })?;
    let better = between(text, "did you mean `", "`").map(|better| format!("did you mean .{better}?"));
    if kind != MODULE {
        let better = better.map(|better| format!(" ({better})")).unwrap_or_default();
        return Some(Worded::new(format!(
            "{kind} has no .{name} field or method{better}"
        )));
    }
    let module = code
        .and_then(|code| Some(code.split_once(&format!(".{name}"))?.0))
        .filter(|code| is_path(code))
        .map_or_else(|| MODULE.to_owned(), |module| format!("{MODULE} {module}"));
    let better = better.map(|better| format!("; {better}")).unwrap_or_default();
    let worded = Worded::new(format!(
        "undefined: {name} ({module} has no .{name} field or method{better})"
    ));
    Some(match name.strip_prefix("try_").unwrap_or(name) {
        "test_server" | "test_key" => {
            worded.hint("it is there in tests only: run them with `sternline test`")
        }
        _ => worded,
    })
}

/// The type of a module, as scripts see it.
pub(crate) const MODULE: &str = "module";

fn parameter_type(text: &str, code: Option<&str>) -> Option<Worded> {
    let expected = between(text, ", expected `", "`")?;
    let actual = text.split_once(", actual `")?.1.strip_suffix('`')?;
    let (kind, repr) = actual
        .split_once(" (repr: ")
        .map_or((actual, ""), |(kind, repr)| {
            (kind, repr.strip_suffix(')').unwrap_or(repr))
        });
    let got = match repr {
        "" => kind.to_owned(),
        repr if kind == "NoneType" => repr.to_owned(),
        repr => format!("{repr} ({kind})"),
    };
    let whose = code
        .and_then(callee)
        .map(|callee| format!("{callee}: "))
        .unwrap_or_default();
    let which = between(text, "Type of parameter `", "`").map(|name| format!("parameter {name}"));
    let which = which.unwrap_or_else(|| "an argument".to_owned());
    Some(Worded::new(format!(
        "{whose}{which} must be {expected}, not {got}"
    )))
}

/// Arguments that do not fit the parameters.
fn arguments(text: &str, code: Option<&str>, takes: Takes<'_>) -> Option<Worded> {
    let written = code.and_then(callee);
    let whose = |function: &str| {
        // A function of a script's has its file in front.
        let function = function.rsplit('.').next().unwrap_or(function);
        match written {
            // What stands in the script says more: ssh.config, and not config.
            Some(written) if written.rsplit('.').next() == Some(function) => written.to_owned(),
            _ => function.to_owned(),
        }
    };
    if let Some((names, function)) = text.split_once(" extra named parameter(s) for call to ") {
        let whose = whose(function);
        let known = takes(&whose).unwrap_or_default();
        let names: Vec<&str> = names
            .strip_prefix("Found ")?
            .split(' ')
            .map(|name| name.trim_matches('`'))
            .collect();
        return Some(unknown_parameters(&whose, &names, &known.by_name()));
    }
    if let Some((count, function)) = text.split_once(" extra positional argument(s) for call to ") {
        let whose = whose(function);
        let extra: usize = count.strip_prefix("Found ")?.parse().ok()?;
        let Some(known) = takes(&whose) else {
            return Some(Worded::new(format!(
                "{whose}: {extra} positional arguments too many"
            )));
        };
        let taken = known.positional.len();
        let named = known.named_only.first().map(|parameter| parameter.name.as_str());
        return Some(too_many(&whose, taken + extra, taken, named));
    }
    if let Some(function) = between(text, "` for call to `", "`") {
        let name = between(text, "parameter `", "`")?;
        return Some(missing(
            &whose(function),
            name,
            code.into_iter().flat_map(named_arguments),
        ));
    }
    let whose = written.map(|written| format!("{written}: ")).unwrap_or_default();
    if let Some(name) = between(text, "Argument `", "` occurs more than once") {
        return Some(Worded::new(format!(
            "{whose}argument {name} is given more than once"
        )));
    }
    if let Some((_, numbers)) = text.split_once("Wrong number of positional arguments, expected ") {
        let (expected, got) = numbers.split_once(", got ")?;
        return Some(Worded::new(format!(
            "{whose}takes {expected} positional arguments, got {got}"
        )));
    }
    let problem = match text {
        "The argument provided for *args is not an identifier" => {
            "the keys of what stands behind ** must be strings"
        }
        "The argument provided for *args is not iterable" => "what stands behind * must be a list or tuple",
        "The argument provided for **kwargs is not a dictionary" => "what stands behind ** must be a dict",
        _ => return None,
    };
    Some(Worded::new(format!("{whose}{problem}")))
}

/// Names that are no parameters of a function.
pub(crate) fn unknown_parameters(whose: &str, names: &[&str], known: &[&str]) -> Worded {
    let told: Vec<String> = names
        .iter()
        .map(|name| {
            let better = nearest(name, known.iter().copied());
            let better = better
                .map(|better| format!(" (did you mean \"{better}\"?)"))
                .unwrap_or_default();
            format!("\"{name}\"{better}")
        })
        .collect();
    let noun = if told.len() == 1 {
        "unknown parameter"
    } else {
        "unknown parameters"
    };
    Worded::new(format!("{whose}: {noun} {}", told.join(", ")))
}

/// More arguments by position than a function takes. `named` is one that it takes by name only.
pub(crate) fn too_many(whose: &str, given: usize, taken: usize, named: Option<&str>) -> Worded {
    let most = if taken == 0 {
        "none".to_owned()
    } else {
        format!("at most {taken}")
    };
    let worded = Worded::new(format!(
        "{whose}: unexpected positional argument at index {taken}: {given} given, {most} taken"
    ));
    match named {
        Some(named) => worded.hint(format!("name what it is: {whose}({named} = ...)")),
        None => worded,
    }
}

/// A parameter that must be given, and what names the call has, one of which may mean it.
pub(crate) fn missing<'n>(whose: &str, name: &str, given: impl IntoIterator<Item = &'n str>) -> Worded {
    let misspelt = nearest(name, given);
    let better = misspelt
        .map(|wrong| format!(" (is that what {wrong} means?)"))
        .unwrap_or_default();
    Worded::new(format!("{whose}: missing required argument: {name}{better}"))
}

/// What is called in a piece of code: `client.exec` of `client.exec("uptime")`.
fn callee(code: &str) -> Option<&str> {
    let callee = code.split_once('(')?.0.trim_end();
    is_path(callee).then_some(callee)
}

/// Whether it is a name, or several with dots between them.
fn is_path(code: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    code.split('.').all(is_name)
}

/// The names of arguments in a call, as far as they can be told without parsing it.
fn named_arguments(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices('=').filter_map(|(at, _)| {
        let before = code.get(..at)?.trim_end();
        let name = before
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .next()?;
        let opens = before.strip_suffix(name)?.trim_end();
        (!name.is_empty() && opens.ends_with(['(', ','])).then_some(name)
    })
}

/// What stands between two texts.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}

#[cfg(test)]
mod tests;
