//! For tests: a script is run, and what it prints and says is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sternline::config::Env;

use crate::ScriptError;
use crate::evaluate::{Ended, Source, run};
use crate::session::{Output, Session, SessionBuilder};

/// What a script did.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) messages: Vec<String>,
    pub(crate) ended: Result<Ended, ScriptError>,
}

#[derive(Default)]
struct Kept {
    out: Mutex<String>,
    messages: Mutex<Vec<String>>,
}

impl Output for Kept {
    fn out(&self, text: &str) {
        self.out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
    }

    fn message(&self, line: &str) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.to_owned());
    }
}

/// Runs a script with these variables in its environment, in a directory.
pub(crate) fn run_in(
    cwd: &Path,
    vars: &[(&str, &str)],
    script: &str,
    adjust: impl FnOnce(SessionBuilder) -> SessionBuilder,
) -> Ran {
    let kept = Arc::new(Kept::default());
    let mut env = Env::default();
    env.vars = vars
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect::<BTreeMap<_, _>>();
    let builder = adjust(SessionBuilder::new(env, cwd, Arc::<Kept>::clone(&kept)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let session = builder.build(runtime.handle().clone());
    let source = Source {
        name: "test.star".into(),
        path: None,
        text: script.to_owned(),
    };
    let ended = runtime.block_on(run(session, source));
    let out = std::mem::take(&mut *kept.out.lock().unwrap_or_else(PoisonError::into_inner));
    let messages = std::mem::take(&mut *kept.messages.lock().unwrap_or_else(PoisonError::into_inner));
    Ran { out, messages, ended }
}

/// Does something with a session, whose runtime is driven by another thread. What is printed comes back too.
pub(crate) fn with_session<T>(cwd: &Path, work: impl FnOnce(Session) -> T) -> (String, T) {
    let kept = Arc::new(Kept::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let builder = SessionBuilder::new(Env::default(), cwd, Arc::<Kept>::clone(&kept));
    let session = builder.build(runtime.handle().clone());
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    let driver = std::thread::spawn(move || {
        let _ = runtime.block_on(wait);
    });
    let done = work(session);
    drop(ended);
    driver.join().unwrap();
    let out = std::mem::take(&mut *kept.out.lock().unwrap_or_else(PoisonError::into_inner));
    (out, done)
}

/// Runs a script.
pub(crate) fn run_script(script: &str) -> Ran {
    run_in(Path::new("/"), &[], script, |builder| builder)
}

/// What a script prints that ends well.
pub(crate) fn prints(script: &str) -> String {
    let ran = run_script(script);
    if let Err(error) = ran.ended {
        panic!("{script}\nfails: {error}");
    }
    ran.out
}

/// Why a script fails.
pub(crate) fn fails(script: &str) -> String {
    let ran = run_script(script);
    match ran.ended {
        Ok(_) => panic!("{script}\ndoes not fail, and prints {}", ran.out),
        Err(error) => error.message().to_owned(),
    }
}
