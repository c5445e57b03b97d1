//! The module `inventory`: hosts from files, and choosing among them.

mod read;

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use serde::{Serialize, Serializer};
use starlark::any::ProvidesStaticType;
use starlark::collections::SmallMap;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::AllocDict;
use starlark::values::none::NoneOr;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Heap, StarlarkPagablePanic, StarlarkValue, UnpackValue as _, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::proto::inventory as proto;
use sternline::proto::text::escape;

use super::fs::arguments::PathArg;
use crate::context::Context;
use crate::data::{Data, from_data, from_fields, to_data};
use crate::outcome::{try_method, with_try};
use crate::permissions::Access;
use crate::wait::wait;
use read::{Item, PROBLEM, name};

/// How many oddities of a file are told. Those of a broken generator are thousands of the same kind.
const WARNINGS: usize = 10;

/// Adds the module `inventory`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("inventory", |builder| with_try(builder, functions));
}

/// Hosts, each a dict. Attributes: `items`, `count` and `names`; `len()`, `[]` and `for` work too.
#[derive(Debug, Clone, ProvidesStaticType, StarlarkPagablePanic, Allocative)]
pub(crate) struct Inventory(#[allocative(skip)] Arc<Inner>);
starlark_simple_value!(Inventory);

#[derive(Debug)]
struct Inner {
    items: Vec<Item>,
    /// The inventory that they are of, if it is more than a list. It may have further hosts.
    known: Option<Arc<proto::Inventory>>,
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<inventory count={}>", self.0.items.len())
    }
}

impl Serialize for Inventory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.items.serialize(serializer)
    }
}

impl Inventory {
    fn new(items: Vec<Item>, known: Option<Arc<proto::Inventory>>) -> Self {
        Self(Arc::new(Inner { items, known }))
    }

    /// The same inventory with other hosts of it.
    fn with(&self, items: Vec<Item>) -> Self {
        Self::new(items, self.0.known.clone())
    }

    /// Its hosts as entries of `ssh.config(hosts=...)`: `host` is the address, beside it are `name`, and `user`, `port`, `key` and
    /// `jump_host` where they are known.
    ///
    /// # Errors
    /// When a host has neither address nor name, or its inventory says something about it that cannot be used.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<Item>> {
        let entries = self.0.items.iter().enumerate();
        entries.map(|(index, item)| entry(index, item)).collect()
    }

    fn items<'v>(&self, heap: Heap<'v>) -> anyhow::Result<Vec<Value<'v>>> {
        self.0.items.iter().map(|item| from_fields(item, heap)).collect()
    }

    fn select(&self, selection: &str) -> anyhow::Result<Self> {
        let problem = |error: String| anyhow::anyhow!("inventory.select: {error}");
        let known = match &self.0.known {
            Some(known) => Arc::clone(known),
            None => Arc::new(read::known(&self.0.items).map_err(|error| problem(error.to_string()))?),
        };
        let selected = proto::select(&known, selection).map_err(|error| problem(error.to_string()))?;
        let mut items = Vec::new();
        for host in selected.hosts {
            let target = host.target;
            if host.host.is_none() {
                let error = format!("{} is not in this inventory", escape(target.host()));
                return Err(problem(error));
            }
            let found = self.0.items.iter().find(|item| name(item) == Some(target.host()));
            // Others of the same inventory were filtered out before.
            let Some(mut item) = found.cloned() else { continue };
            if let Some(user) = target.user() {
                item.insert("user".to_owned(), user.into());
            }
            if let Some(port) = target.port() {
                item.insert("port".to_owned(), port.into());
            }
            items.push(item);
        }
        Ok(self.with(items))
    }
}

fn entry(index: usize, item: &Item) -> anyhow::Result<Item> {
    if let Some(problem) = item.get(PROBLEM).and_then(Data::as_str) {
        anyhow::bail!("{}: {problem}", escape(name(item).unwrap_or_default()));
    }
    let address = ["address", "host", "hostname", "name"];
    let address = address.iter().find_map(|field| item.get(*field)?.as_str());
    let Some(address) = address else {
        anyhow::bail!("item {index} of the inventory has no field \"address\"");
    };
    let mut entry = Item::new();
    entry.insert("host".to_owned(), address.into());
    if let Some(name) = name(item) {
        entry.insert("name".to_owned(), name.into());
    }
    for field in ["user", "port", "key", "jump_host"] {
        if let Some(value) = item.get(field) {
            entry.insert(field.to_owned(), value.clone());
        }
    }
    Ok(entry)
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "inventory")]
impl<'v> StarlarkValue<'v> for Inventory {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        !self.0.items.is_empty()
    }

    fn length(&self) -> starlark::Result<i32> {
        Ok(i32::try_from(self.0.items.len()).unwrap_or(i32::MAX))
    }

    fn iterate_collect(&self, heap: Heap<'v>) -> starlark::Result<Vec<Value<'v>>> {
        Ok(self.items(heap)?)
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let count = self.0.items.len();
        let item = i32::unpack_value(index)?.and_then(|index| {
            let index = if index < 0 {
                count.checked_add_signed(index as isize)?
            } else {
                usize::try_from(index).ok()?
            };
            self.0.items.get(index)
        });
        match item {
            Some(item) => Ok(from_fields(item, heap)?),
            None => Err(
                anyhow::anyhow!("the inventory has {count} hosts, and none at {}", index.to_repr()).into(),
            ),
        }
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "items" => Some(heap.alloc(self.items(heap).ok()?)),
            "count" => Some(heap.alloc(i64::try_from(self.0.items.len()).unwrap_or(i64::MAX))),
            "names" => {
                let names: Vec<&str> = self.0.items.iter().filter_map(name).collect();
                Some(heap.alloc(names))
            }
            _ => try_method(heap.alloc(self.clone()), attribute, heap),
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        ["count", "items", "names", "try_select"]
            .map(str::to_owned)
            .to_vec()
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The hosts that a selection means: "web:&prod:!canary", "web-[01-20]", "env=prod"; the same as `inventory.select`.
    fn select(this: &Inventory, selection: &str) -> anyhow::Result<Inventory> {
        this.select(selection)
    }
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Reads hosts from a file.
    ///
    /// Args:
    ///   path: a list of mappings in YAML or JSON; a mapping of groups to such lists, which adds a field "_group"; an inventory in
    ///     our TOML or in Ansible's INI or YAML, or a directory of them. The hosts of an inventory have the fields "name",
    ///     "address" and "groups", "user", "port", "key", "jump_host" and "labels" where they are known, and their variables.
    ///
    /// The result can be given to `ssh.config(hosts=...)`.
    fn file<'v>(path: PathArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Inventory> {
        let session = Context::of(eval)?.session.clone();
        let file = session.permit_path(Access::Read, "inventory", &path.0)?;
        for folder in read::beside(&file) {
            session.permit_path(Access::Read, "inventory", &folder.to_string_lossy())?;
        }
        let read = wait(eval, async move {
            tokio::task::spawn_blocking(move || read::read(&file)).await
        })???;
        for warning in read.warnings.iter().take(WARNINGS) {
            session.message(&format!("warning: {warning}"));
        }
        Ok(Inventory::new(read.items, read.known.map(Arc::new)))
    }

    /// The hosts as a list of dicts.
    fn list<'v>(inventory: &'v Inventory, heap: Heap<'v>) -> anyhow::Result<Vec<Value<'v>>> {
        inventory.items(heap)
    }

    /// The hosts that a function returns True for, and whose fields are as the keywords say.
    ///
    /// Args:
    ///   inventory: what `inventory.file` returned.
    ///   func: is called with the dict of each host. Default: all hosts.
    fn filter<'v>(
        inventory: &'v Inventory,
        #[starlark(default = NoneOr::None)] func: NoneOr<Value<'v>>,
        #[starlark(kwargs)] equals: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Inventory> {
        let heap = eval.heap();
        let mut wanted = Vec::new();
        for (field, value) in equals {
            wanted.push((field, to_data(value, heap)?));
        }
        let mut items = Vec::new();
        for item in &inventory.0.items {
            let fits = wanted.iter().all(|(field, value)| item.get(field) == Some(value));
            let fits = match func {
                NoneOr::Other(func) if fits => {
                    let host = from_fields(item, heap)?;
                    eval.eval_function(func, &[host], &[])?.to_bool()
                }
                _ => fits,
            };
            if fits {
                items.push(item.clone());
            }
        }
        Ok(inventory.with(items))
    }

    /// A dict from each value of a field to the inventory of the hosts that have it. Of a field with a list, such as "groups", a
    /// host is in the inventory of each word. Those without the field are under None.
    fn group_by<'v>(inventory: &'v Inventory, key: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let mut groups: Vec<(Data, Vec<Item>)> = Vec::new();
        for item in &inventory.0.items {
            let values = match item.get(key) {
                None => vec![Data::Null],
                Some(Data::Array(values)) => values.clone(),
                Some(Data::Object(fields)) => vec![Data::Object(fields.clone()).to_string().into()],
                Some(value) => vec![value.clone()],
            };
            for value in values {
                match groups.iter_mut().find(|(known, _)| *known == value) {
                    Some((_, items)) => items.push(item.clone()),
                    None => groups.push((value, vec![item.clone()])),
                }
            }
        }
        let mut named = Vec::new();
        for (value, items) in groups {
            let value = match value {
                Data::Array(_) | Data::Object(_) => value.to_string().into(),
                value => value,
            };
            named.push((from_data(&value, heap)?, heap.alloc(inventory.with(items))));
        }
        Ok(heap.alloc(AllocDict(named)))
    }

    /// One inventory of the hosts of several, in their order.
    fn merge<'v>(#[starlark(args)] inventories: UnpackTuple<&'v Inventory>) -> anyhow::Result<Inventory> {
        let items = inventories
            .items
            .iter()
            .flat_map(|inventory| inventory.0.items.clone());
        Ok(Inventory::new(items.collect(), None))
    }

    /// What one field of each host says: for `ssh.config(hosts=inventory.addresses(inv))`.
    ///
    /// Fails for a host without that field.
    fn addresses<'v>(
        inventory: &'v Inventory,
        #[starlark(default = "address")] key: &str,
    ) -> anyhow::Result<Vec<String>> {
        let addresses = inventory
            .0
            .items
            .iter()
            .enumerate()
            .map(|(index, item)| match item.get(key) {
                Some(Data::String(address)) => Ok(address.clone()),
                Some(Data::Number(number)) => Ok(number.to_string()),
                _ => {
                    let name = name(item)
                        .map(|name| format!(" ({})", escape(name)))
                        .unwrap_or_default();
                    Err(anyhow::anyhow!(
                        "inventory.addresses: item {index}{name} has no field {key:?} with an address"
                    ))
                }
            });
        addresses.collect()
    }

    /// The hosts that a selection means, as on the command line: terms between commas or colons are put together, `&` keeps what
    /// they have in common, `!` takes away. A term is a host, a group, a pattern such as "web*", a range such as "web-[01-20]",
    /// or a field with its value, such as "env=prod".
    ///
    /// Fails when a name is not in the inventory, and when nothing is left.
    fn select<'v>(inventory: &'v Inventory, selection: &str) -> anyhow::Result<Inventory> {
        inventory.select(selection)
    }
}

#[cfg(test)]
mod tests;
