//! What `help` says of a value.

use starlark::docs::{DocFunction, DocItem, DocMember, DocParam, DocString};
use starlark::values::{Heap, Value};

/// What is known of a value: its kind, what its documentation says, and its members in a line or two each.
pub(super) fn help<'v>(value: Value<'v>, heap: Heap<'v>) -> String {
    let item = value.documentation();
    if let DocItem::Member(DocMember::Function(function)) = &item {
        let name = value.to_str();
        let name = value.function_name().unwrap_or(&name);
        return with_docs(signature(name, function), function.docs.as_ref());
    }
    let mut names = value.dir_attr();
    names.retain(|name| !name.starts_with("try_"));
    names.sort_unstable();
    let lines = names.iter().map(|name| match value.get_attr(name, heap) {
        Ok(Some(member)) => format!("\n  {}", line(name, &member.documentation())),
        _ => format!("\n  {name}"),
    });
    let lines: String = lines.collect();
    let heading = with_docs(value.get_type().to_owned(), item.get_doc_string());
    if lines.is_empty() {
        heading
    } else {
        format!("{heading}\n{lines}")
    }
}

/// A function as it is called: `exec(cmd, *, sudo=False)`.
fn signature(name: &str, function: &DocFunction) -> String {
    let parameters = &function.params;
    let given = |parameter: &DocParam| match &parameter.default_value {
        Some(default) => format!("{}={default}", parameter.name),
        None => parameter.name.clone(),
    };
    let mut shown: Vec<String> = parameters.pos_only.iter().map(given).collect();
    if !shown.is_empty() && !parameters.pos_or_named.is_empty() {
        shown.push("/".to_owned());
    }
    shown.extend(parameters.pos_or_named.iter().map(given));
    match &parameters.args {
        Some(args) => shown.push(format!("*{}", args.name)),
        None if !parameters.named_only.is_empty() => shown.push("*".to_owned()),
        None => {}
    }
    shown.extend(parameters.named_only.iter().map(given));
    shown.extend(
        parameters
            .kwargs
            .iter()
            .map(|kwargs| format!("**{}", kwargs.name)),
    );
    format!("{name}({})", shown.join(", "))
}

fn with_docs(heading: String, docs: Option<&DocString>) -> String {
    let Some(docs) = docs else { return heading };
    let details = docs.details.iter().map(|details| format!("\n\n{details}"));
    let examples = docs
        .examples
        .iter()
        .map(|examples| format!("\n\nExamples:\n{examples}"));
    let more: String = details.chain(examples).collect();
    format!("{heading}\n\n{}{more}", docs.summary)
}

/// One member, with the first line of what is said of it.
fn line(name: &str, item: &DocItem) -> String {
    let DocItem::Member(DocMember::Function(function)) = item else {
        return name.to_owned();
    };
    let shown = signature(name, function);
    match item.get_doc_summary() {
        Some(summary) => format!("{shown}\n      {summary}"),
        None => shown,
    }
}
