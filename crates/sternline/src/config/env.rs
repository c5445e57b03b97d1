//! The environment as plain data, so that nothing else has to read it and tests need no real one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::platform;

/// The operating system that this was built for, as Rust names it.
pub(crate) const OS: &str = std::env::consts::OS;

/// The processor architecture that this was built for, as Rust names it.
pub(crate) const ARCH: &str = std::env::consts::ARCH;

/// What the library wants to know of the process it runs in.
///
/// [`Env::system`] is the only place in the crate that reads the process environment. `Debug` shows the names of the
/// variables and not their values, which may be secrets.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Env {
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The name of the user, which is also the default name to log in with.
    pub user: Option<String>,
    /// The name of this machine, for the tokens `%l` and `%L` of ssh_config.
    pub local_host: Option<String>,
    /// Where the SSH agent listens: `SSH_AUTH_SOCK`, or on Windows the pipe of its own agent.
    pub agent_socket: Option<PathBuf>,
    /// Where large temporary files go: `TMPDIR`, else `/var/tmp` where it exists, else the platform's directory for
    /// temporary files. Not `/tmp` by default, because that is often kept in memory, which is what such a file is
    /// meant to relieve.
    pub temp_dir: PathBuf,
    /// The environment variables whose names and values are Unicode.
    pub vars: BTreeMap<String, String>,
}

impl Env {
    /// The environment of this process, as it is now.
    #[must_use]
    pub fn system() -> Self {
        let vars: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let account = platform::account(&vars);
        Self {
            home: platform::HOME_VARIABLES
                .iter()
                .find_map(|name| path(name))
                .or(account.home),
            user: account.user,
            local_host: platform::local_host(&vars),
            agent_socket: path("SSH_AUTH_SOCK").or_else(platform::default_agent_socket),
            temp_dir: path("TMPDIR")
                .or_else(platform::disk_temp_dir)
                .unwrap_or_else(std::env::temp_dir),
            vars,
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("home", &self.home)
            .field("user", &self.user)
            .field("local_host", &self.local_host)
            .field("agent_socket", &self.agent_socket)
            .field("temp_dir", &self.temp_dir)
            .field("vars", &self.vars.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// What the user database says of the user of this process.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) user: Option<String>,
    pub(super) home: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_environment_has_a_user_and_a_directory_for_temporary_files() {
        let env = Env::system();
        assert!(env.user.is_some_and(|user| !user.is_empty()));
        assert!(env.temp_dir.is_dir(), "{:?}", env.temp_dir);
    }

    #[test]
    fn debug_output_shows_no_values_of_variables() {
        let mut env = Env::default();
        env.vars.insert("API_TOKEN".into(), "hunter2".into());
        let shown = format!("{env:?}");
        assert!(
            shown.contains("API_TOKEN") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
