//! Functions of the script that are called from elsewhere: handlers of test servers, listeners, deferred functions.
//!
//! A live value belongs to its module's heap, and must not be kept where the garbage collector does not see it. So it is
//! kept in a list that hangs on the module, and known by its place there. When the module is frozen, so is the list.

use starlark::environment::{FrozenModule, Module};
use starlark::eval::Evaluator;
use starlark::values::list::{AllocList, ListRef};
use starlark::values::{OwnedFrozenValue, Value};
use tokio::sync::mpsc;

use crate::context::Context;

/// A function of the script's, known by its number. It may be sent anywhere; only the script's thread can call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Callback(usize);

/// Where the functions are.
#[derive(Default)]
pub(crate) struct Callbacks {
    places: Vec<Place>,
    /// The number of the module that is being evaluated, the innermost one.
    module: usize,
    modules: usize,
}

enum Place {
    /// In the list of a module that is being evaluated.
    Live {
        module: usize,
        index: usize,
    },
    Frozen(OwnedFrozenValue),
    /// Its module has gone.
    Gone,
}

/// The call of a function of the script's, by somebody outside of its thread.
pub(crate) struct Job {
    pub(crate) callback: Callback,
    pub(crate) call: Call,
}

/// Calls the function, or deals with that it cannot be called, and passes on what comes out.
pub(crate) type Call =
    Box<dyn for<'v, 'a, 'e> FnOnce(&mut Evaluator<'v, 'a, 'e>, starlark::Result<Value<'v>>) + Send>;

/// Where jobs are left.
#[derive(Debug, Clone)]
pub(crate) struct Jobs(pub(crate) mpsc::UnboundedSender<Job>);

impl Jobs {
    /// Has the script's thread do it, as soon as the script waits for something. If the script has ended, the call is dropped.
    pub(crate) fn post(&self, callback: Callback, call: Call) {
        // Whoever waits for its answer sees that it was dropped.
        let _ = self.0.send(Job { callback, call });
    }
}

impl Callbacks {
    /// A module begins to be evaluated, inside of the one before. What comes back is for [`Callbacks::leave`].
    pub(crate) fn enter(&mut self) -> usize {
        self.modules += 1;
        std::mem::replace(&mut self.module, self.modules)
    }

    /// The module has ended. If it was frozen, its functions can be called from now on by any other module.
    pub(crate) fn leave(&mut self, before: usize, frozen: Option<&FrozenModule>) {
        let module = std::mem::replace(&mut self.module, before);
        let kept = frozen.and_then(FrozenModule::owned_extra_value);
        for place in &mut self.places {
            let Place::Live { module: of, index } = place else {
                continue;
            };
            if *of != module {
                continue;
            }
            let index = *index;
            let function = kept.as_ref().map(|kept| {
                kept.try_map(|list| {
                    ListRef::from_frozen_value(list)
                        .and_then(|list| list.content().get(index)?.unpack_frozen())
                        .ok_or(())
                })
            });
            *place = match function {
                Some(Ok(function)) => Place::Frozen(function),
                Some(Err(())) | None => Place::Gone,
            };
        }
    }

    fn get<'v>(&self, callback: Callback, eval: &Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        match self.places.get(callback.0) {
            Some(Place::Live { module, index }) if *module == self.module => kept(eval.module())
                .and_then(|list| list.content().get(*index).copied())
                .ok_or_else(|| problem("a function of the script was lost")),
            Some(Place::Live { .. }) => Err(problem(
                "this function belongs to a script that is still loading another one, so it cannot be called yet",
            )),
            Some(Place::Frozen(function)) => Ok(eval.heap().access_owned_frozen_value(function)),
            Some(Place::Gone) | None => Err(problem("the script that this function belongs to has ended")),
        }
    }
}

/// Keeps a value of the script's beyond the call of a native function.
pub(crate) fn keep<'v>(eval: &mut Evaluator<'v, '_, '_>, value: Value<'v>) -> anyhow::Result<Callback> {
    let context = Context::of(eval)?;
    let module = eval.module();
    if module.extra_value().is_none() {
        module.set_extra_value(eval.heap().alloc(AllocList::EMPTY));
    }
    let list = module
        .extra_value()
        .ok_or_else(|| anyhow::anyhow!("a function of the script could not be kept"))?;
    let index = ListRef::from_value(list).map_or(0, |list| list.content().len());
    let push = list
        .get_attr_error("append", eval.heap())
        .map_err(starlark::Error::into_anyhow)?;
    eval.eval_function(push, &[value], &[])
        .map_err(starlark::Error::into_anyhow)?;
    let mut callbacks = context.callbacks.borrow_mut();
    let module = callbacks.module;
    callbacks.places.push(Place::Live { module, index });
    Ok(Callback(callbacks.places.len() - 1))
}

/// What was kept.
pub(crate) fn kept_value<'v>(
    eval: &Evaluator<'v, '_, '_>,
    callback: Callback,
) -> starlark::Result<Value<'v>> {
    let context = Context::of(eval)?;
    let callbacks = context.callbacks.borrow();
    callbacks.get(callback, eval)
}

/// Lets go of what was kept, so that its memory can be used again. Nothing can be called by that number any more.
pub(crate) fn forget(eval: &Evaluator<'_, '_, '_>, callback: Callback) {
    let Ok(context) = Context::of(eval) else { return };
    let mut callbacks = context.callbacks.borrow_mut();
    let innermost = callbacks.module;
    let Some(place) = callbacks.places.get_mut(callback.0) else {
        return;
    };
    if let Place::Live { module, index } = *place
        && module == innermost
        && let Some(list) = eval.module().extra_value()
        && let Ok(index) = i64::try_from(index)
    {
        // The list is ours, and is not gone through while the script runs.
        let _ = list.set_at(eval.heap().alloc(index), Value::new_none());
    }
    *place = Place::Gone;
}

/// Does what somebody outside has asked for.
pub(crate) fn perform(eval: &mut Evaluator<'_, '_, '_>, job: Job) {
    let function = kept_value(eval, job.callback);
    (job.call)(eval, function);
}

fn kept<'v>(module: &Module<'v>) -> Option<&'v ListRef<'v>> {
    ListRef::from_value(module.extra_value()?)
}

fn problem(what: &'static str) -> starlark::Error {
    anyhow::anyhow!(what).into()
}
