//! The client: the hosts of `ssh.config`, and what can be done on them.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use either::Either;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::bytes::StarlarkBytes;
use starlark::values::list::UnpackList;
use starlark::values::none::NoneType;
use starlark::values::{
    Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, ValueLike, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};
use sternline::Transfer;
use sternline::exec::{ExecRequest, Script, Stdin};

use super::arguments::{Name, Of, Variables, environment, length, strings, text};
use super::dialogue::Dialogue;
use super::exec::LineCalls;
use super::failure::{HostsFailed, Results};
use super::forward::Forward;
use super::result::{Ran, reason};
use super::rules::OnError;
use super::settings::{Called, Settings};
use super::work::Work;
use super::{dialogue, exec, forward, permit, transfer};
use crate::callback;
use crate::context::Context;
use crate::outcome::try_method;
use crate::wait::wait_to_end;

/// The hosts of `ssh.config`, and how to work on them. It is true when there are hosts.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Client(#[allocative(skip)] Arc<Work>);
starlark_simple_value!(Client);

impl Client {
    /// Its connections are closed when the script ends, or the test.
    pub(super) fn new(settings: Settings, context: &Context) -> Self {
        let work = Arc::new(Work::new(settings));
        let weak = Arc::downgrade(&work);
        context.at_end(async move {
            if let Some(work) = weak.upgrade() {
                work.close().await;
            }
        });
        Self(work)
    }

    fn on_error(&self, function: &str, given: Option<&str>) -> anyhow::Result<OnError> {
        match given {
            Some(word) => OnError::read(function, word),
            None => Ok(self.0.settings.on_error),
        }
    }

    /// Runs something on all hosts.
    fn run<'v>(
        &self,
        function: &'static str,
        request: impl Fn(&str) -> ExecRequest + Send + 'static,
        on_line: Option<Value<'v>>,
        on_error: OnError,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let context = Context::of(eval)?;
        let lines = match on_line {
            Some(on_line) => Some(LineCalls::new(context.jobs(), callback::keep(eval, on_line)?)),
            None => None,
        };
        let (work, session) = (Arc::clone(&self.0), context.session.clone());
        let ended = wait_to_end(eval, async move {
            let fleet = work.fleet(&session, on_error).await?;
            let ended = exec::run(&fleet, &work.labels, request, session.stop(), lines).await;
            let ended = ended.map_err(|error| anyhow::anyhow!("{function}: {}", reason(&error)))?;
            if ended.results.iter().any(|ran| !ran.error.is_empty()) {
                work.read_again();
            }
            Ok::<_, anyhow::Error>(ended)
        })??;
        match ended.callback {
            Some(error) => Err(error),
            None => finish(function, Results::Ran(ended.results), on_error, eval.heap()),
        }
    }

    /// Moves files to or from all hosts.
    fn transfer<'v>(
        &self,
        function: &'static str,
        transfer: Transfer,
        named: transfer::Named,
        on_error: OnError,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let (work, session) = (Arc::clone(&self.0), Context::of(eval)?.session.clone());
        let results = wait_to_end(eval, async move {
            if !named.is_download {
                transfer::check_source(&named.local, &named.src).await?;
            }
            let fleet = work.fleet(&session, on_error).await?;
            let results = transfer::run(&fleet, &work.labels, transfer, &named, session.stop()).await;
            let results = results.map_err(|error| anyhow::anyhow!("{function}: {}", reason(&error)))?;
            if results.iter().any(|moved| !moved.error.is_empty()) {
                work.read_again();
            }
            Ok::<_, anyhow::Error>(results)
        })??;
        finish(function, Results::Moved(results), on_error, eval.heap())
    }
}

/// The list of results, or the error that carries them.
fn finish<'v>(
    function: &'static str,
    results: Results,
    on_error: OnError,
    heap: Heap<'v>,
) -> starlark::Result<Value<'v>> {
    match on_error == OnError::Raise && results.has_failed() {
        true => Err(starlark::Error::new_native(HostsFailed::new(function, results))),
        false => Ok(results.into_list(heap)),
    }
}

/// What a call says about what is put round its command.
fn called<'v>(
    function: &str,
    sudo: Option<bool>,
    as_user: Option<&str>,
    cwd: Option<&str>,
    env: Option<Of<'v, Variables>>,
) -> anyhow::Result<Called> {
    Ok(Called {
        sudo,
        as_user: text(as_user),
        cwd: text(cwd),
        env: env
            .map(|value| environment(Name::new(function, "env"), value.get()))
            .transpose()?
            .unwrap_or_default(),
    })
}

/// What a command reads: a text or bytes.
fn input(function: &str, value: Value) -> anyhow::Result<bytes::Bytes> {
    if let Some(text) = value.unpack_str() {
        return Ok(bytes::Bytes::copy_from_slice(text.as_bytes()));
    }
    match value.downcast_ref::<StarlarkBytes>() {
        Some(bytes) => Ok(bytes::Bytes::copy_from_slice(bytes.as_bytes())),
        None => Err(Name::new(function, "stdin").not("a string or bytes", value)),
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ssh.client hosts=[{}]>", self.0.labels.join(" "))
    }
}

starlark::methods_static!(METHODS = methods);

/// The methods that have a `try_` form.
const TRIED: [&str; 10] = [
    "close",
    "connect",
    "download",
    "exec",
    "expect",
    "forward_dynamic",
    "forward_local",
    "forward_remote",
    "script",
    "upload",
];

#[starlark_value(type = "ssh.client")]
impl<'v> StarlarkValue<'v> for Client {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        !self.0.labels.is_empty()
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let tried = attribute
            .strip_prefix("try_")
            .filter(|method| TRIED.contains(method));
        tried.and_then(|_| try_method(heap.alloc(self.clone()), attribute, heap))
    }

    fn dir_attr(&self) -> Vec<String> {
        TRIED.iter().map(|method| format!("try_{method}")).collect()
    }
}

#[starlark_module]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the parameters that scripts have"
)]
fn methods(builder: &mut MethodsBuilder) {
    /// The hosts, in their order, as results call them.
    #[starlark(attribute)]
    fn hosts(this: &Client) -> anyhow::Result<Vec<String>> {
        Ok(this.0.labels.to_vec())
    }

    /// Runs a command on all hosts, and returns a list of `SSHResult`, one for each host in their order. An exit status other
    /// than 0 is no error: see `ok` and `code`.
    ///
    /// The server gets exactly `cmd`, unless something is put round it: then the command runs in `cwd`, sees `env`, and all of
    /// it runs through sudo. Names and values are quoted.
    ///
    /// # Arguments
    ///
    /// * `cmd`: text for the account's shell on the host.
    /// * `sudo`: whether it runs through sudo. Default: as the client was told.
    /// * `as_user`: the user that it runs as; this means sudo.
    /// * `cwd`: the directory that it runs in.
    /// * `env`: variables for it: a dict of strings. They stand in the command line on the host, so secrets belong into `stdin`.
    /// * `stdin`: what it reads: a string or bytes. Default: nothing.
    /// * `timeout`: how long it may take, such as `"90s"`. Then it is ended on its host.
    /// * `on_line`: a function `fn(host, stream, line)` that is called for each line when it comes; `stream` is `"stdout"` or
    ///   `"stderr"`, and the line has no end. If it fails the commands are ended.
    /// * `on_error`: `"raise"` or `"continue"`: what becomes of hosts that could not be worked on. Default: as the client was
    ///   told.
    fn exec<'v>(
        this: &Client,
        cmd: &str,
        #[starlark(require = named)] sudo: Option<bool>,
        #[starlark(require = named)] as_user: Option<&str>,
        #[starlark(require = named)] cwd: Option<&str>,
        #[starlark(require = named)] env: Option<Of<'v, Variables>>,
        #[starlark(require = named)] stdin: Option<Of<'v, Either<String, StarlarkBytes>>>,
        #[starlark(require = named)] timeout: Option<&str>,
        #[starlark(require = named)] on_line: Option<Value<'v>>,
        #[starlark(require = named)] on_error: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        const FUNCTION: &str = "exec";
        let settings = &this.0.settings;
        let session = &Context::of(eval)?.session;
        let on_error = this.on_error(FUNCTION, on_error)?;
        let stdin = stdin.map(|value| input(FUNCTION, value.get())).transpose()?;
        let timeout = length(FUNCTION, "timeout", timeout)?.or(settings.defaults.timeout);
        let around = settings
            .defaults
            .around(called(FUNCTION, sudo, as_user, cwd, env)?);
        let around = around.map_err(|error| anyhow::anyhow!("{FUNCTION}: {error}"))?;
        for host in &settings.hosts {
            permit::command(session, FUNCTION, host, cmd, &around)?;
        }
        let command = around.command(cmd);
        if !command.answers_sudo() {
            command
                .to_line()
                .map_err(|error| anyhow::anyhow!("{FUNCTION}: {error}"))?;
        }
        if settings.dry_run {
            let told = exec::dry_run(&this.0.labels, &command.describe());
            return Ok(Results::Ran(told).into_list(eval.heap()));
        }
        if settings.hosts.is_empty() {
            return Ok(eval.heap().alloc(Vec::<i32>::new()));
        }
        let request = move |_: &str| {
            let mut request = ExecRequest::new(command.clone());
            if let Some(stdin) = &stdin {
                request = request.stdin(Stdin::Bytes(stdin.clone()));
            }
            match timeout {
                Some(timeout) => request.timeout(timeout),
                None => request,
            }
        };
        this.run(FUNCTION, request, on_line, on_error, eval)
    }

    /// Runs a script of this machine on all hosts, without leaving it there, and returns a list of `SSHResult`. Its `#!` line
    /// says who interprets it, else `/bin/sh` does.
    ///
    /// # Arguments
    ///
    /// * `path`: the script.
    /// * `args`: its arguments: a list of strings.
    /// * `sudo`, `as_user`, `cwd`, `env`, `timeout`, `on_line`, `on_error`: as for `exec`.
    fn script<'v>(
        this: &Client,
        path: &str,
        args: Option<Of<'v, UnpackList<String>>>,
        #[starlark(require = named)] sudo: Option<bool>,
        #[starlark(require = named)] as_user: Option<&str>,
        #[starlark(require = named)] cwd: Option<&str>,
        #[starlark(require = named)] env: Option<Of<'v, Variables>>,
        #[starlark(require = named)] timeout: Option<&str>,
        #[starlark(require = named)] on_line: Option<Value<'v>>,
        #[starlark(require = named)] on_error: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        const FUNCTION: &str = "script";
        let settings = &this.0.settings;
        let session = &Context::of(eval)?.session;
        let on_error = this.on_error(FUNCTION, on_error)?;
        let args = args
            .map(|value| strings(Name::new(FUNCTION, "args"), value.get()))
            .transpose()?;
        let args = args.unwrap_or_default();
        let timeout = length(FUNCTION, "timeout", timeout)?.or(settings.defaults.timeout);
        let shown = [&[path.to_owned()], args.as_slice()].concat().join(" ");
        let around = settings
            .defaults
            .around(called(FUNCTION, sudo, as_user, cwd, env)?);
        let around = around.map_err(|error| anyhow::anyhow!("{FUNCTION}: {error}"))?;
        for host in &settings.hosts {
            permit::command(session, FUNCTION, host, &shown, &around)?;
        }
        if settings.dry_run {
            let told = exec::dry_run(&this.0.labels, &around.command(&shown).describe());
            return Ok(Results::Ran(told).into_list(eval.heap()));
        }
        let local = permit::read(session, FUNCTION, path)?;
        let wrong = |error: &dyn fmt::Display| {
            anyhow::anyhow!("{FUNCTION}: {}: {error}", sternline::proto::text::escape(path))
        };
        let text = std::fs::read(&local).map_err(|error| wrong(&error))?;
        if settings.hosts.is_empty() {
            return Ok(eval.heap().alloc(Vec::<i32>::new()));
        }
        let script = Script::new(text).map_err(|error| wrong(&error))?;
        let script = around.script(script.args(args));
        let request = move |_: &str| match timeout {
            Some(timeout) => script.request().timeout(timeout),
            None => script.request(),
        };
        this.run(FUNCTION, request, on_line, on_error, eval)
    }

    /// Copies a file of this machine to all hosts, and returns a list of `SSHTransferResult`. The file is complete when it gets
    /// its name, and directories above it are made.
    ///
    /// # Arguments
    ///
    /// * `src`: the file here.
    /// * `dst`: its path there, or a directory.
    /// * `mode`: its permission bits there: octal digits in a string.
    /// * `skip_unchanged`: leaves a file alone that has the same content already; then `changed` is False.
    /// * `on_error`: as for `exec`.
    fn upload<'v>(
        this: &Client,
        src: &str,
        dst: &str,
        #[starlark(require = named, default = "0644")] mode: &str,
        #[starlark(require = named, default = false)] skip_unchanged: bool,
        #[starlark(require = named)] on_error: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        const FUNCTION: &str = "upload";
        let settings = &this.0.settings;
        let session = &Context::of(eval)?.session;
        let on_error = this.on_error(FUNCTION, on_error)?;
        let bits = super::arguments::mode(FUNCTION, mode)?;
        for host in &settings.hosts {
            permit::upload(session, host, src, dst)?;
        }
        if settings.dry_run {
            return Ok(Results::Moved(transfer::dry_run(&this.0.labels, src, dst)).into_list(eval.heap()));
        }
        if settings.hosts.is_empty() {
            return Ok(eval.heap().alloc(Vec::<i32>::new()));
        }
        let local = permit::read(session, FUNCTION, src)?;
        let mut transfer = Transfer::upload(&local, dst).mode(bits);
        if skip_unchanged {
            transfer = transfer.skip_unchanged(true).checksum(true);
        }
        let named = transfer::Named {
            src: src.to_owned(),
            dst: dst.to_owned(),
            local: local.clone(),
            is_download: false,
        };
        this.transfer(FUNCTION, transfer, named, on_error, eval)
    }

    /// Copies a file of all hosts to this machine, and returns a list of `SSHTransferResult`, whose `dst` says where each is.
    ///
    /// With several hosts the name ends in the host's: `app.log.web-1`. In a directory the file has its own name, with that
    /// behind it. Directories above it are made.
    ///
    /// # Arguments
    ///
    /// * `src`: the file there.
    /// * `dst`: its path here, or a directory, which may end in `/`.
    /// * `on_error`: as for `exec`.
    fn download<'v>(
        this: &Client,
        src: &str,
        dst: &str,
        #[starlark(require = named)] on_error: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        const FUNCTION: &str = "download";
        let settings = &this.0.settings;
        let session = &Context::of(eval)?.session;
        let on_error = this.on_error(FUNCTION, on_error)?;
        for host in &settings.hosts {
            permit::download(session, host, src, dst)?;
        }
        if settings.dry_run {
            return Ok(Results::Moved(transfer::dry_run(&this.0.labels, src, dst)).into_list(eval.heap()));
        }
        if settings.hosts.is_empty() {
            return Ok(eval.heap().alloc(Vec::<i32>::new()));
        }
        let local = permit::write(session, FUNCTION, dst)?;
        permit::landing(session, FUNCTION, src, &local)?;
        let named = transfer::Named {
            src: src.to_owned(),
            dst: dst.to_owned(),
            local: local.clone(),
            is_download: true,
        };
        this.transfer(FUNCTION, Transfer::download(src, &local), named, on_error, eval)
    }

    /// Connects to all hosts now, and returns a list of `SSHResult`, ok where there is a connection. Calls connect by themselves;
    /// this is for finding out early.
    ///
    /// # Arguments
    ///
    /// * `on_error`: as for `exec`.
    fn connect<'v>(
        this: &Client,
        #[starlark(require = named)] on_error: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        const FUNCTION: &str = "connect";
        let on_error = this.on_error(FUNCTION, on_error)?;
        if this.0.settings.dry_run || this.0.labels.is_empty() {
            let told = this.0.labels.iter().map(|label| Ran {
                dry_run: true,
                ..Ran::well(label)
            });
            return Ok(Results::Ran(told.collect()).into_list(eval.heap()));
        }
        let (work, session) = (Arc::clone(&this.0), Context::of(eval)?.session.clone());
        let results = crate::wait::wait(eval, async move {
            let fleet = work.fleet(&session, on_error).await?;
            let open = fleet.connect().await;
            let open = open.map_err(|error| anyhow::anyhow!("{FUNCTION}: {}", reason(&error)))?;
            let made = open.connections().zip(work.labels.iter());
            let results: Vec<Ran> = made
                .map(|((_, connection), label)| match connection {
                    Ok(_) => Ran::well(label),
                    Err(error) => Ran::failed(label, reason(error)),
                })
                .collect();
            if results.iter().any(|ran| !ran.error.is_empty()) {
                work.read_again();
            }
            Ok::<_, anyhow::Error>(results)
        })??;
        finish(FUNCTION, Results::Ran(results), on_error, eval.heap())
    }

    /// Closes all connections, with the forwards and dialogues over them. The script's end does it too; the next call connects
    /// again.
    fn close<'v>(this: &Client, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let work = Arc::clone(&this.0);
        wait_to_end(eval, async move { work.close().await })?;
        Ok(NoneType)
    }

    /// Listens on a port of this machine, and has a host connect on (`ssh -L`). Returns a forward: `port` is the port here, and
    /// `close()` ends it, as the script's end does.
    ///
    /// # Arguments
    ///
    /// * `to`: where it leads, as the host sees it: `"db.internal:5432"`, or a port of the host itself.
    /// * `port`: the port here. Default 0: any that is free.
    /// * `host`: which of the client's hosts; it may be left out where there is only one.
    fn forward_local<'v>(
        this: &Client,
        to: Of<'v, Either<i32, String>>,
        #[starlark(require = named, default = 0)] port: i32,
        #[starlark(require = named)] host: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Forward> {
        let to = forward::place("forward_local", to.get())?;
        forward::open(
            &this.0,
            "forward_local",
            forward::Way::Local(to),
            port,
            host,
            eval,
        )
    }

    /// Has a host listen on a port of its own loopback, and connects on from this machine (`ssh -R`). Returns a forward whose
    /// `port` is the port there.
    ///
    /// # Arguments
    ///
    /// * `to`: where it leads, as this machine sees it: `"127.0.0.1:8080"`, or a port of this machine.
    /// * `port`: the port on the host. Default 0: any that is free.
    /// * `host`: as for `forward_local`.
    fn forward_remote<'v>(
        this: &Client,
        to: Of<'v, Either<i32, String>>,
        #[starlark(require = named, default = 0)] port: i32,
        #[starlark(require = named)] host: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Forward> {
        let to = forward::place("forward_remote", to.get())?;
        forward::open(
            &this.0,
            "forward_remote",
            forward::Way::Remote(to),
            port,
            host,
            eval,
        )
    }

    /// A SOCKS proxy on this machine whose connections a host makes (`ssh -D`). Returns a forward whose `port` is the port here.
    ///
    /// # Arguments
    ///
    /// * `port`: the port here. Default 0: any that is free.
    /// * `host`: as for `forward_local`.
    fn forward_dynamic<'v>(
        this: &Client,
        #[starlark(require = named, default = 0)] port: i32,
        #[starlark(require = named)] host: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Forward> {
        forward::open(
            &this.0,
            "forward_dynamic",
            forward::Way::Dynamic,
            port,
            host,
            eval,
        )
    }

    /// Starts a command on one host in order to talk to it. Returns a dialogue, with `expect`, `send` and `finish`.
    ///
    /// # Arguments
    ///
    /// * `cmd`: text for the account's shell on the host.
    /// * `host`: as for `forward_local`.
    /// * `pty`: whether it runs in a terminal, which most programs want that ask for a password. Default True.
    /// * `timeout`: how long each `expect` waits, unless it says otherwise. Default 30s.
    /// * `sudo`, `as_user`, `cwd`, `env`: as for `exec`.
    fn expect<'v>(
        this: &Client,
        cmd: &str,
        #[starlark(require = named)] host: Option<&str>,
        #[starlark(require = named, default = true)] pty: bool,
        #[starlark(require = named, default = "30s")] timeout: &str,
        #[starlark(require = named)] sudo: Option<bool>,
        #[starlark(require = named)] as_user: Option<&str>,
        #[starlark(require = named)] cwd: Option<&str>,
        #[starlark(require = named)] env: Option<Of<'v, Variables>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Dialogue> {
        let called = called("expect", sudo, as_user, cwd, env)?;
        let timeout = length("expect", "timeout", Some(timeout))?;
        dialogue::start(&this.0, cmd, called, host, pty, timeout, eval)
    }
}
