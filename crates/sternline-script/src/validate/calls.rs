//! Whether the arguments of a call fit the parameters of what is called.

use starlark::codemap::Span;
use starlark::syntax::ast::{ArgumentP, AstNoPayload, CallArgsP, DefP, ParameterP};

use super::known::{Parameter, Parameters};
use crate::dialect::assert_word;
use crate::error::{Worded, missing, too_many, unknown_parameters};

/// The arguments of a call.
pub(super) struct Given<'a> {
    positional: Vec<Span>,
    named: Vec<(&'a str, Span)>,
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
                ArgumentP::Positional(value) => given.positional.push(value.span),
                ArgumentP::Named(name, _) => given.named.push((name.node.as_str(), name.span)),
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
    let mut problems = Vec::new();
    let taken = parameters.positional.len();
    if let Some(first) = given.positional.get(taken).filter(|_| !parameters.rest) {
        let named = parameters
            .named_only
            .first()
            .map(|parameter| parameter.name.as_str());
        problems.push((Some(*first), too_many(name, given.positional.len(), taken, named)));
    }
    let known = parameters.by_name();
    for (argument, span) in &given.named {
        if !known.contains(argument) && !parameters.more {
            let argument = assert_word::restore(argument);
            problems.push((Some(*span), unknown_parameters(name, &[&argument], &known)));
        } else if parameters
            .positional
            .iter()
            .take(given.positional.len())
            .any(|taken| taken.name == *argument)
        {
            problems.push((
                Some(*span),
                Worded::new(format!("{name}: argument {argument} is given more than once")),
            ));
        }
    }
    let positional = parameters.positional.iter().skip(given.positional.len());
    let positional = positional.filter(|_| !given.more_positional);
    for parameter in positional.chain(&parameters.named_only) {
        let is_given = given.more_named || given.named.iter().any(|(name, _)| *name == parameter.name);
        // A misspelt name is told already.
        let is_misspelt = !problems.is_empty();
        if parameter.required && !is_given && !is_misspelt {
            problems.push((None, missing(name, &parameter.name, std::iter::empty())));
        }
    }
    problems
}
