//! What holds for one run of a script, and what several threads may know of it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sternline::config::Env;
use sternline::proto::redact::Redactor;
use tokio::runtime::Handle;

use crate::permissions::{Guard, Permissions, Roots};
use crate::stop::Stop;
use crate::variables::Variables;
use crate::wait::Stopped;

/// Where a script's output goes. The crate prints nothing by itself.
pub trait Output: Send + Sync {
    /// For standard output, as it is: line ends are in it.
    fn out(&self, text: &str);
    /// A warning or message of ours or of the script's log, one line without its end, for standard error.
    fn message(&self, line: &str);
}

/// One run of a script: what it was given, and what it may do. Clones are the same.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    settings: SessionBuilder,
    runtime: Handle,
    /// The script's own environment: `os.setenv` changes it for the script and what it starts, and for nobody else.
    vars: Mutex<BTreeMap<String, String>>,
    /// The script's own current directory.
    cwd: Mutex<PathBuf>,
    /// What it may do. It does not change with the current directory.
    guard: Guard,
    /// Warnings that were given, for each is given once.
    warned: Mutex<Vec<String>>,
    /// Files that were loaded, for who runs the script again when one changes.
    loaded: Mutex<Vec<(PathBuf, Option<Metadata>)>>,
}

/// What a run is given.
#[derive(Clone)]
pub struct SessionBuilder {
    env: Arc<Env>,
    cwd: PathBuf,
    output: Arc<dyn Output>,
    stop: Stop,
    dry_run: bool,
    test_mode: bool,
    permissions: Permissions,
    debug: bool,
    secrets: Redactor,
    variables: Variables,
    arguments: Vec<String>,
}

impl SessionBuilder {
    /// A run with this environment in this directory, and output that goes there.
    #[must_use]
    pub fn new(env: impl Into<Arc<Env>>, cwd: impl Into<PathBuf>, output: Arc<dyn Output>) -> Self {
        Self {
            env: env.into(),
            cwd: cwd.into(),
            output,
            stop: Stop::default(),
            dry_run: false,
            test_mode: false,
            permissions: Permissions::default(),
            debug: false,
            secrets: Redactor::new(),
            variables: Variables::default(),
            arguments: Vec::new(),
        }
    }

    /// What ends it from outside. Default: nothing does.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Where its output goes instead.
    #[must_use]
    pub fn output(mut self, output: Arc<dyn Output>) -> Self {
        self.output = output;
        self
    }

    pub(crate) fn stop_of(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn output_of(&self) -> &Arc<dyn Output> {
        &self.output
    }

    /// Whether commands, transfers and changes of files are only told, not done. Default: they are done.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Whether there are `ssh.test_server` and `ssh.test_key`. Default: no.
    #[must_use]
    pub fn test_mode(mut self, test_mode: bool) -> Self {
        self.test_mode = test_mode;
        self
    }

    /// What the script may do. Default: everything.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Whether `log.debug` is shown from the beginning. Default: no.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// What is taken for a secret in logs. What the script gives as a password is added to it. Default: nothing yet.
    #[must_use]
    pub fn secrets(mut self, secrets: Redactor) -> Self {
        self.secrets = secrets;
        self
    }

    /// What `var_str` and its like know. Default: nothing.
    #[must_use]
    pub fn variables(mut self, variables: Variables) -> Self {
        self.variables = variables;
        self
    }

    /// What `args()` returns. Default: nothing.
    #[must_use]
    pub fn arguments(mut self, arguments: Vec<String>) -> Self {
        self.arguments = arguments;
        self
    }

    /// Begins it. `runtime` does the work on connections; it has to be driven by another thread than the script's.
    #[must_use]
    pub fn build(self, runtime: Handle) -> Session {
        let roots = Roots {
            cwd: self.cwd.clone(),
            home: self.env.home.clone(),
        };
        Session(Arc::new(Inner {
            guard: self.permissions.at(&roots),
            vars: Mutex::new(self.env.vars.clone()),
            cwd: Mutex::new(self.cwd.clone()),
            warned: Mutex::default(),
            loaded: Mutex::default(),
            runtime,
            settings: self,
        }))
    }
}

impl Session {
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// What ends it from outside.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.0.settings.stop
    }

    /// The environment that it began with. What the script sees as its variables is [`Session::var`].
    pub(crate) fn env(&self) -> &Arc<Env> {
        &self.0.settings.env
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.0.settings.dry_run
    }

    pub(crate) fn test_mode(&self) -> bool {
        self.0.settings.test_mode
    }

    /// The rules for it: [`Session::permit`] asks them.
    pub(crate) fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// Whether `log.debug` is shown from the beginning.
    pub(crate) fn debug(&self) -> bool {
        self.0.settings.debug
    }

    /// What is taken for a secret in logs; mark what the script says is one.
    pub(crate) fn secrets(&self) -> &Redactor {
        &self.0.settings.secrets
    }

    /// What `var_str` and its like know.
    pub(crate) fn variables(&self) -> &Variables {
        &self.0.settings.variables
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.0.settings.arguments
    }

    /// The files that its script has loaded so far, each once, and what they were just before they were read.
    #[must_use]
    pub fn loaded(&self) -> Vec<(PathBuf, Option<Metadata>)> {
        lock(&self.0.loaded).clone()
    }

    /// A file is about to be loaded.
    pub(crate) fn loads(&self, file: &Path) {
        let mut loaded = lock(&self.0.loaded);
        if !loaded.iter().any(|(known, _)| known == file) {
            loaded.push((file.to_owned(), file.metadata().ok()));
        }
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// [`Stopped`], when the script has to end: the language itself asks for that now and then only, and a reader that pauses
    /// may hold up each write for a moment.
    pub(crate) fn out(&self, text: &str) -> anyhow::Result<()> {
        self.0.settings.output.out(text);
        match self.stop().why() {
            Some(why) => Err(Stopped(why).into()),
            None => Ok(()),
        }
    }

    /// One line for standard error.
    pub(crate) fn message(&self, line: &str) {
        self.0.settings.output.message(line);
    }

    /// One line for standard error, if it was not said before.
    pub(crate) fn warn_once(&self, line: &str) {
        let mut warned = lock(&self.0.warned);
        if !warned.iter().any(|said| said == line) {
            warned.push(line.to_owned());
            self.message(line);
        }
    }

    /// The script's variables.
    pub(crate) fn vars(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        lock(&self.0.vars)
    }

    /// The script's current directory.
    pub(crate) fn cwd(&self) -> PathBuf {
        lock(&self.0.cwd).clone()
    }

    pub(crate) fn set_cwd(&self, cwd: PathBuf) {
        *lock(&self.0.cwd) = cwd;
    }

    /// A path as the script means it: `~` is the home directory, and what is not absolute begins in its current directory.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        if let (Some(home), Some(rest)) = (&self.env().home, path.strip_prefix('~')) {
            if rest.is_empty() {
                return home.clone();
            }
            if let Some(rest) = rest.strip_prefix('/') {
                return home.join(rest);
            }
        }
        lock(&self.0.cwd).join(Path::new(path))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("dry_run", &self.dry_run())
            .field("test_mode", &self.test_mode())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
