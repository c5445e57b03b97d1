//! The walk through a parsed script.

use starlark::codemap::Span;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{
    AssignTargetP, AstAssignTarget, AstExpr, AstFString, AstParameter, AstStmt, AstTypeExpr, CallArgsP,
    ClauseP, DefP, ExprP, ForClauseP, ParameterP, StmtP,
};
use starlark::syntax::ast::{AstNoPayload, IdentP};

use super::Finding;
use super::calls::{self, Given as Arguments};
use super::known::{Item, Known};
use super::names::{Given, Scope};
use crate::dialect::assert_word;
use crate::error::{MODULE, Worded, nearest, place};

/// Names that stand for one another lead no further than this.
const MAX_STEPS: usize = 32;

pub(super) struct Walk<'a> {
    ast: &'a AstModule,
    known: &'a Known,
    /// The parts of the script that lie around what is looked at, the outermost first.
    scopes: Vec<Scope<'a>>,
    /// The function that it is in.
    function: String,
    /// Whether members and arguments are looked at, too.
    with_calls: bool,
    findings: Vec<Finding>,
}

/// What an expression is, as far as the text tells.
#[derive(Clone, Copy)]
enum Meaning<'a> {
    Item(&'a Item),
    Def(&'a DefP<AstNoPayload>),
    /// A value of this type.
    Of(&'a str),
}

impl<'a> Walk<'a> {
    pub(super) fn new(ast: &'a AstModule, known: &'a Known, own: &'a [String]) -> Self {
        let mut file = Scope::default();
        file.statements(ast.statement());
        Self {
            ast,
            known,
            scopes: vec![Scope::own(own), file],
            function: String::new(),
            with_calls: false,
            findings: Vec::new(),
        }
    }

    /// Looks at members and arguments, too.
    pub(super) fn with_calls(mut self) -> Self {
        self.with_calls = true;
        self
    }

    /// What is wrong, in the order of the text.
    pub(super) fn findings(mut self) -> Vec<Finding> {
        self.statement(self.ast.statement());
        self.findings
            .sort_by_key(|finding| (finding.place.line, finding.place.column));
        self.findings
    }

    fn find(&mut self, span: Span, worded: Worded) {
        let place = place(self.function.clone(), &self.ast.file_span(span));
        self.findings.push(Finding::new(place, worded));
    }

    fn within(&mut self, scope: Scope<'a>, walk: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        walk(self);
        self.scopes.pop();
    }

    fn statement(&mut self, statement: &'a AstStmt) {
        match &statement.node {
            StmtP::Statements(statements) => {
                statements.iter().for_each(|statement| self.statement(statement))
            }
            StmtP::Return(value) => value.iter().for_each(|value| self.expression(value)),
            StmtP::Expression(value) => self.expression(value),
            StmtP::Assign(assign) => {
                self.target(&assign.lhs);
                assign.ty.iter().for_each(|kind| self.kind(kind));
                self.expression(&assign.rhs);
            }
            StmtP::AssignModify(target, _, value) => {
                self.target(target);
                self.expression(value);
            }
            StmtP::If(condition, body) => {
                self.expression(condition);
                self.statement(body);
            }
            StmtP::IfElse(condition, bodies) => {
                self.expression(condition);
                self.statement(&bodies.0);
                self.statement(&bodies.1);
            }
            StmtP::For(body) => {
                self.target(&body.var);
                self.expression(&body.over);
                self.statement(&body.body);
            }
            StmtP::Def(def) => self.def(def),
            StmtP::Load(_) | StmtP::Break | StmtP::Continue | StmtP::Pass => {}
        }
    }

    fn def(&mut self, def: &'a DefP<AstNoPayload>) {
        self.parameters(&def.params);
        def.return_type.iter().for_each(|kind| self.kind(kind));
        let mut scope = Scope::default();
        scope.parameters(&def.params);
        scope.statements(&def.body);
        let outer = std::mem::replace(
            &mut self.function,
            assert_word::restore(&def.name.ident).into_owned(),
        );
        self.within(scope, |walk| walk.statement(&def.body));
        self.function = outer;
    }

    /// The types and defaults of parameters, which belong to the part around the function.
    fn parameters(&mut self, parameters: &'a [AstParameter]) {
        for parameter in parameters {
            match &parameter.node {
                ParameterP::Normal(_, kind, default) => {
                    kind.iter().for_each(|kind| self.kind(kind));
                    default.iter().for_each(|default| self.expression(default));
                }
                ParameterP::Args(_, kind) | ParameterP::KwArgs(_, kind) => {
                    kind.iter().for_each(|kind| self.kind(kind));
                }
                ParameterP::NoArgs | ParameterP::Slash => {}
            }
        }
    }

    fn kind(&mut self, kind: &'a AstTypeExpr) {
        self.expression(&kind.node.expr);
    }

    fn target(&mut self, target: &'a AstAssignTarget) {
        match &target.node {
            AssignTargetP::Tuple(targets) => targets.iter().for_each(|target| self.target(target)),
            AssignTargetP::Index(parts) => {
                self.expression(&parts.0);
                self.expression(&parts.1);
            }
            AssignTargetP::Dot(value, _) => self.expression(value),
            AssignTargetP::Identifier(_) => {}
        }
    }

    fn expression(&mut self, expression: &'a AstExpr) {
        match &expression.node {
            ExprP::Identifier(name) => self.name(expression.span, name),
            ExprP::Dot(value, member) => {
                self.expression(value);
                if self.with_calls {
                    self.member(value, member, expression.span);
                }
            }
            ExprP::Call(callee, arguments) => {
                self.expression(callee);
                arguments
                    .args
                    .iter()
                    .for_each(|argument| self.expression(argument.node.expr()));
                if self.with_calls {
                    self.call(callee, arguments, expression.span);
                }
            }
            ExprP::Lambda(lambda) => {
                self.parameters(&lambda.params);
                let mut scope = Scope::default();
                scope.parameters(&lambda.params);
                self.within(scope, |walk| walk.expression(&lambda.body));
            }
            ExprP::ListComprehension(value, first, clauses) => self.comprehension(&[value], first, clauses),
            ExprP::DictComprehension(entry, first, clauses) => {
                self.comprehension(&[&entry.0, &entry.1], first, clauses);
            }
            ExprP::FString(string) => self.f_string(string),
            ExprP::Tuple(_)
            | ExprP::Index(_)
            | ExprP::Index2(_)
            | ExprP::Slice(..)
            | ExprP::Literal(_)
            | ExprP::Not(_)
            | ExprP::Minus(_)
            | ExprP::Plus(_)
            | ExprP::BitNot(_)
            | ExprP::Op(..)
            | ExprP::If(_)
            | ExprP::List(_)
            | ExprP::Dict(_) => expression.node.visit_expr(|inner| self.expression(inner)),
        }
    }

    fn f_string(&mut self, string: &'a AstFString) {
        string
            .node
            .expressions
            .iter()
            .for_each(|inner| self.expression(inner));
    }

    fn comprehension(
        &mut self,
        values: &[&'a AstExpr],
        first: &'a ForClauseP<AstNoPayload>,
        clauses: &'a [ClauseP<AstNoPayload>],
    ) {
        // What is gone over first does not see the names of the comprehension.
        self.expression(&first.over);
        let mut scope = Scope::default();
        scope.elements(&first.var, &first.over);
        for clause in clauses {
            if let ClauseP::For(clause) = clause {
                scope.elements(&clause.var, &clause.over);
            }
        }
        self.within(scope, |walk| {
            for clause in clauses {
                match clause {
                    ClauseP::For(clause) => walk.expression(&clause.over),
                    ClauseP::If(condition) => walk.expression(condition),
                }
            }
            values.iter().for_each(|value| walk.expression(value));
        });
    }

    fn name(&mut self, span: Span, name: &IdentP<AstNoPayload>) {
        let name = name.ident.as_str();
        let is_known =
            self.scopes.iter().any(|scope| scope.get(name).is_some()) || self.known.global(name).is_some();
        if is_known {
            return;
        }
        let own = self.scopes.iter().rev().flat_map(Scope::names);
        let mut names: Vec<&str> = own.chain(self.known.names()).collect();
        // The names of a part come in no order.
        names.sort_unstable();
        let better = nearest(name, names);
        let better = better
            .map(|better| format!(" (did you mean {better}?)"))
            .unwrap_or_default();
        let message = format!("undefined: {}{better}", assert_word::restore(name));
        self.find(span, Worded::new(message));
    }

    fn member(&mut self, value: &'a AstExpr, member: &str, whole: Span) {
        let (members, kind) = match self.meaning(value, self.scopes.len(), 0) {
            Some(Meaning::Item(Item::Module(members))) => (members, MODULE),
            Some(Meaning::Of(kind)) => match self.known.members(kind) {
                Some(members) => (members, kind),
                None => return,
            },
            _ => return,
        };
        if members.contains_key(member) {
            return;
        }
        let names = members
            .keys()
            .map(String::as_str)
            .filter(|name| *name != assert_word::ALIAS);
        let better = nearest(member, names).map(|better| format!("did you mean .{better}?"));
        let worded = match kind {
            MODULE => {
                let module = self.text(value.span);
                let better = better.map(|better| format!("; {better}")).unwrap_or_default();
                let text =
                    format!("undefined: {member} (module {module} has no .{member} field or method{better})");
                let worded = Worded::new(text);
                match member.strip_prefix("try_").unwrap_or(member) {
                    "test_server" | "test_key" => {
                        worded.hint("it is there in tests only: run them with `sternline test`")
                    }
                    _ => worded,
                }
            }
            kind => {
                let better = better.map(|better| format!(" ({better})")).unwrap_or_default();
                Worded::new(format!("{kind} has no .{member} field or method{better}"))
            }
        };
        // The member alone is meant, and what stands before it is right.
        let dot_member = Span::new(value.span.end(), whole.end());
        self.find(dot_member, worded);
    }

    fn call(&mut self, callee: &'a AstExpr, arguments: &'a CallArgsP<AstNoPayload>, span: Span) {
        let parameters = match self.meaning(callee, self.scopes.len(), 0) {
            Some(Meaning::Item(Item::Function(function))) => function.parameters.clone(),
            Some(Meaning::Def(def)) => calls::of_def(def),
            _ => return,
        };
        let name = self.text(callee.span);
        for (at, worded) in calls::problems(&name, &parameters, &Arguments::of(arguments)) {
            self.find(at.unwrap_or(span), worded);
        }
    }

    /// What an expression is. `depth` says how many of the parts around it are seen from where it stands.
    fn meaning(&self, expression: &'a AstExpr, depth: usize, steps: usize) -> Option<Meaning<'a>> {
        if steps > MAX_STEPS {
            return None;
        }
        match &expression.node {
            ExprP::Identifier(name) => self.meaning_of_name(&name.ident, depth, steps),
            ExprP::Dot(value, member) => {
                let members = match self.meaning(value, depth, steps + 1)? {
                    Meaning::Item(Item::Module(members)) => members,
                    Meaning::Of(kind) => self.known.members(kind)?,
                    _ => return None,
                };
                members.get(member.node.as_str()).map(Meaning::Item)
            }
            ExprP::Call(callee, _) => match self.meaning(callee, depth, steps + 1)? {
                Meaning::Item(Item::Function(function)) => function.returns.as_deref().map(Meaning::Of),
                _ => None,
            },
            ExprP::Index(parts) => element(self.meaning(&parts.0, depth, steps + 1)?),
            _ => None,
        }
    }

    fn meaning_of_name(&self, name: &str, depth: usize, steps: usize) -> Option<Meaning<'a>> {
        for (level, scope) in self.scopes.iter().enumerate().take(depth).rev() {
            let Some(binding) = scope.get(name) else { continue };
            return match binding.always() {
                Given::Value(value) => self.meaning(value, level + 1, steps + 1),
                Given::Element(over) => element(self.meaning(over, level + 1, steps + 1)?),
                Given::Function(def) => Some(Meaning::Def(def)),
                Given::Something => None,
            };
        }
        self.known.global(name).map(Meaning::Item)
    }

    /// A piece of the script, as its author wrote it.
    fn text(&self, span: Span) -> String {
        let span = self.ast.file_span(span);
        let text = crate::error::code(&span).unwrap_or_default();
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_word::restore(&text).into_owned()
    }
}

/// What is in a list, if it is known what it is a list of.
fn element(list: Meaning<'_>) -> Option<Meaning<'_>> {
    let Meaning::Of(kind) = list else { return None };
    let kind = kind.strip_prefix("list[")?.strip_suffix(']')?;
    Some(Meaning::Of(kind))
}
