//! What scripts find from the start: modules, functions with their parameters, and types of values with their members. It all
//! comes from the documentation that the functions themselves have.

use std::collections::BTreeMap;

use starlark::docs::{DocFunction, DocItem, DocMember, DocModule, DocParam};
use starlark::environment::Globals;

use crate::dialect::assert_word;
use crate::reference::types;

/// One thing with a name.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Module(BTreeMap<String, Item>),
    Function(Function),
    /// A value, or a function that tells nothing of its parameters.
    Other,
}

/// A function, and of which type its result is.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) parameters: Parameters,
    pub(super) returns: Option<String>,
}

/// What a function takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    /// By position; the first of them by position only.
    pub(crate) positional: Vec<Parameter>,
    pub(crate) positional_only: usize,
    /// Any number of further ones by position.
    pub(crate) rest: bool,
    pub(crate) named_only: Vec<Parameter>,
    /// Any further ones by name.
    pub(crate) more: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) required: bool,
    /// Of which type it has to be, as its documentation writes it; `None` where that is not told.
    pub(crate) kind: Option<String>,
}

/// All of it.
pub(super) struct Known {
    globals: BTreeMap<String, Item>,
    /// The members of values, by the name of their type.
    types: BTreeMap<String, BTreeMap<String, Item>>,
}

impl Known {
    pub(super) fn new(globals: &Globals) -> Self {
        let types = types().into_iter().map(|known| {
            let fields = known
                .fields
                .iter()
                .map(|(field, _)| ((*field).to_owned(), Item::Other));
            let members = known
                .docs
                .members
                .iter()
                .map(|(name, member)| (name.clone(), of_member(member)));
            let members: BTreeMap<String, Item> = members.chain(fields).collect();
            let mut members = members;
            for (method, kind) in known.returns {
                if let Some(Item::Function(function)) = members.get_mut(*method) {
                    function.returns = Some((*kind).to_owned());
                }
            }
            let members = if known.has_try { with_try(members) } else { members };
            (known.name, members)
        });
        Self {
            types: types.collect(),
            globals: of_module(&globals.documentation()),
        }
    }

    /// A name that every script has.
    pub(super) fn global(&self, name: &str) -> Option<&Item> {
        self.globals.get(name)
    }

    /// What stands behind a path such as `ssh.config`.
    pub(super) fn path(&self, path: &str) -> Option<&Item> {
        let mut names = path.split('.');
        let mut item = self.globals.get(names.next()?)?;
        for name in names {
            let Item::Module(members) = item else { return None };
            item = members.get(name)?;
        }
        Some(item)
    }

    /// The methods of this name, whatever value has them.
    pub(super) fn methods(&self, name: &str) -> impl Iterator<Item = &Function> {
        self.types
            .values()
            .filter_map(move |members| match members.get(name) {
                Some(Item::Function(function)) => Some(function),
                _ => None,
            })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.globals
            .keys()
            .map(String::as_str)
            .filter(|name| *name != assert_word::ALIAS)
    }

    /// The members of a type, if they are all known.
    pub(super) fn members(&self, kind: &str) -> Option<&BTreeMap<String, Item>> {
        self.types.get(kind)
    }
}

fn of_module(docs: &DocModule) -> BTreeMap<String, Item> {
    let members = docs
        .members
        .iter()
        .map(|(name, item)| (name.clone(), of_item(item)));
    let mut members: BTreeMap<String, Item> = with_try(members.collect());
    // The documentation leaves out the other name of `assert`, which is the one that stands in the parsed script.
    if let Some(assert) = members.get(assert_word::WORD).cloned() {
        members.insert(assert_word::ALIAS.to_owned(), assert);
    }
    members
}

fn of_item(item: &DocItem) -> Item {
    match item {
        DocItem::Module(module) => Item::Module(of_module(module)),
        DocItem::Member(member) => of_member(member),
        DocItem::Type(kind) => match &kind.constructor {
            Some(constructor) => of_function(constructor),
            None => Item::Other,
        },
    }
}

fn of_member(member: &DocMember) -> Item {
    match member {
        DocMember::Function(function) => of_function(function),
        DocMember::Property(_) => Item::Other,
    }
}

fn of_function(docs: &DocFunction) -> Item {
    let params = &docs.params;
    let all = |params: &[DocParam]| params.iter().map(Parameter::new).collect::<Vec<_>>();
    let mut positional = all(&params.pos_only);
    let positional_only = positional.len();
    positional.extend(all(&params.pos_or_named));
    let parameters = Parameters {
        positional,
        positional_only,
        rest: params.args.is_some(),
        named_only: all(&params.named_only),
        more: params.kwargs.is_some(),
    };
    Item::Function(Function {
        parameters,
        returns: Some(docs.ret.typ.to_string()),
    })
}

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&Parameter> {
        self.positional
            .iter()
            .chain(&self.named_only)
            .find(|parameter| parameter.name == name)
    }

    /// The names of those that may be given by name.
    pub(crate) fn by_name(&self) -> Vec<&str> {
        let positional = self.positional.iter().skip(self.positional_only);
        positional
            .chain(&self.named_only)
            .map(|parameter| parameter.name.as_str())
            .collect()
    }
}

impl Parameter {
    fn new(docs: &DocParam) -> Self {
        Self {
            name: docs.name.clone(),
            required: docs.default_value.is_none(),
            kind: Some(docs.typ.to_string()),
        }
    }
}

/// Every function has a form that returns a `Result`, and takes the same.
fn with_try(members: BTreeMap<String, Item>) -> BTreeMap<String, Item> {
    let mut all = members.clone();
    for (name, item) in members {
        let Item::Function(function) = item else { continue };
        if !name.starts_with("try_") {
            let tried = Function {
                returns: None,
                ..function
            };
            all.insert(format!("try_{name}"), Item::Function(tried));
        }
    }
    all
}
