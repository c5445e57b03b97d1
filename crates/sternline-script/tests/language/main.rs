//! The language as scripts have it: `assert`, errors, `load`, and what stops a script that goes astray.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod assertions;
mod errors;
mod loading;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sternline::config::Env;
use sternline_script::{Ended, Output, Permissions, ScriptError, SessionBuilder, Source, run};

/// A folder with scripts, and a home directory that is empty.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    vars: Vec<(String, String)>,
    permissions: Permissions,
}

/// What came of a script.
pub(crate) struct Outcome {
    pub(crate) ended: Result<Ended, ScriptError>,
    pub(crate) out: String,
}

#[derive(Default)]
struct Kept(Mutex<String>);

impl Output for Kept {
    fn out(&self, text: &str) {
        self.0.lock().expect("the output").push_str(text);
    }

    fn message(&self, _line: &str) {}
}

impl Project {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            vars: Vec::new(),
            permissions: Permissions::allow_all(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn allowing(mut self, rules: &str) -> Self {
        self.permissions = Permissions::inline(rules).expect("rules");
        self
    }

    /// Runs a script that is a file of the project.
    pub(crate) fn run(&self, name: &str) -> Outcome {
        let text = std::fs::read_to_string(self.path(name)).expect("the script");
        self.run_source(Source {
            name: name.to_owned(),
            path: Some(self.path(name)),
            text,
        })
    }

    /// Runs a text that is in no file.
    pub(crate) fn run_text(&self, text: &str) -> Outcome {
        self.run_source(Source {
            name: "script.star".to_owned(),
            path: None,
            text: text.to_owned(),
        })
    }

    fn run_source(&self, source: Source) -> Outcome {
        let mut env = Env::default();
        env.home = Some(self.path("home"));
        env.vars.extend(self.vars.iter().cloned());
        let output = Arc::new(Kept::default());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let session = SessionBuilder::new(env, self.folder.path(), output.clone())
            .permissions(self.permissions.clone())
            .build(runtime.handle().clone());
        let ended = runtime.block_on(run(session, source));
        let out = output.0.lock().expect("the output").clone();
        Outcome { ended, out }
    }
}

impl Outcome {
    /// What it printed, if all went well.
    #[track_caller]
    pub(crate) fn printed(self) -> String {
        if let Err(error) = &self.ended {
            panic!("{}", error.render(false));
        }
        self.out
    }

    /// Why it ended early.
    #[track_caller]
    pub(crate) fn error(self) -> ScriptError {
        self.ended.expect_err("an error")
    }
}

/// What a text prints.
#[track_caller]
pub(crate) fn printed(text: &str) -> String {
    Project::new().run_text(text).printed()
}

/// Why a text ends early: the message alone.
#[track_caller]
pub(crate) fn message(text: &str) -> String {
    Project::new().run_text(text).error().message().to_owned()
}
