//! Test servers seen by a plain client, without the `ssh` module's own.

use std::sync::{Arc, Mutex};

use starlark::environment::{GlobalsBuilder, LibraryExtension, Module};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::NoneType;
use sternline::config::Env;
use sternline::exec::ExitStatus;
use sternline::{AuthConfig, Connection};
use tokio::runtime::Runtime;

use crate::context::{Context, Mark};
use crate::dialect;
use crate::evaluate::{Printer, evaluator};
use crate::session::{Output, SessionBuilder};
use crate::wait::wait;

struct Kept(Mutex<String>);

impl Output for Kept {
    fn out(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn message(&self, _line: &str) {}
}

async fn connected(port: u16, user: String, password: String, key: String) -> sternline::Result<Connection> {
    let auth = if key.is_empty() {
        AuthConfig::password(password)
    } else {
        AuthConfig::key(key)
    };
    let builder = Connection::builder("127.0.0.1")
        .port(port)
        .username(user)
        .auth([auth]);
    builder
        .env(Env::default())
        .danger_accept_any_host_key()
        .connect()
        .await
}

#[starlark_module]
fn client(builder: &mut GlobalsBuilder) {
    fn run<'v>(
        port: i32,
        cmd: &str,
        #[starlark(default = "testuser")] user: &str,
        #[starlark(default = "p")] password: &str,
        #[starlark(default = "")] key: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<(String, String, i64)> {
        let port = u16::try_from(port)?;
        let (cmd, user, password, key) = (
            cmd.to_owned(),
            user.to_owned(),
            password.to_owned(),
            key.to_owned(),
        );
        let result = wait(eval, async move {
            connected(port, user, password, key).await?.exec(cmd).await
        })?;
        let result = match result {
            Ok(result) => result,
            Err(error) => return Ok((String::new(), error.to_string(), -1)),
        };
        let ExitStatus::Code(code) = result.status else {
            anyhow::bail!("no code")
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&result.stdout), text(&result.stderr), code.into()))
    }

    fn put<'v>(
        port: i32,
        path: &str,
        content: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let port = u16::try_from(port)?;
        let (path, content) = (path.to_owned(), content.to_owned());
        wait(eval, async move {
            let connection = connected(port, "testuser".into(), "p".into(), String::new()).await?;
            let source = sternline::transfer::Source::bytes("file", content);
            connection.upload(source, path.as_str()).await
        })??;
        Ok(NoneType)
    }
}

/// What a script in test mode prints.
fn printed(text: &str) -> String {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut env = Env::default();
    env.temp_dir = directory.path().to_owned();
    let kept = Arc::new(Kept(Mutex::default()));
    let session = SessionBuilder::new(env, directory.path(), kept.clone()).test_mode(true);
    let session = session.build(runtime.handle().clone());
    let mut globals = GlobalsBuilder::extended_by(&[LibraryExtension::Print]);
    crate::ssh::register(&mut globals, true);
    client(&mut globals);
    crate::modules::core::register(&mut globals);
    let context = Context::new(session);
    let ast = dialect::parse("x", text).unwrap();
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let printer = Printer(&context.session);
        let mut eval = evaluator(&module, &context, &printer);
        let ended = eval.eval_module(ast, &globals.build()).map(|_| ());
        context.clean_up(Mark::default());
        context.callbacks.borrow_mut().leave(before, None);
        ended.unwrap();
    });
    kept.0.lock().unwrap().clone()
}

#[test]
fn a_handler_is_called_while_the_script_waits() {
    let text = r#"
srv = ssh.test_server(password="p")
srv.start()
seen = []
def handler(cmd):
    seen.append(cmd)
    return (cmd + "!", "err", 7)
srv.handle_exec(handler)
print(run(srv.port(), "a  'b'"), seen)
srv.handle_exec(lambda cmd: fail("no"))
print(run(srv.port(), "x"))
srv.handle_exec(lambda cmd: [1])
print(run(srv.port(), "x"))
inner = ssh.test_server(password="p")
inner.start()
inner.handle_exec(lambda cmd: "inner " + cmd)
srv.handle_exec(lambda cmd: run(inner.port(), cmd))
print(run(srv.port(), "x"))
print([(e.user, e.command, e.code) for e in srv.log()][-1])
"#;
    assert_eq!(
        printed(text),
        "(\"a  'b'!\", \"err\", 7) [\"a  'b'\"]\n(\"\", \"handler error: no\", 1)\n\
         (\"\", \"handler must return (stdout, stderr, exit_code) tuple\", 1)\n(\"inner x\", \"\", 0)\n\
         (\"testuser\", \"x\", 0)\n"
    );
}

#[test]
fn files_come_and_go_keys_are_named_and_a_server_starts_again() {
    let text = r#"
srv = ssh.test_server(password="p", files={"/motd": "hi\n"})
srv.start()
put(srv.port(), "/deep/er/file.txt", "content")
file = srv.uploaded("/deep/er/file.txt")
print(file.content, file["content"], file.name, file.path, "path" in file, srv.uploaded("/motd"))
print(run(srv.port(), "cat /motd /deep/er/file.txt"), run(srv.port(), "true"))
srv.fault("no-sftp")
put(srv.port(), "/over/scp.txt", "by scp")
print(srv.uploaded("/over/scp.txt").content, srv.files())
srv.heal()
key = ssh.test_key()
print(run(srv.port(), "true", key=key.path)[2], run(srv.port(), "true", password="wrong")[2])
other = ssh.test_key()
srv.authorize(other)
print(run(srv.port(), "true", key=key.path)[2], run(srv.port(), "true", key=other.path)[2])
print(run(srv.port(), "true", user="root", key=other.path)[2])
port = srv.port()
srv.shutdown()
print(run(port, "true")[2], srv.connections())
srv.start()
print(srv.port() == port, run(srv.port(), "true")[2])
"#;
    assert_eq!(
        printed(text),
        "content content file.txt /deep/er/file.txt True None\n(\"hi\\ncontent\", \"\", 0) (\"\", \"\", 0)\n\
         by scp [\"/deep/er/file.txt\", \"/motd\", \"/over/scp.txt\"]\n0 -1\n-1 0\n-1\n-1 0\nTrue 0\n"
    );
}
