//! The names that a script gives values, and in which of its parts they are known.

use std::collections::HashMap;

use starlark::syntax::ast::{
    AssignTargetP, AstAssignTarget, AstExpr, AstNoPayload, AstParameter, AstStmt, DefP, StmtP,
};

/// The names of one part: the file, a function, a lambda or a comprehension.
#[derive(Debug, Default)]
pub(super) struct Scope<'a>(HashMap<&'a str, Binding<'a>>);

/// What a name is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Binding<'a> {
    times: usize,
    value: Given<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    Value(&'a AstExpr),
    /// Each element of it, one after another.
    Element(&'a AstExpr),
    Function(&'a DefP<AstNoPayload>),
    /// What cannot be told from the text.
    Something,
}

impl<'a> Scope<'a> {
    fn bind(&mut self, name: &'a str, value: Given<'a>) {
        let binding = self.0.entry(name).or_insert(Binding { times: 0, value });
        binding.times += 1;
    }

    pub(super) fn get(&self, name: &str) -> Option<Binding<'a>> {
        self.0.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }

    pub(super) fn own(names: &'a [String]) -> Self {
        let mut scope = Self::default();
        for name in names {
            scope.bind(name, Given::Something);
        }
        scope
    }

    /// Of a file or of the body of a function.
    pub(super) fn statements(&mut self, statement: &'a AstStmt) {
        match &statement.node {
            StmtP::Statements(statements) => {
                statements.iter().for_each(|statement| self.statements(statement))
            }
            StmtP::Assign(assign) => match &assign.lhs.node {
                AssignTargetP::Identifier(name) => self.bind(&name.ident, Given::Value(&assign.rhs)),
                _ => self.target(&assign.lhs),
            },
            StmtP::AssignModify(target, _, _) => self.target(target),
            StmtP::If(_, body) => self.statements(body),
            StmtP::IfElse(_, bodies) => {
                self.statements(&bodies.0);
                self.statements(&bodies.1);
            }
            StmtP::For(body) => {
                self.elements(&body.var, &body.over);
                self.statements(&body.body);
            }
            StmtP::Def(def) => self.bind(&def.name.ident, Given::Function(def)),
            StmtP::Load(load) => {
                for loaded in &load.args {
                    self.bind(&loaded.local.ident, Given::Something);
                }
            }
            StmtP::Break | StmtP::Continue | StmtP::Pass | StmtP::Return(_) | StmtP::Expression(_) => {}
        }
    }

    /// What stands left of a `=`.
    fn target(&mut self, target: &'a AstAssignTarget) {
        match &target.node {
            AssignTargetP::Tuple(targets) => targets.iter().for_each(|target| self.target(target)),
            AssignTargetP::Identifier(name) => self.bind(&name.ident, Given::Something),
            AssignTargetP::Index(_) | AssignTargetP::Dot(..) => {}
        }
    }

    /// What stands between `for` and `in`.
    pub(super) fn elements(&mut self, target: &'a AstAssignTarget, over: &'a AstExpr) {
        match &target.node {
            AssignTargetP::Identifier(name) => self.bind(&name.ident, Given::Element(over)),
            _ => self.target(target),
        }
    }

    pub(super) fn parameters(&mut self, parameters: &'a [AstParameter]) {
        for name in parameters.iter().filter_map(|parameter| parameter.node.ident()) {
            self.bind(&name.ident, Given::Something);
        }
    }
}

impl<'a> Binding<'a> {
    /// What the name always is, if it is given a value at one place only.
    pub(super) fn always(self) -> Given<'a> {
        if self.times == 1 {
            self.value
        } else {
            Given::Something
        }
    }
}
