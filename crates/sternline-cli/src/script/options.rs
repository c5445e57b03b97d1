//! The options of all verbs that run scripts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sternline::config::Env;
use sternline_script::{Permissions, Roots, Session, SessionBuilder, Stop};
use tokio::runtime::Handle;

use super::{Written, variables};
use crate::connect::parse_duration;
use crate::ui::{Failure, Ui};

/// What a script is given, and what it may do.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Script")]
pub(crate) struct ScriptOptions {
    /// Set a variable, which the script reads with var_str and its like; may be given several times
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,

    /// Read variables from a YAML file; may be given several times, and of two values the later one counts
    #[arg(long = "var-file", value_name = "FILE")]
    variable_files: Vec<PathBuf>,

    /// Tell what would be done on hosts, with files and with processes, and do none of it
    #[arg(long)]
    dry_run: bool,

    /// How long the script may take, such as 90s or 5m; then it is ended, with what it runs on hosts [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// What the script may do: allow-all, strict, deny-all, rules such as 'allow:ssh.connect(web-1:uptime)', or FILE#PROFILE
    /// [default: what the script says in a comment `# permissions: RULES`, else allow-all]
    #[arg(long, value_name = "RULES")]
    permissions: Option<String>,
}

impl ScriptOptions {
    /// A session as these options want it, that ends with `stop`. `script` is its text, which may say what it needs to be
    /// permitted, where the options do not.
    pub(crate) fn session(
        &self,
        script: &str,
        arguments: &[String],
        stop: &Stop,
        written: &Arc<Written>,
        ui: &Ui,
    ) -> Result<Session, Failure> {
        let mut builder = self.builder(arguments, stop, written, ui)?;
        if let (None, Some(rules)) = (&self.permissions, Permissions::of_script(script)) {
            let env = Env::system();
            builder = builder.permissions(permissions(rules, &env, &directory()?)?);
        }
        Ok(builder.build(Handle::current()))
    }

    /// The same, before it is built, and by these options alone.
    pub(crate) fn builder(
        &self,
        arguments: &[String],
        stop: &Stop,
        written: &Arc<Written>,
        ui: &Ui,
    ) -> Result<SessionBuilder, Failure> {
        let (env, cwd) = (Env::system(), directory()?);
        let rules = self.permissions.as_deref();
        let permissions = rules.map_or_else(
            || Ok(Permissions::allow_all()),
            |rules| permissions(rules, &env, &cwd),
        )?;
        let variables = variables::read(&self.variables, &self.variable_files, &env, &cwd, ui)?;
        Ok(SessionBuilder::new(env, cwd, Arc::<Written>::clone(written))
            .stop(stop.clone())
            .arguments(arguments.to_vec())
            .permissions(permissions)
            .variables(variables)
            .debug(ui.is_verbose())
            .dry_run(self.dry_run))
    }
}

fn directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::usage(format!("cannot tell the current directory: {error}"))
            .with_hint("change to a directory that exists")
    })
}

fn permissions(rules: &str, env: &Env, cwd: &Path) -> Result<Permissions, Failure> {
    let roots = Roots {
        cwd: cwd.to_owned(),
        home: env.home.clone(),
    };
    Permissions::find(rules, &roots, &Permissions::user_files(env)).map_err(|error| {
        Failure::usage(error.to_string())
            .with_hint("there are allow-all, strict, deny-all, rules such as 'allow:fs.read(/etc/**)', and files of profiles")
    })
}
