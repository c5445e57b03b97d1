//! What is wrong with a script, as far as its text shows it: nothing is run, and nothing else is read.

mod calls;
mod known;
mod names;
mod walk;

use starlark::environment::Globals;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{AstNoPayload, AstStmt, DefP, StmtP};

use crate::dialect;
use crate::error::{Frame, ScriptError, Worded};
use crate::evaluate::THREAD_STACK;
use crate::modules;
#[cfg(test)]
pub(crate) use known::Parameter;
pub(crate) use known::Parameters;
use known::{Item, Known};
use walk::Walk;

/// Something that is wrong with a script's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Frame,
    /// What. One line; names and texts of the script's may be in it.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

/// Looks for what is wrong with a script: its syntax, names that nothing has, members that a module or a client does not have,
/// and arguments that do not fit the parameters of a function. `name` is what messages call it. An empty list does not promise
/// that the script does what it should.
///
/// Test servers and keys are known to scripts that have tests: by their name, which ends in `_test.star`, or by a function that
/// begins with `test_`.
#[must_use]
pub fn validate(name: &str, text: &str) -> Vec<Finding> {
    with_stack(|| findings(name, text)).unwrap_or_else(|problem| {
        vec![Finding {
            place: Frame {
                file: name.to_owned(),
                ..Frame::default()
            },
            message: problem,
            hint: None,
        }]
    })
}

/// Expressions that nest deep take more stack than the caller may have.
fn with_stack(work: impl FnOnce() -> Vec<Finding> + Send) -> Result<Vec<Finding>, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("validate".into())
            .stack_size(THREAD_STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| format!("no thread to look at the script: {error}"))?;
        thread
            .join()
            .map_err(|_| "looking at the script failed; please report this".to_owned())
    })
}

fn findings(name: &str, text: &str) -> Vec<Finding> {
    let ast = match dialect::parse(name, text) {
        Ok(ast) => ast,
        Err(error) => return vec![of_syntax(name, &error)],
    };
    let is_test = name.ends_with("_test.star") || has_tests(&ast);
    let known = Known::new(&modules::known(is_test));
    Walk::new(&ast, &known, &[]).with_calls().findings()
}

/// The names of a script that nothing has. `own` are names that it has from elsewhere.
pub(crate) fn unknown_names(name: &str, text: &str, globals: &Globals, own: &[String]) -> Vec<Finding> {
    match dialect::parse(name, text) {
        Ok(ast) => Walk::new(&ast, &Known::new(globals), own).findings(),
        Err(_) => Vec::new(),
    }
}

fn of_syntax(name: &str, error: &starlark::Error) -> Finding {
    let error = ScriptError::from_starlark(error);
    let nowhere = || Frame {
        file: name.to_owned(),
        ..Frame::default()
    };
    Finding {
        place: error.frames().last().cloned().unwrap_or_else(nowhere),
        message: error.message().to_owned(),
        hint: error.hint().map(str::to_owned),
    }
}

fn has_tests(ast: &AstModule) -> bool {
    let mut found = false;
    defs(ast.statement(), &mut |def| {
        found |= def.name.ident.starts_with("test_")
    });
    found
}

/// All functions of a script that have a name, and are in no other function.
fn defs<'a>(statement: &'a AstStmt, see: &mut impl FnMut(&'a DefP<AstNoPayload>)) {
    match &statement.node {
        StmtP::Def(def) => see(def),
        other => other.visit_stmt(|statement| defs(statement, see)),
    }
}

/// What a function takes that a script calls by this path: one of a module, of the script itself, or else a method of some
/// value. `source` is the script, as the parser sees it.
pub(crate) fn parameters_of(path: &str, source: Option<&str>) -> Option<Parameters> {
    let known = Known::new(&modules::known(true));
    if let Some(Item::Function(function)) = known.path(path) {
        return Some(function.parameters.clone());
    }
    let Some((_, method)) = path.rsplit_once('.') else {
        let ast = dialect::parse("", source?).ok()?;
        let mut found = None;
        defs(ast.statement(), &mut |def| {
            if def.name.ident == path {
                found = Some(calls::of_def(def));
            }
        });
        return found;
    };
    known
        .methods(method)
        .next()
        .map(|function| function.parameters.clone())
}

impl Finding {
    fn new(place: Frame, worded: Worded) -> Self {
        Self {
            place,
            message: worded.message,
            hint: worded.hint,
        }
    }
}

#[cfg(test)]
mod tests;
