//! `load()`: names of other files, the files themselves as modules, and the modules that are there from the start.
//!
//! A file is evaluated once in a run, in a module of its own, and frozen. Who loads it gets the names that it gives values,
//! and the file itself as a module under the file's name, unless it has such a name of its own.

mod find;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::FileLoader;
use starlark::values::ValueLike;
use sternline::proto::text::escape;

use crate::context::Context;
use crate::dialect::{self, MAX_TEXT};
use crate::error::{LoadFailed, ScriptError, ends_the_script, is_of_loaded, nearest, skipped};
use crate::evaluate::{Printer, evaluator};
use crate::modules::module::{FrozenScriptModule, ScriptModuleGen};
use crate::permissions::{Access, Operation};
use crate::validate::unknown_names;
use find::{Found, Places};

/// The files of one run.
#[derive(Default)]
pub(crate) struct Files {
    /// What is being evaluated: the script, a file that it loads, a file that that one loads, and so on.
    open: RefCell<Vec<Open>>,
    /// What has been evaluated.
    done: RefCell<HashMap<PathBuf, FrozenModule>>,
}

struct Open {
    path: Option<PathBuf>,
    /// As messages call it.
    name: String,
}

impl Files {
    /// The script itself begins: what it loads is looked for beside it. Without a path, in the current directory.
    pub(crate) fn begin(&self, path: Option<&Path>, name: &str) {
        let path = path.map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
        *self.open.borrow_mut() = vec![Open {
            path,
            name: name.to_owned(),
        }];
    }

    /// The folders of the file that loads something, and of the script.
    fn folders(&self) -> Vec<PathBuf> {
        let open = self.open.borrow();
        let files = open.last().into_iter().chain(open.first());
        files
            .filter_map(|file| Some(file.path.as_ref()?.parent()?.to_owned()))
            .collect()
    }

    /// The files from this one to the innermost, if it is being evaluated itself.
    fn circle(&self, path: &Path) -> Option<String> {
        let open = self.open.borrow();
        let first = open.iter().position(|file| file.path.as_deref() == Some(path))?;
        let names: Vec<String> = open.iter().skip(first).map(|file| escape(&file.name)).collect();
        Some(names.join(" loads "))
    }
}

impl FileLoader for Context {
    fn load(&self, name: &str) -> starlark::Result<FrozenModule> {
        load(self, name).map_err(|error| match passes(&error) || is_of_loaded(&error) {
            true => error,
            false => anyhow!("load({name:?}): {}", crate::error::message(&error)).into(),
        })
    }
}

/// Whether it goes through all files that load one another, as it is.
fn passes(error: &starlark::Error) -> bool {
    ends_the_script(error) || skipped(error).is_some()
}

fn load(context: &Context, name: &str) -> starlark::Result<FrozenModule> {
    if let Some(module) = built_in(context, name)? {
        return Ok(module);
    }
    let places = Places {
        session: &context.session,
        folders: context.files.folders(),
    };
    let found = find::find(name, &places).map_err(|looked| {
        // Who waits for changes waits for it to appear.
        for path in &looked {
            context.session.loads(path);
        }
        not_found(context, name, &looked)
    })?;
    may_load(context, &found)?;
    let files = found
        .files
        .iter()
        .map(|path| Ok((path.as_path(), file(context, path)?)));
    let files: Vec<(&Path, FrozenModule)> = files.collect::<starlark::Result<_>>()?;
    together(&found.name, &files)
}

/// Whether the script may read these files.
fn may_load(context: &Context, found: &Found) -> anyhow::Result<()> {
    for path in &found.files {
        let operation = Operation::file(Access::Read, "load", path, path);
        context.session.permit(&operation)?;
    }
    Ok(())
}

fn not_found(context: &Context, name: &str, looked: &[PathBuf]) -> anyhow::Error {
    let modules: Vec<String> = context
        .globals()
        .iter()
        .filter(|(_, value)| value.downcast_ref::<FrozenScriptModule>().is_some())
        .map(|(name, _)| name.to_owned())
        .collect();
    if let Some(better) = nearest(name, modules.iter().map(String::as_str)) {
        return anyhow!("there is no such file or module (did you mean \"{better}\"?)");
    }
    let looked: Vec<String> = looked
        .iter()
        .map(|path| escape(&path.to_string_lossy()))
        .collect();
    anyhow!("there is no such file; looked for {}", looked.join(", "))
}

/// A module that is there from the start, by its name, with its members as names.
fn built_in(context: &Context, name: &str) -> starlark::Result<Option<FrozenModule>> {
    let globals = context.globals();
    let known = globals.iter().find(|(known, _)| *known == name);
    let Some((value, members)) =
        known.and_then(|(_, value)| Some((value, value.downcast_ref::<FrozenScriptModule>()?)))
    else {
        return Ok(None);
    };
    Module::with_temp_heap(|module| {
        module.frozen_heap().add_reference(globals.heap());
        for (member, value) in members.members() {
            module.set(member, value.to_value());
        }
        module.set(name, value.to_value());
        Ok(Some(module.freeze()?))
    })
}

/// A file, evaluated or remembered.
fn file(context: &Context, path: &Path) -> starlark::Result<FrozenModule> {
    if let Some(done) = context.files.done.borrow().get(path) {
        return Ok(done.clone());
    }
    let cwd = context.session.cwd();
    let name = path
        .strip_prefix(&cwd)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    if let Some(circle) = context.files.circle(path) {
        return Err(anyhow!(
            "files load one another in a circle: {circle} loads {}",
            escape(&name)
        )
        .into());
    }
    context.session.loads(path);
    let text = read(path)?;
    context.files.open.borrow_mut().push(Open {
        path: Some(path.to_owned()),
        name: name.clone(),
    });
    let done = evaluate(context, &name, &text);
    context.files.open.borrow_mut().pop();
    let done = done.map_err(|error| {
        if passes(&error) {
            return error;
        }
        let names = unknown_names(&name, &text, context.globals(), &[]);
        starlark::Error::new_other(LoadFailed(
            ScriptError::from_starlark(&error).with_unknown_names(names),
        ))
    })?;
    context
        .files
        .done
        .borrow_mut()
        .insert(path.to_owned(), done.clone());
    Ok(done)
}

fn evaluate(context: &Context, name: &str, text: &str) -> starlark::Result<FrozenModule> {
    let ast = dialect::parse(name, text)?;
    let printer = Printer(&context.session);
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let ended = {
            let mut eval = evaluator(&module, context, &printer);
            eval.eval_module(ast, context.globals()).map(|_| ())
        };
        let frozen = ended.and_then(|()| Ok(module.freeze()?));
        context.callbacks.borrow_mut().leave(before, frozen.as_ref().ok());
        frozen
    })
}

/// The text of a script.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX) + 1;
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("it is no text: byte {at} is not UTF-8")
    })
}

/// The names of files as one module, and that module under its own name.
fn together(name: &str, files: &[(&Path, FrozenModule)]) -> starlark::Result<FrozenModule> {
    Module::with_temp_heap(|module| {
        let mut from: HashMap<String, &Path> = HashMap::new();
        let mut members = Vec::new();
        for (path, file) in files {
            for symbol in file.names() {
                let symbol = symbol.as_str();
                let value = file.get_option(symbol).ok().flatten();
                let Some(value) = value.filter(|_| !symbol.starts_with('_')) else {
                    continue;
                };
                if let Some(other) = from.insert(symbol.to_owned(), path) {
                    return Err(twice(symbol, other, path).into());
                }
                let value = module.heap().access_owned_frozen_value(&value);
                module.set(symbol, value);
                members.push((symbol.to_owned(), value));
            }
        }
        let whole = module.heap().alloc(ScriptModuleGen::new(name, members));
        // A name with a dash is no name that a script can use, so it has another one.
        for name in [name.to_owned(), name.replace(['-', '.', ' '], "_")] {
            if !from.contains_key(&name) {
                module.set(&name, whole);
            }
        }
        Ok(module.freeze()?)
    })
}

fn twice(symbol: &str, one: &Path, other: &Path) -> anyhow::Error {
    let file = |path: &Path| escape(&path.file_name().unwrap_or_default().to_string_lossy());
    anyhow!("both {} and {} give {symbol} a value", file(one), file(other))
}
