//! Forwards: ports at one end that lead to the other.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::none::NoneType;
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::proto::target::Target;
use sternline::{ForwardHandle, ForwardManager};

use super::arguments::Name;
use super::result::reason;
use super::work::Work;
use super::{arguments, one, permit};
use crate::context::Context;
use crate::wait::wait;

/// A forward through one host.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Forward(#[allocative(skip)] Arc<Inner>);
starlark_simple_value!(Forward);

struct Inner {
    host: String,
    handle: ForwardHandle,
    /// The forward ends with it.
    _manager: ForwardManager,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// Which way it goes.
pub(super) enum Way {
    /// From here to a place that the host reaches.
    Local((String, u16)),
    /// From the host to a place that this machine reaches.
    Remote((String, u16)),
    /// From here to wherever a client of the proxy wants.
    Dynamic,
}

/// `host:port`, or a port of the other end itself.
pub(super) fn place(function: &str, value: Value) -> anyhow::Result<(String, u16)> {
    let name = Name::new(function, "to");
    let expected = "a place such as \"db.internal:5432\", or a port";
    if let Some(port) = value.unpack_i32() {
        return Ok(("127.0.0.1".to_owned(), arguments::port(function, port)?));
    }
    let text = value.unpack_str().ok_or_else(|| name.not(expected, value))?;
    let target: Target = text.parse().map_err(|error| name.wrong(error))?;
    match (target.user(), target.port()) {
        (None, Some(port)) => Ok((target.host().to_owned(), port)),
        _ => Err(name.wrong(format!(
            "it must be {expected}, not \"{}\"",
            sternline::proto::text::escape(text)
        ))),
    }
}

/// Opens one.
pub(super) fn open(
    work: &Arc<Work>,
    function: &'static str,
    way: Way,
    port: i32,
    host: Option<&str>,
    eval: &mut Evaluator<'_, '_, '_>,
) -> anyhow::Result<Forward> {
    let port = match port {
        0 => 0,
        port => arguments::port(function, port)?,
    };
    let index = one::index(function, &work.settings.hosts, host)?;
    let session = Context::of(eval)?.session.clone();
    if let Some(host) = work.settings.hosts.get(index) {
        let what = match &way {
            Way::Local((to, port)) | Way::Remote((to, port)) => format!("{to}:{port}"),
            Way::Dynamic => "*".to_owned(),
        };
        permit::forward(&session, function, host, &what)?;
    }
    if work.settings.dry_run {
        return Err(anyhow::anyhow!("{function}: a dry run opens no forwards"));
    }
    let work = Arc::clone(work);
    wait(eval, async move {
        let connection = work.connection(&session, index).await?;
        let manager = ForwardManager::new(&connection);
        let handle = match way {
            Way::Local((to, to_port)) => manager.forward_local(port, &to, to_port).await,
            Way::Remote((to, to_port)) => manager.forward_remote(port, &to, to_port).await,
            Way::Dynamic => manager.forward_dynamic(port).await,
        };
        let host = work.labels.get(index).cloned().unwrap_or_default();
        let handle =
            handle.map_err(|error| anyhow::anyhow!("{function}: host {host}: {}", reason(&error)))?;
        work.remember_forward(&handle);
        Ok(Forward(Arc::new(Inner {
            host,
            handle,
            _manager: manager,
        })))
    })?
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ssh.forward host={} {}>", self.0.host, self.0.handle.intent())
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "ssh.forward")]
impl<'v> StarlarkValue<'v> for Forward {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The port that is listened on: here, or on the host for a remote forward.
    #[starlark(attribute)]
    fn port(this: &Forward) -> anyhow::Result<i32> {
        Ok(i32::from(this.0.handle.local_port()))
    }

    /// The host that it leads through.
    #[starlark(attribute)]
    fn host(this: &Forward) -> anyhow::Result<String> {
        Ok(this.0.host.clone())
    }

    /// Whether something listens.
    #[starlark(attribute)]
    fn active(this: &Forward) -> anyhow::Result<bool> {
        Ok(this.0.handle.is_active())
    }

    /// How many connections have gone through it so far.
    #[starlark(attribute)]
    fn connections(this: &Forward) -> anyhow::Result<u64> {
        Ok(this.0.handle.total_connections())
    }

    /// Stops listening. Connections that are open stay open.
    fn close<'v>(this: &Forward, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let handle = this.0.handle.clone();
        wait(eval, async move { handle.close().await })?;
        Ok(NoneType)
    }
}
