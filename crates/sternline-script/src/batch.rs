//! Calls that the script has asked for together, and that may be begun while it waits: the items of `concur`.
//!
//! Functions of a script that is still being evaluated can be called on its own thread only. But whenever one of them
//! waits, for a host or for a time, that thread has nothing to do. So [`wait`](crate::wait) then begins the next call, on
//! top of the one that waits. What hosts do for all of them goes on at the same time.
//!
//! The price is the order in which they end. A call goes on only when all that were begun on top of it have ended, as
//! calls do. So the first wait of each call overlaps with everything; what a call does after it comes in turn, the last
//! one that was begun first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use starlark::eval::Evaluator;
use starlark::values::Value;
use starlark::values::list::{AllocList, ListRef};
use starlark::values::tuple::{AllocTuple, TupleRef};

use crate::callback::{Callback, forget, keep, kept_value};
use crate::context::Context;
use crate::error::{ends_the_script, exited};
use crate::modules::core::Exit;
use crate::stop::Why;
use crate::wait::Stopped;

/// How many calls may lie on top of one another, in all batches together.
pub(crate) const MAX_NESTED: usize = 128;

/// Calls that were asked for together.
pub(crate) struct Batch {
    /// Two lists of the script's: the calls, each a tuple of a function and its arguments; and what they returned.
    lists: Callback,
    count: usize,
    next: Cell<usize>,
    running: Cell<usize>,
    workers: usize,
    /// From then on nothing is begun.
    deadline: Option<Instant>,
    failures: RefCell<BTreeMap<usize, starlark::Error>>,
    end: Cell<Option<Ending>>,
}

/// Why the whole script ends, whatever its functions do.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Exit(i32),
    Stopped(Why),
}

impl From<Ending> for anyhow::Error {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Exit(status) => Exit(status).into(),
            Ending::Stopped(why) => Stopped(why).into(),
        }
    }
}

/// What became of the calls of a batch, in their order.
pub(crate) struct Done<'v> {
    /// What each call returned; `None` of the script's where it failed.
    pub(crate) values: Vec<Value<'v>>,
    /// Why calls failed, by their index.
    pub(crate) failures: BTreeMap<usize, starlark::Error>,
}

/// Makes calls, each given as a function and its arguments, at most `workers` of them at the same time. All are made,
/// whatever becomes of the others, unless the deadline passes before.
///
/// # Errors
/// When the script has to end.
pub(crate) fn make_calls<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    calls: &[Vec<Value<'v>>],
    workers: usize,
    deadline: Option<Instant>,
) -> anyhow::Result<Done<'v>> {
    let context = Context::of(eval)?;
    let heap = eval.heap();
    let count = calls.len();
    let calls = heap.alloc(AllocList(
        calls.iter().map(|call| AllocTuple(call.iter().copied())),
    ));
    let results = heap.alloc(AllocList(std::iter::repeat_n(Value::new_none(), count)));
    let lists = heap.alloc(vec![calls, results]);
    let batch = Rc::new(Batch {
        lists: keep(eval, lists)?,
        count,
        next: Cell::new(0),
        running: Cell::new(0),
        workers: workers.max(1),
        deadline,
        failures: RefCell::default(),
        end: Cell::new(None),
    });
    context.batches.borrow_mut().push(Rc::clone(&batch));
    while let Some(index) = batch.take_next() {
        batch.call(eval, index);
    }
    context.batches.borrow_mut().pop();
    forget(eval, batch.lists);
    batch.go_on()?;
    let values = ListRef::from_value(results).map(|list| list.content().to_vec());
    let failures = batch.failures.take();
    Ok(Done {
        values: values.unwrap_or_default(),
        failures,
    })
}

impl Batch {
    /// The next call that may be begun now.
    pub(crate) fn take_next(&self) -> Option<usize> {
        let index = self.next.get();
        if index >= self.count || self.running.get() >= self.workers || self.end.get().is_some() {
            return None;
        }
        self.next.set(index + 1);
        Some(index)
    }

    /// Makes a call, and keeps what becomes of it.
    pub(crate) fn call(&self, eval: &mut Evaluator<'_, '_, '_>, index: usize) {
        self.running.set(self.running.get() + 1);
        if let Err(error) = self.try_call(eval, index) {
            let why = Context::of(eval)
                .ok()
                .and_then(|context| context.session.stop().why());
            match (exited(&error), why) {
                (Some(status), _) => self.end.set(Some(Ending::Exit(status))),
                (None, Some(why)) => self.end.set(Some(Ending::Stopped(why))),
                (None, None) if ends_the_script(&error) => {
                    self.end.set(Some(Ending::Stopped(Why::Interrupted)));
                }
                (None, None) => {
                    self.failures.borrow_mut().insert(index, error);
                }
            }
        }
        self.running.set(self.running.get() - 1);
    }

    fn try_call(&self, eval: &mut Evaluator<'_, '_, '_>, index: usize) -> starlark::Result<()> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(anyhow::anyhow!("timeout exceeded").into());
        }
        let lost = || anyhow::anyhow!("a function of the script was lost");
        let lists = kept_value(eval, self.lists)?;
        let lists = ListRef::from_value(lists)
            .map(|lists| lists.content())
            .unwrap_or_default();
        let [calls, results] = lists else {
            return Err(lost().into());
        };
        let (calls, results) = (*calls, *results);
        let call = ListRef::from_value(calls).and_then(|calls| calls.content().get(index).copied());
        let call = call.and_then(TupleRef::from_value).map(|call| call.content());
        let Some([function, arguments @ ..]) = call else {
            return Err(lost().into());
        };
        let value = eval.eval_function(*function, arguments, &[])?;
        let place = eval
            .heap()
            .alloc(i64::try_from(index).map_err(anyhow::Error::from)?);
        results.set_at(place, value)
    }

    /// Whether the script goes on.
    ///
    /// # Errors
    /// Why it ends, when one of the calls has said so or was told so.
    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        match self.end.get() {
            None => Ok(()),
            Some(ending) => Err(ending.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use starlark::environment::{GlobalsBuilder, Module};
    use starlark::starlark_module;
    use starlark::values::none::NoneOr;

    use super::*;
    use crate::dialect;
    use crate::evaluate::{Printer, evaluator};
    use crate::modules;
    use crate::scratch::with_session;
    use crate::wait::wait;

    #[starlark_module]
    fn natives(builder: &mut GlobalsBuilder) {
        /// Has a function called from outside, as the handler of a test server is, and waits for what it returns.
        fn ask<'v>(
            func: Value<'v>,
            argument: i32,
            eval: &mut Evaluator<'v, '_, '_>,
        ) -> anyhow::Result<NoneOr<i32>> {
            let callback = keep(eval, func)?;
            let jobs = Context::of(eval)?.jobs();
            let answer = wait(eval, async move {
                let (answer, answered) = tokio::sync::oneshot::channel();
                jobs.post(
                    callback,
                    Box::new(move |eval, function| {
                        let argument = eval.heap().alloc(argument);
                        let value =
                            function.and_then(|function| eval.eval_function(function, &[argument], &[]));
                        let _ = answer.send(value.ok().and_then(Value::unpack_i32));
                    }),
                );
                answered.await
            })??;
            Ok(NoneOr::from_option(answer))
        }
    }

    /// What a script prints that knows `ask` too.
    fn prints(script: &str) -> String {
        let (out, ()) = with_session(Path::new("/"), |session| {
            let mut builder = GlobalsBuilder::new();
            natives(&mut builder);
            let asking = builder.build();
            let mut builder = GlobalsBuilder::extended_by(modules::LANGUAGE);
            modules::core::register(&mut builder);
            modules::concur::register(&mut builder);
            modules::fmt::register(&mut builder);
            modules::time::register(&mut builder);
            builder.frozen_heap().add_reference(asking.heap());
            for (name, value) in asking.iter() {
                builder.set(name, value);
            }
            let globals = builder.build();
            let context = Context::new(session);
            Module::with_temp_heap(|module| {
                let printer = Printer(&context.session);
                let mut eval = evaluator(&module, &context, &printer);
                let ast = dialect::parse("test.star", script).unwrap();
                if let Err(error) = eval.eval_module(ast, &globals) {
                    panic!("{error}");
                }
            });
        });
        out
    }

    #[test]
    fn calls_whose_waits_need_the_script_itself_overlap_too() {
        let script = r#"
def handler(x):
    time.sleep("100ms")
    return x * 10
began = time.now()
print(concur.map(range(12), lambda x: ask(handler, x)))
print(time.since(began) < time.duration("1s"))
"#;
        assert_eq!(
            prints(script),
            "[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]\nTrue\n"
        );
    }

    #[test]
    fn no_call_begins_on_top_of_a_handler_that_somebody_waits_for() {
        let script = r#"
state = {"handlers": 0, "begun": []}
def handler(x):
    state["handlers"] += 1
    time.sleep("20ms")
    state["handlers"] -= 1
    return x
def work(x):
    state["begun"].append(state["handlers"])
    return ask(handler, x)
print(concur.map(range(9), work, workers = 2))
print(state["begun"])
"#;
        assert_eq!(
            prints(script),
            "[0, 1, 2, 3, 4, 5, 6, 7, 8]\n[0, 0, 0, 0, 0, 0, 0, 0, 0]\n"
        );
    }

    #[test]
    fn handlers_have_batches_of_their_own() {
        let script = r#"
def nap(x):
    time.sleep("5ms")
    return x
def handler(x):
    return len(concur.map(range(x), nap))
print(concur.map([1, 2, 3], lambda x: ask(handler, x)))
"#;
        assert_eq!(prints(script), "[1, 2, 3]\n");
    }

    #[test]
    fn what_a_batch_was_given_can_be_forgotten_behind_it() {
        let script = r#"
def nap(x):
    time.sleep("0s")
    return [x] * 1000
def all():
    total = 0
    for _ in range(50):
        total += len(concur.map(range(20), nap))
    return total
print(all())
for _ in range(3):
    print(len(concur.map(range(3), nap)))
"#;
        assert_eq!(prints(script), "1000\n3\n3\n3\n");
    }
}
