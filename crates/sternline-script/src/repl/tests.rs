use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::error::ErrorKind;
use crate::session::{Output, SessionBuilder};
use crate::stop::{Stop, Why};

/// What a script has written.
#[derive(Default)]
struct Written(Mutex<String>);

impl Output for Written {
    fn out(&self, text: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
    }

    fn message(&self, line: &str) {
        self.out(&format!("! {line}\n"));
    }
}

struct Typing {
    repl: Repl,
    written: Arc<Written>,
    stop: Stop,
}

impl Typing {
    fn start() -> Self {
        let (written, stop) = (Arc::new(Written::default()), Stop::default());
        let env = sternline::config::Env::default();
        let session = SessionBuilder::new(env, Path::new("/"), Arc::<Written>::clone(&written))
            .stop(stop.clone())
            .build(tokio::runtime::Handle::current());
        Self {
            repl: Repl::start(session).unwrap(),
            written,
            stop,
        }
    }

    /// What is shown for an input: what it writes, and its value or error.
    async fn shown(&self, text: &str) -> String {
        let reply = self.repl.eval(text).await;
        let written = std::mem::take(&mut *self.written.0.lock().unwrap());
        match reply {
            Reply::Done(value) => format!("{written}{}", value.unwrap_or_default()),
            Reply::Failed(error) => format!("{written}error: {}", error.message()),
            Reply::Exited(status) => format!("{written}exit {status}"),
        }
    }

    async fn words(&self, text: &str) -> Vec<String> {
        self.repl.complete(text).await.words
    }
}

#[tokio::test]
async fn values_are_shown_and_the_state_is_kept() {
    let typing = Typing::start();
    for (text, shown) in [
        ("1 + 1", "2"),
        ("'a\"b'", "\"a\\\"b\""),
        ("x = [1]", ""),
        ("x.append(2)", ""),
        ("x", "[1, 2]"),
        ("None", ""),
        ("print('out')", "out\n"),
        ("def f(n):\n    return n * 2\n", ""),
        ("f(21)", "42"),
        ("for n in x:\n    print(n)\n", "1\n2\n"),
        ("", ""),
        ("# nothing", ""),
    ] {
        assert_eq!(typing.shown(text).await, shown, "{text}");
    }
    let variables = typing.repl.variables().await;
    assert!(
        variables.contains(&("x".to_owned(), "[1, 2]".to_owned())),
        "{variables:?}"
    );
}

#[tokio::test]
async fn an_error_ends_an_input_and_nothing_else() {
    let typing = Typing::start();
    assert_eq!(
        typing.shown("y = 1; fail('not now'); z = 1").await,
        "error: not now"
    );
    assert_eq!(typing.shown("y").await, "1");
    assert!(typing.shown("1 +").await.starts_with("error: "));
    assert!(typing.shown("nowhere").await.contains("nowhere"));
    assert_eq!(typing.shown("1 + 1").await, "2");
    assert_eq!(typing.shown("exit(3)").await, "exit 3");
    let Reply::Failed(error) = typing.repl.eval("def f():\n    fail('x')\n\nf()").await else {
        panic!()
    };
    let lines: Vec<_> = error.frames().iter().map(|frame| frame.line).collect();
    assert!(lines.ends_with(&[2]), "{error:?}");
}

#[tokio::test]
async fn functions_see_what_variables_become() {
    let typing = Typing::start();
    for text in [
        "n = 2",
        "def f():\n    return n\n",
        "g = lambda: n",
        "_p = 1",
        "def h(): return _p",
    ] {
        assert_eq!(typing.shown(text).await, "");
    }
    assert_eq!(typing.shown("n = 10; _p = 5").await, "");
    assert_eq!(typing.shown("[f(), g(), h()]").await, "[10, 10, 5]");
    // A variable keeps its value through the definition.
    assert_eq!(typing.shown("n").await, "10");
}

#[tokio::test]
async fn a_call_that_goes_on_is_interrupted_and_the_next_one_is_not() {
    let typing = Typing::start();
    let stop = typing.stop.clone();
    for text in ["print('begun')\n", ""] {
        let endless = typing
            .repl
            .eval(format!("{text}for n in range(1000000000):\n    pass\n"));
        let interrupt = async {
            // Once it runs, and before it does.
            while !typing
                .written
                .0
                .lock()
                .unwrap()
                .contains(text.split('\'').nth(1).unwrap_or_default())
            {
                tokio::task::yield_now().await;
            }
            stop.stop(Why::Interrupted);
        };
        let (reply, ()) = tokio::join!(endless, interrupt);
        let Reply::Failed(error) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(error.kind(), &ErrorKind::Stopped(Why::Interrupted));
        assert!(typing.written.0.lock().unwrap().starts_with("begun\n"));
    }
    typing.written.0.lock().unwrap().clear();
    assert_eq!(typing.shown("1 + 1").await, "2");
    // One that comes when nothing runs is meant for nothing.
    typing.stop.stop(Why::Interrupted);
    while typing.stop.why().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(typing.shown("1 + 1").await, "2");
}

#[tokio::test]
async fn names_members_and_parameters_are_completed() {
    let typing = Typing::start();
    typing
        .shown("greeting = 'hello'\n_hidden = 1\ndef greet(name, *, loud=False):\n    pass\n")
        .await;
    typing.shown("rows = [{'a': struct(first=1)}]").await;
    assert_eq!(typing.words("gree").await, ["greet", "greeting"]);
    assert_eq!(typing.words("printl").await, ["println"]);
    assert_eq!(typing.words("lam").await, ["lambda"]);
    assert!(typing.words("").await.iter().all(|word| !word.starts_with('_')));
    assert_eq!(typing.words("_hid").await, ["_hidden"]);
    assert!(typing.words("ssh.").await.contains(&"config".to_owned()));
    assert_eq!(typing.words("x = greeting.startsw").await, ["startswith"]);
    assert_eq!(typing.words("rows[0]['a'].").await, ["first"]);
    assert_eq!(
        typing
            .words("greet(")
            .await
            .iter()
            .filter(|word| word.ends_with('='))
            .count(),
        2
    );
    assert_eq!(typing.words("greet('x', lou").await, ["loud="]);
    assert!(
        typing
            .words("greet('x', loud=True, lo")
            .await
            .iter()
            .all(|word| word != "loud=")
    );
    assert_eq!(typing.words("ssh.config(hosts").await, ["hosts="]);
    assert_eq!(typing.words("ssh.try_config(hosts").await, ["hosts="]);
    assert!(typing.words("nowhere.").await.is_empty());
    assert!(typing.words("print('gree").await.is_empty());
    let completion = typing.repl.complete("x = greeting.startsw").await;
    assert_eq!(completion.start, "x = greeting.".len());
}

#[tokio::test]
async fn help_says_how_a_function_is_called_and_what_a_module_has() {
    let typing = Typing::start();
    let said = typing.shown("help(exit)").await;
    assert!(
        said.starts_with("exit(code=0)\n\n") && said.contains("status"),
        "{said}"
    );
    let said = typing.shown("help(ssh)").await;
    assert!(said.contains("\n  config(") && !said.contains("try_"), "{said}");
    typing
        .shown("def greet(name, *rest, loud=False):\n    '''Greets.'''\n    return name\n")
        .await;
    assert_eq!(
        typing.shown("help(greet)").await,
        "greet(name, *args, loud=False)\n\nGreets.\n"
    );
    assert!(typing.shown("help('text')").await.contains("\n  upper()"));
    assert!(typing.shown("help()").await.contains("help(ssh)"));
}

#[tokio::test]
async fn deferred_functions_are_called_at_its_end() {
    let typing = Typing::start();
    assert_eq!(typing.shown("defer(lambda: print('bye'))").await, "");
    let written = Arc::clone(&typing.written);
    typing.repl.end().await;
    assert_eq!(*written.0.lock().unwrap(), "bye\n");
}
