//! Whether the arguments of a call fit the parameters of what is called.

use starlark::codemap::Span;
use starlark::syntax::ast::{
    ArgumentP, AstExpr, AstLiteral, AstNoPayload, CallArgsP, DefP, ExprP, ParameterP,
};

use super::known::{Parameter, Parameters};
use crate::dialect::assert_word;
use crate::error::{Worded, missing, too_many, unknown_parameters};

/// The arguments of a call.
pub(super) struct Given<'a> {
    positional: Vec<&'a AstExpr>,
    named: Vec<(&'a str, Span, &'a AstExpr)>,
    /// There are more by position, or by name, which the text does not tell.
    more_positional: bool,
    more_named: bool,
}

impl<'a> Given<'a> {
    pub(super) fn of(arguments: &'a CallArgsP<AstNoPayload>) -> Self {
        let mut given = Self {
            positional: Vec::new(),
            named: Vec::new(),
            more_positional: false,
            more_named: false,
        };
        for argument in &arguments.args {
            match &argument.node {
                ArgumentP::Positional(value) => given.positional.push(value),
                ArgumentP::Named(name, value) => given.named.push((name.node.as_str(), name.span, value)),
                ArgumentP::Args(_) => given.more_positional = true,
                ArgumentP::KwArgs(_) => given.more_named = true,
            }
        }
        given
    }
}

/// The parameters of a function of the script's own.
pub(super) fn of_def(def: &DefP<AstNoPayload>) -> Parameters {
    let mut parameters = Parameters::default();
    let mut by_name = false;
    for parameter in &def.params {
        match &parameter.node {
            ParameterP::Normal(name, _, default) => {
                let parameter = Parameter {
                    name: name.ident.clone(),
                    required: default.is_none(),
                    kind: None,
                };
                match by_name {
                    true => parameters.named_only.push(parameter),
                    false => parameters.positional.push(parameter),
                }
            }
            ParameterP::Slash => parameters.positional_only = parameters.positional.len(),
            ParameterP::NoArgs => by_name = true,
            ParameterP::Args(..) => {
                parameters.rest = true;
                by_name = true;
            }
            ParameterP::KwArgs(..) => parameters.more = true,
        }
    }
    parameters
}

/// What does not fit, and which argument it is, if it is one.
pub(super) fn problems(
    name: &str,
    parameters: &Parameters,
    given: &Given<'_>,
) -> Vec<(Option<Span>, Worded)> {
    let mut problems = by_position(name, parameters, given);
    problems.extend(by_name(name, parameters, given));
    // A name that is misspelt may be what is missing.
    if problems.is_empty() {
        problems.extend(not_given(name, parameters, given).map(|problem| (None, problem)));
    }
    problems
}

fn by_position(name: &str, parameters: &Parameters, given: &Given<'_>) -> Vec<(Option<Span>, Worded)> {
    let taken = parameters.positional.len();
    let mut problems = Vec::new();
    if let Some(first) = given.positional.get(taken).filter(|_| !parameters.rest) {
        let named = parameters.named_only.first();
        let named = named.map(|parameter| parameter.name.as_str());
        problems.push((
            Some(first.span),
            too_many(name, given.positional.len(), taken, named),
        ));
    }
    for (parameter, value) in parameters.positional.iter().zip(&given.positional) {
        problems.extend(wrong_kind(name, parameter, value));
    }
    problems
}

fn by_name(name: &str, parameters: &Parameters, given: &Given<'_>) -> Vec<(Option<Span>, Worded)> {
    let known = parameters.by_name();
    let filled: Vec<&Parameter> = parameters
        .positional
        .iter()
        .take(given.positional.len())
        .collect();
    let mut problems = Vec::new();
    for (argument, span, value) in &given.named {
        let parameter = parameters.get(argument).filter(|_| known.contains(argument));
        match parameter {
            None if parameters.more => {}
            None => {
                let argument = assert_word::restore(argument);
                problems.push((Some(*span), unknown_parameters(name, &[&argument], &known)));
            }
            Some(parameter) if filled.iter().any(|filled| filled.name == parameter.name) => {
                let twice = format!("{name}: argument {argument} is given more than once");
                problems.push((Some(*span), Worded::new(twice)));
            }
            Some(parameter) => problems.extend(wrong_kind(name, parameter, value)),
        }
    }
    problems
}

fn not_given<'a>(
    name: &'a str,
    parameters: &'a Parameters,
    given: &'a Given<'_>,
) -> impl Iterator<Item = Worded> + 'a {
    let positional = parameters.positional.iter().skip(given.positional.len());
    let positional = positional.filter(|_| !given.more_positional);
    let wanted = positional
        .chain(&parameters.named_only)
        .filter(|parameter| parameter.required && !given.more_named);
    let missed = wanted.filter(|parameter| given.named.iter().all(|(name, ..)| *name != parameter.name));
    missed.map(|parameter| missing(name, &parameter.name, std::iter::empty()))
}

/// A value that stands there as it is, and is not of the type that it has to be of.
fn wrong_kind(name: &str, parameter: &Parameter, value: &AstExpr) -> Option<(Option<Span>, Worded)> {
    let wanted = parameter.kind.as_deref()?;
    let (is, other) = kind_of(value)?;
    let mut kinds = wanted
        .split(" | ")
        .map(|kind| kind.split('[').next().unwrap_or(kind));
    if kinds.clone().any(|kind| !KINDS.contains(&kind)) || kinds.any(|kind| kind == is || other == Some(kind))
    {
        return None;
    }
    let parameter = &parameter.name;
    let text = format!("{name}: parameter {parameter} must be {wanted}, not {is}");
    Some((Some(value.span), Worded::new(text)))
}

/// The types that values have which stand in a script as they are.
const KINDS: [&str; 8] = ["str", "int", "float", "bool", "list", "dict", "tuple", "None"];

/// The type of such a value, and another one that takes it too.
fn kind_of(value: &AstExpr) -> Option<(&'static str, Option<&'static str>)> {
    Some(match &value.node {
        ExprP::Literal(AstLiteral::String(_)) | ExprP::FString(_) => ("str", None),
        ExprP::Literal(AstLiteral::Int(_)) => ("int", Some("float")),
        ExprP::Literal(AstLiteral::Float(_)) => ("float", None),
        ExprP::List(_) | ExprP::ListComprehension(..) => ("list", None),
        ExprP::Dict(_) | ExprP::DictComprehension(..) => ("dict", None),
        ExprP::Tuple(_) => ("tuple", None),
        ExprP::Identifier(name) if matches!(name.ident.as_str(), "True" | "False") => ("bool", None),
        ExprP::Identifier(name) if name.ident == "None" => ("None", None),
        _ => return None,
    })
}
