//! The value that `ssh.test_server` returns, and its methods.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use anyhow::Context as _;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::bytes::StarlarkBytes;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::list::AllocList;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::structs::AllocStruct;
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, ValueLike, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::Secret;
use sternline::proto::text::escape;
use sternline_server::fault::ServerFault;
use sternline_server::{Credential, ExitOutcome, KeyPair, LogEntry, VirtualFiles};

use super::file::ServedFile;
use super::shared::{Shared, User};
use crate::callback::keep;
use crate::context::Context;
use crate::ssh::test_key::TestKey;
use crate::wait::wait;

/// An SSH server on loopback, for tests.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct TestServer(#[allocative(skip)] Arc<Shared>);
starlark_simple_value!(TestServer);

impl fmt::Display for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<ssh.test_server>")
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "ssh.test_server")]
impl<'v> StarlarkValue<'v> for TestServer {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Starts the server on a free port of 127.0.0.1. Does nothing while it runs. After `shutdown` it starts again, on the port
    /// that it had where that is still free, with the same host key, users and files.
    fn start<'v>(this: &TestServer, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let server = this.0.clone();
        let started = wait(eval, async move { server.start().await })?;
        started.map_err(|error| anyhow::anyhow!("ssh.test_server.start: {error}"))?;
        Ok(NoneType)
    }

    /// Stops the server, and ends its connections and commands. The port is free again. Does nothing while the server does not run.
    /// Every server is stopped when its test has ended, too.
    fn shutdown<'v>(this: &TestServer, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let server = this.0.clone();
        wait(eval, async move { server.stop().await })?;
        Ok(NoneType)
    }

    /// The port that it listens on, or listened on last. 0 before the first start.
    fn port(this: &TestServer) -> anyhow::Result<i32> {
        Ok(this.0.port().into())
    }

    /// `127.0.0.1:` and the port. Empty before the first start.
    fn addr(this: &TestServer) -> anyhow::Result<String> {
        Ok(match this.0.port() {
            0 => String::new(),
            port => format!("127.0.0.1:{port}"),
        })
    }

    /// Puts a file on the server, before or after its start, with the directories above it. One of the same path is replaced.
    /// Clients find it over SFTP, SCP and `cat`.
    fn add_file<'v>(
        this: &TestServer,
        path: &str,
        content: Value<'v>,
        #[starlark(default = "0644")] mode: &str,
    ) -> anyhow::Result<NoneType> {
        add_file(&this.0, path, content, mode).context("ssh.test_server.add_file")?;
        Ok(NoneType)
    }

    /// The file that a client has uploaded to this path, as it is now; `None` when there is none, or nobody has uploaded it.
    /// It has `path`, `name`, `content`, `content_bytes` and `mode` (such as "0644"), as attributes and by index.
    fn uploaded(
        this: &TestServer,
        #[starlark(require = pos)] path: &str,
    ) -> anyhow::Result<NoneOr<ServedFile>> {
        Ok(if this.0.uploads.has(path) {
            served(&this.0, path)
        } else {
            NoneOr::None
        })
    }

    /// The file of this path as it is now, whoever has put it there; `None` when there is none.
    fn file(this: &TestServer, #[starlark(require = pos)] path: &str) -> anyhow::Result<NoneOr<ServedFile>> {
        Ok(served(&this.0, path))
    }

    /// The paths of all files, sorted.
    fn files(this: &TestServer) -> anyhow::Result<Vec<String>> {
        let mut paths = this.0.files.paths();
        paths.retain(|path| this.0.files.file(path).is_some());
        Ok(paths
            .iter()
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect())
    }

    /// Has a function answer every command: `fn(cmd) -> (stdout, stderr, exit_code)`, or a dict with some of `stdout`, `stderr`
    /// and `code`, or a text, which is the output. It gets exactly the command that the client has sent. It is called while the
    /// script waits for something, one call at a time, and may use `ssh` itself. When it fails, the client sees
    /// `handler error: ...` and exit code 1. Without a handler, `cat` shows the server's files, and all other commands do
    /// nothing and succeed. A handler that a test gives to a server of the whole file is there for that test only.
    fn handle_exec<'v>(
        this: &TestServer,
        #[starlark(require = pos)] handler: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let kind = handler.get_type();
        anyhow::ensure!(
            kind == "function",
            "ssh.test_server.handle_exec: argument must be callable: give a function of one parameter, not a {kind}"
        );
        let handler = keep(eval, handler)?;
        let context = Context::of(eval)?;
        let exec = this.0.exec.clone();
        let before = exec.handle(Some((handler, context.jobs())));
        // A server of the whole file has its own handler again behind a test.
        context.at_end(async move {
            exec.handle(before);
        });
        Ok(NoneType)
    }

    /// Lets one more user log in, with a password, a key, or both. A key is what `ssh.test_key` returns, or the line of a `.pub`
    /// file. Who has no key of their own may use all keys of `ssh.test_key`. For a user that is there already, the password is
    /// replaced and the key added.
    fn add_user<'v>(
        this: &TestServer,
        user: &str,
        #[starlark(default = "")] password: &str,
        #[starlark(default = NoneOr::None)] key: NoneOr<Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        anyhow::ensure!(!user.is_empty(), "ssh.test_server.add_user: user is required");
        let key = key
            .into_option()
            .map(public_line)
            .transpose()
            .context("ssh.test_server.add_user")?;
        this.0.with_user(user, |user| {
            if !password.is_empty() {
                user.password = Some(Secret::new(password));
            }
            user.keys.extend(key);
        });
        Ok(NoneType)
    }

    /// Lets a user log in with this key, and no more with keys that were not named: what `ssh.test_key` returns, or the line of a
    /// `.pub` file. Without `user` it is the server's first one.
    fn authorize<'v>(
        this: &TestServer,
        key: Value<'v>,
        #[starlark(default = "")] user: &str,
    ) -> anyhow::Result<NoneType> {
        let key = public_line(key).context("ssh.test_server.authorize")?;
        this.0.with_user(user, |user| user.keys.push(key));
        Ok(NoneType)
    }

    /// The server's host key, as the line of a `.pub` file.
    fn host_key(this: &TestServer) -> anyhow::Result<String> {
        Ok(this.0.host_key.public_line())
    }

    /// The SHA-256 of the server's host key, as `ssh-keygen -l` shows it.
    fn fingerprint(this: &TestServer) -> anyhow::Result<String> {
        Ok(this.0.host_key.public_key().fingerprint())
    }

    /// The line of a known_hosts file that names the server. It has to be started before, for the port is in it.
    fn known_hosts_line(this: &TestServer) -> anyhow::Result<String> {
        this.0.known_hosts_line().ok_or_else(|| {
            anyhow::anyhow!(
                "ssh.test_server.known_hosts_line: the server has no port yet; call start() before"
            )
        })
    }

    /// Lets the server fail: `refuse`, `drop`, `reset`, `black-hole`, `stall`, `slow:BYTES`, `latency:50ms`, `refuse-auth:TIMES`,
    /// `disk-full:BYTES`, `no-sftp` and others; a wrong name lists them all. It holds for open connections and those to come,
    /// until `heal`. Before the start it holds from the start on.
    fn fault<'v>(
        this: &TestServer,
        #[starlark(require = pos)] name: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let fault: ServerFault = name.parse().context("ssh.test_server.fault")?;
        let _runtime = Context::of(eval)?.session.runtime().enter();
        this.0.fail(fault);
        Ok(NoneType)
    }

    /// Takes all faults away.
    fn heal<'v>(this: &TestServer, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let _runtime = Context::of(eval)?.session.runtime().enter();
        this.0.heal();
        Ok(NoneType)
    }

    /// The commands that clients have asked for since the last start, oldest first. Each has `user`, `command` and `code`, its exit
    /// code, which is `None` while it runs and where it has none.
    fn log<'v>(this: &TestServer, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let heap = eval.heap();
        let entries: Vec<Value<'v>> = this
            .0
            .log()
            .iter()
            .map(|entry| {
                heap.alloc(AllocStruct([
                    ("user", heap.alloc(entry.user.as_str())),
                    ("command", heap.alloc(command(entry))),
                    ("code", heap.alloc(code(entry))),
                ]))
            })
            .collect();
        Ok(heap.alloc(AllocList(entries)))
    }

    /// How many connections are open.
    fn connections(this: &TestServer) -> anyhow::Result<i32> {
        Ok(i32::try_from(this.0.connections()).unwrap_or(i32::MAX))
    }
}

#[starlark_module]
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    /// An SSH server on loopback, with files in memory, which is stopped when the test has ended. Call `start` before the first
    /// client connects. Only in tests.
    ///
    /// `user` may log in with `password`, if one is given, and with the keys that `ssh.test_key` makes in the same run, unless
    /// other keys are named with `authorize`. `files` maps paths to what is in them.
    fn test_server<'v>(
        #[starlark(require = named, default = "testuser")] user: &str,
        #[starlark(require = named, default = "")] password: &str,
        #[starlark(require = named, default = UnpackDictEntries::default())] files: UnpackDictEntries<
            String,
            Value<'v>,
        >,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<TestServer> {
        anyhow::ensure!(!user.is_empty(), "ssh.test_server: user is required");
        let context = Context::of(eval)?;
        let host_key = KeyPair::generate_ed25519().context("ssh.test_server")?;
        let user = User {
            name: user.to_owned(),
            password: (!password.is_empty()).then(|| Secret::new(password)),
            keys: Vec::new(),
        };
        let tree = VirtualFiles::new().making_directories();
        let server = Shared::new(user, host_key, tree, &context.run_keys);
        for (path, content) in files.entries {
            add_file(&server, &path, content, "0644").context("ssh.test_server")?;
        }
        let ending = server.clone();
        context.at_end(async move { ending.stop().await });
        Ok(TestServer(server))
    }
}

fn add_file(server: &Shared, path: &str, content: Value<'_>, mode: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!path.is_empty(), "path is required");
    let mode = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o7777);
    let mode = mode.ok_or_else(|| anyhow::anyhow!("mode is written as \"0644\", in octal digits"))?;
    let put = match (content.unpack_str(), content.downcast_ref::<StarlarkBytes>()) {
        (Some(text), _) => server.files.add_file(path, text, mode),
        (None, Some(bytes)) => server.files.add_file(path, bytes.as_bytes(), mode),
        (None, None) => anyhow::bail!("content is a str or bytes, not a {}", content.get_type()),
    };
    put.map_err(|error| anyhow::anyhow!("cannot put {} there: {error}", escape(path)))?;
    server.uploads.forget(path);
    Ok(())
}

fn served(server: &Shared, path: &str) -> NoneOr<ServedFile> {
    match server.files.file(path) {
        Some(file) => NoneOr::Other(ServedFile::new(path, &file)),
        None => NoneOr::None,
    }
}

/// The line of a key that a script names.
fn public_line(key: Value<'_>) -> anyhow::Result<String> {
    if let Some(key) = key.downcast_ref::<TestKey>() {
        return Ok(key.public_line().to_owned());
    }
    let line = key.unpack_str().ok_or_else(|| {
        anyhow::anyhow!(
            "a key is what ssh.test_key() returns, or the line of a .pub file, not a {}",
            key.get_type()
        )
    })?;
    Credential::public_key(line)?;
    Ok(line.to_owned())
}

fn command(entry: &LogEntry) -> String {
    String::from_utf8_lossy(entry.command.as_deref().unwrap_or_default()).into_owned()
}

fn code(entry: &LogEntry) -> NoneOr<i64> {
    match entry.exit {
        Some(ExitOutcome::Code(code)) => NoneOr::Other(code.into()),
        _ => NoneOr::None,
    }
}
