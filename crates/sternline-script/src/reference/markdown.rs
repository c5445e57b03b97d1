//! The page itself.

use std::fmt::Write as _;

use starlark::docs::{DocFunction, DocItem, DocMember, DocModule, DocParam, DocString, FmtParam};

use super::types::KnownType;
use crate::dialect::assert_word;

const HEAD: &str = "\
# Starlark reference

What scripts find from the start: modules, functions, and the values that these return. This page is made of what stands in the
code: `STERNLINE_WRITE=1 cargo test -p sternline-script --test reference` writes it anew, and a test compares it.

Each function of a module, and each method unless it says otherwise, has a form whose name begins with `try_`. It takes the same,
never fails, and returns a `Result`: `.ok`, and `.value` or `.error`.
";

/// Longer signatures have a line for each parameter.
const MAX_SIGNATURE: usize = 90;

pub(super) fn page(known: &DocModule, language: &DocModule, types: &[KnownType]) -> String {
    let mut page = HEAD.to_owned();
    let is_own =
        |name: &str| name != assert_word::ALIAS && language.members.get(name) != known.members.get(name);
    let mut modules: Vec<(&str, &DocModule)> = Vec::new();
    let mut own: Vec<(&str, &DocItem)> = Vec::new();
    for (name, item) in &known.members {
        match item {
            DocItem::Module(module) if is_own(name) => modules.push((name, module)),
            DocItem::Module(_) => {}
            item if is_own(name) => own.push((name, item)),
            _ => {}
        }
    }
    modules.sort_unstable_by_key(|(name, _)| *name);
    own.sort_unstable_by_key(|(name, _)| *name);
    contents(&mut page, &modules, types);
    functions(&mut page, &own, &modules);
    the_language(&mut page, language);
    for (name, module) in &modules {
        section(&mut page, name, module);
    }
    page.push_str("\n## Values\n");
    for known in types {
        value(&mut page, known);
    }
    page
}

fn contents(page: &mut String, modules: &[(&str, &DocModule)], types: &[KnownType]) {
    let link = |name: &str| format!("[`{name}`](#{})", name.replace(['.', ' '], ""));
    let modules: Vec<String> = modules.iter().map(|(name, _)| link(name)).collect();
    let types: Vec<String> = types.iter().map(|known| link(&known.name)).collect();
    let _ = write!(
        page,
        "\nModules: {}.\n\nValues: {}.\n",
        modules.join(", "),
        types.join(", ")
    );
}

/// The functions that belong to no module. Of those that a module has too, the name of that one is told.
fn functions(page: &mut String, own: &[(&str, &DocItem)], modules: &[(&str, &DocModule)]) {
    let mut also = Vec::new();
    page.push_str("\n## Without a module\n");
    for (name, item) in own {
        let same = modules.iter().find_map(|(module, docs)| {
            let (member, _) = docs.members.iter().find(|(member, docs)| {
                *docs == *item && (member == name || name.ends_with(&format!("_{member}")))
            })?;
            Some(format!("{module}.{member}"))
        });
        match same {
            Some(same) => also.push(format!("`{name}` is `{same}`")),
            None => member(page, name, item),
        }
    }
    if !also.is_empty() {
        let _ = write!(
            page,
            "\nSome functions of modules are there without them: {}.\n",
            also.join(", ")
        );
    }
}

fn the_language(page: &mut String, language: &DocModule) {
    let names: Vec<String> = language.members.keys().map(|name| format!("`{name}`")).collect();
    let _ = write!(
        page,
        "\nThe language's own are as its [specification](https://github.com/bazelbuild/starlark/blob/master/spec.md) says: {}.\n",
        names.join(", ")
    );
}

fn section(page: &mut String, name: &str, module: &DocModule) {
    let _ = write!(page, "\n## {name}\n");
    docs(page, module.docs.as_ref());
    let mut members: Vec<(&String, &DocItem)> = module.members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (own, item) in members {
        if own != assert_word::ALIAS && !own.starts_with("try_") {
            member(page, &format!("{name}.{own}"), item);
        }
    }
}

fn value(page: &mut String, known: &KnownType) {
    let _ = write!(page, "\n### {}\n", known.name);
    docs(page, known.docs.docs.as_ref());
    if !known.has_try {
        page.push_str("\nIts methods have no `try_` form.\n");
    }
    let described = |field: &str| known.docs.members.get(field).is_some();
    let mut fields = known
        .fields
        .iter()
        .filter(|(field, _)| !described(field))
        .peekable();
    if fields.peek().is_some() {
        page.push('\n');
    }
    for (field, what) in fields {
        let _ = writeln!(page, "- `.{field}`: {what}");
    }
    let mut members: Vec<(&String, &DocMember)> = known.docs.members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, item) in members {
        match item {
            DocMember::Function(docs) => function(page, &format!(".{name}"), docs),
            DocMember::Property(property) => {
                let _ = write!(page, "\n#### `.{name}`: {}\n", property.typ);
                docs(page, property.docs.as_ref());
            }
        }
    }
}

fn member(page: &mut String, name: &str, item: &DocItem) {
    match item {
        DocItem::Member(DocMember::Function(docs)) => function(page, name, docs),
        DocItem::Member(DocMember::Property(property)) => {
            let _ = write!(page, "\n#### `{name}`: {}\n", property.typ);
            docs(page, property.docs.as_ref());
        }
        DocItem::Type(kind) => {
            match &kind.constructor {
                Some(constructor) => function(page, name, constructor),
                None => {
                    let _ = write!(page, "\n#### `{name}`\n");
                    docs(page, kind.docs.as_ref());
                }
            };
        }
        DocItem::Module(module) => section(page, name, module),
    }
}

fn function(page: &mut String, name: &str, function: &DocFunction) {
    let short = name
        .rsplit_once('.')
        .filter(|(module, _)| module.is_empty())
        .map_or(name, |(_, short)| short);
    let _ = write!(
        page,
        "\n#### `{name}`\n\n```python\n{}\n```\n",
        signature(short, function)
    );
    docs(page, function.docs.as_ref());
    let described: Vec<(String, &DocParam)> = parameters(function)
        .into_iter()
        .filter(|(_, parameter)| parameter.docs.is_some())
        .collect();
    if !described.is_empty() {
        page.push('\n');
    }
    for (name, parameter) in described {
        let text = parameter.docs.as_ref().map(whole).unwrap_or_default();
        let _ = writeln!(page, "- `{name}`: {}", text.replace('\n', "\n  "));
    }
    if let Some(returns) = &function.ret.docs {
        let _ = write!(page, "\nReturns: {}\n", whole(returns));
    }
}

fn signature(name: &str, function: &DocFunction) -> String {
    let parameters: Vec<String> = function
        .params
        .fmt_params()
        .map(|parameter| shown(&parameter))
        .collect();
    let returns = match function.ret.typ.to_string() {
        any if any == "typing.Any" => String::new(),
        kind => format!(" -> {kind}"),
    };
    let line = format!("{name}({}){returns}", parameters.join(", "));
    match line.len() {
        0..=MAX_SIGNATURE => line,
        _ => format!("{name}(\n    {},\n){returns}", parameters.join(",\n    ")),
    }
}

fn shown(parameter: &FmtParam<&DocParam>) -> String {
    match parameter {
        FmtParam::Regular(parameter) => {
            let default = parameter.default_value.as_ref();
            let default = default.map(|default| match default.as_str() {
                // So the crate writes what is not there, and not what stands for it.
                "..." => " = ...".to_owned(),
                default => format!(" = {default}"),
            });
            format!(
                "{}{}{}",
                parameter.name,
                kind(parameter),
                default.unwrap_or_default()
            )
        }
        FmtParam::Args(parameter) => format!("*{}{}", parameter.name, kind(parameter)),
        FmtParam::Kwargs(parameter) => format!("**{}{}", parameter.name, kind(parameter)),
        FmtParam::Slash => "/".to_owned(),
        FmtParam::Star => "*".to_owned(),
    }
}

fn kind(parameter: &DocParam) -> String {
    match parameter.typ.to_string() {
        any if any == "typing.Any" => String::new(),
        kind => format!(": {kind}"),
    }
}

fn parameters(function: &DocFunction) -> Vec<(String, &DocParam)> {
    let params = &function.params;
    let plain = |parameter: &'_ DocParam| parameter.name.clone();
    let mut all: Vec<(String, &DocParam)> = Vec::new();
    all.extend(
        params
            .pos_only
            .iter()
            .map(|parameter| (plain(parameter), parameter)),
    );
    all.extend(
        params
            .pos_or_named
            .iter()
            .map(|parameter| (plain(parameter), parameter)),
    );
    all.extend(
        params
            .args
            .iter()
            .map(|parameter| (format!("*{}", parameter.name), parameter)),
    );
    all.extend(
        params
            .named_only
            .iter()
            .map(|parameter| (plain(parameter), parameter)),
    );
    all.extend(
        params
            .kwargs
            .iter()
            .map(|parameter| (format!("**{}", parameter.name), parameter)),
    );
    all
}

fn docs(page: &mut String, docs: Option<&DocString>) {
    if let Some(docs) = docs {
        let _ = write!(page, "\n{}\n", whole(docs));
    }
}

fn whole(docs: &DocString) -> String {
    let parts = [Some(&docs.summary), docs.details.as_ref(), docs.examples.as_ref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(|part| part.trim()).collect();
    listed(&parts.join("\n\n"))
}

/// What is said of arguments, as a list: in the code it stands below `Args:`, each with its name and indented.
fn listed(text: &str) -> String {
    let mut lines = Vec::new();
    let mut is_list = false;
    for line in text.lines() {
        let entry = line.strip_prefix("  ").and_then(|entry| entry.split_once(": "));
        let entry = entry.filter(|(name, _)| is_list && !name.starts_with(' '));
        match (line, entry) {
            ("Args:", _) => is_list = true,
            ("", _) => {
                is_list = false;
                lines.push(String::new());
            }
            (_, Some((name, what))) => {
                let names: Vec<String> = name.split(", ").map(|name| format!("`{name}`")).collect();
                lines.push(format!("- {}: {what}", names.join(", ")));
            }
            (line, None) if is_list => lines.push(format!("  {}", line.trim_start())),
            (line, None) => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}
