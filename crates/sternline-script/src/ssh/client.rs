//! `ssh.config` and what it returns.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::list::UnpackList;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::Fleet;

use crate::outcome::try_method;
use crate::wait::wait;

/// The hosts of `ssh.config`, and how to work on them.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Client(#[allocative(skip)] Arc<Inner>);
starlark_simple_value!(Client);

#[derive(Debug)]
struct Inner {
    hosts: Vec<String>,
    fleet: Fleet,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ssh.client hosts=[{}]>", self.0.hosts.join(" "))
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "ssh.client")]
impl<'v> StarlarkValue<'v> for Client {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        !self.0.hosts.is_empty()
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "hosts" => Some(heap.alloc(self.0.hosts.clone())),
            _ => try_method(heap.alloc(self.clone()), attribute, heap),
        }
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Runs a command on all hosts.
    fn exec<'v>(this: &Client, cmd: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<String>> {
        let (fleet, cmd) = (this.0.fleet.clone(), cmd.to_owned());
        let outcomes = wait(eval, async move {
            let mut texts = Vec::new();
            for outcome in fleet.exec(cmd).await? {
                texts.push(outcome.stdout.text().await.unwrap_or_default());
            }
            Ok::<_, sternline::Error>(texts)
        })?;
        Ok(outcomes?)
    }
}

#[starlark_module]
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    /// Hosts, and how to connect to them.
    fn config(#[starlark(require = named)] hosts: UnpackList<String>) -> anyhow::Result<Client> {
        let fleet = Fleet::new(hosts.items.clone());
        Ok(Client(Arc::new(Inner {
            hosts: hosts.items,
            fleet,
        })))
    }
}
