//! Functions that see later values.
//!
//! The compiler puts the value of a variable into a function that mentions it, if the value is a constant and nothing in the
//! same text assigns the variable. In a file that is right. Where each input is a text of its own, a function would go on with
//! the value that a variable had when the function was typed. So a text that defines functions is compiled as if it assigned
//! all variables that there are: with an `if False:` behind it that does so.

use starlark::environment::Module;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{AstStmt, StmtP};

use crate::dialect;

/// Parses an input, so that its functions see what variables will be.
pub(super) fn parse(name: &str, text: &str, module: &Module<'_>) -> starlark::Result<AstModule> {
    let ast = dialect::parse(name, text)?;
    let defines = text.contains("def") || text.contains("lambda");
    // An expression is shown, so it has to be the last thing in its text. The functions in it are mostly called at once.
    if !defines || ends_with_expression(ast.statement()) {
        return Ok(ast);
    }
    let names = module
        .names_and_visibilities()
        .map(|(name, _)| format!("    {} = None\n", name.as_str()));
    let assignments: String = names.collect();
    if assignments.is_empty() {
        return Ok(ast);
    }
    dialect::parse(name, &format!("{text}\nif False:\n{assignments}"))
}

fn ends_with_expression(statement: &AstStmt) -> bool {
    match &statement.node {
        StmtP::Statements(statements) => statements.last().is_some_and(ends_with_expression),
        StmtP::Expression(_) => true,
        _ => false,
    }
}
