//! OpenSSH's client configuration as it lies on the disk: which files, and what they say about a host.

use std::io;
use std::path::{Path, PathBuf};

use sternline_proto::ssh_config::{self, ConfigError, ConfigFile, Options, Query, Sourced, pattern_fits};
use sternline_proto::text::escape;
use thiserror::Error;

use super::{Env, paths, platform};

/// The configuration files of ssh(1), read once for any number of hosts. Included files are read when a host is
/// looked up.
#[derive(Debug, Clone)]
pub struct SshConfig {
    files: Vec<ConfigFile>,
    env: Env,
}

/// A configuration file that cannot be used.
#[derive(Debug, Error)]
#[error("cannot read the configuration file {}: {}", escape(&path.to_string_lossy()), source)]
pub struct ConfigFileError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl SshConfig {
    /// No file at all, as with `ssh -F none`.
    #[must_use]
    pub fn empty(env: &Env) -> Self {
        Self {
            files: Vec::new(),
            env: env.clone(),
        }
    }

    /// The user's `~/.ssh/config`, then the system's `ssh_config`, as far as they exist. Reads from the disk, and so
    /// blocks.
    ///
    /// # Errors
    /// When a file exists but cannot be read, or is not UTF-8.
    pub fn load(env: &Env) -> Result<Self, ConfigFileError> {
        let mut config = Self::empty(env);
        let user = paths::ssh_dir(env).map(|dir| (dir.join("config"), dir));
        let system = platform::system_ssh_dir(env);
        for (path, include_directory) in user.into_iter().chain([(system.join("ssh_config"), system)]) {
            match config.add(&path, &include_directory) {
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(config)
    }

    /// Only this file, as with `ssh -F FILE`. Relative includes in it are looked for in `~/.ssh`.
    ///
    /// # Errors
    /// When the file cannot be read, or is not UTF-8.
    pub fn load_file(env: &Env, path: &Path) -> Result<Self, ConfigFileError> {
        let mut config = Self::empty(env);
        config.add(path, &paths::ssh_dir(env).unwrap_or_default())?;
        Ok(config)
    }

    fn add(&mut self, path: &Path, include_directory: &Path) -> Result<(), ConfigFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigFileError {
            path: path.to_owned(),
            source,
        })?;
        self.files.push(ConfigFile {
            path: path.to_string_lossy().into_owned(),
            text,
            include_directory: include_directory.to_string_lossy().into_owned(),
        });
        Ok(())
    }

    /// What `options` (the values of `-o`) and the files say about a host, as it was named. `user` and `port` are
    /// those of the command line. Blocks when files are included.
    ///
    /// # Errors
    /// The first line that ssh would refuse, or that applies to the host and cannot be obeyed.
    pub fn resolve(
        &self,
        host: &str,
        user: Option<&str>,
        port: Option<u16>,
        options: &[String],
    ) -> Result<Options, ConfigError> {
        self.resolve_with_inventory(host, user, port, options, &[])
    }

    /// [`SshConfig::resolve`] with what an [inventory](sternline_proto::inventory::SshSettings) says of the host, which comes
    /// after the command line and before the files.
    ///
    /// # Errors
    /// As for [`SshConfig::resolve`].
    pub fn resolve_with_inventory(
        &self,
        host: &str,
        user: Option<&str>,
        port: Option<u16>,
        options: &[String],
        inventory: &[Sourced<String>],
    ) -> Result<Options, ConfigError> {
        let query = Query {
            host,
            user,
            port,
            options,
            inventory,
            files: &self.files,
        };
        ssh_config::resolve(&query, &self.env)
    }
}

impl ssh_config::Env for Env {
    fn home(&self) -> Option<String> {
        Some(self.home.as_ref()?.to_str()?.to_owned())
    }

    fn user(&self) -> Option<String> {
        self.user.clone()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn include(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let mut files = Vec::new();
        for path in glob(pattern) {
            match std::fs::read_to_string(&path) {
                Ok(text) => files.push((path.to_string_lossy().into_owned(), text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
        Ok(files)
    }
}

/// The paths that a pattern with `*` and `?` fits, sorted. Like a shell, wildcards leave hidden files alone.
fn glob(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in Path::new(pattern).components() {
        let name = component.as_os_str();
        let wild = name.to_str().filter(|name| name.contains(['*', '?']));
        found = match wild {
            None => found.into_iter().map(|path| path.join(name)).collect(),
            Some(wild) => found.iter().flat_map(|path| matching(path, wild)).collect(),
        };
    }
    found.sort();
    found
}

fn matching(directory: &Path, wild: &str) -> Vec<PathBuf> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (wild.starts_with('.') || !name.starts_with('.')) && pattern_fits(wild, &name)
        })
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline_proto::ssh_config::Source;

    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Env) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(".ssh").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let env = Env {
            home: Some(folder.path().to_owned()),
            user: Some("ann".to_owned()),
            ..Env::default()
        };
        (folder, env)
    }

    #[test]
    fn the_users_file_and_what_it_includes_are_read() {
        let (_folder, env) = home(&[
            ("config", "Include conf.d/*.conf\nHost web\n  Port 2222\n"),
            ("conf.d/b.conf", "Host web\n  User second\n"),
            ("conf.d/a.conf", "Host web\n  User first\n"),
            ("conf.d/.hidden.conf", "Host web\n  User hidden\n"),
        ]);
        let options = SshConfig::load(&env)
            .unwrap()
            .resolve("web", None, None, &[])
            .unwrap();
        assert_eq!(options.port.unwrap().value, 2222);
        assert_eq!(options.user.unwrap().value, "first");
    }

    #[test]
    fn without_files_only_the_command_line_speaks() {
        let (_folder, env) = home(&[("config", "Port 2222\n")]);
        let options = SshConfig::empty(&env)
            .resolve("web", None, None, &["User=bob".to_owned()])
            .unwrap();
        assert_eq!(options.port, None);
        assert_eq!(options.user.unwrap().value, "bob");
    }

    #[test]
    fn an_inventory_counts_less_than_the_command_line_and_more_than_files() {
        let (_folder, env) = home(&[("config", "Port 1\nUser file\nConnectTimeout 9\n")]);
        let line = |value: &str, line| Sourced {
            value: value.to_owned(),
            source: Source::File {
                path: "hosts.ini".into(),
                line,
            },
        };
        let inventory = [
            line("Port \"2\"", 3),
            line("User \"inventory\"", 4),
            line("Compression yes", 5),
        ];
        let config = SshConfig::load(&env).unwrap();
        let resolve = |inventory: &[Sourced<String>]| {
            config.resolve_with_inventory("web", Some("ann"), None, &[], inventory)
        };
        let options = resolve(&inventory).unwrap();
        assert_eq!(options.user.unwrap().value, "ann");
        let port = options.port.unwrap();
        assert_eq!(
            (port.value, port.source.to_string()),
            (2, "hosts.ini:3".to_owned())
        );
        assert_eq!(options.connect_timeout.unwrap().value.as_secs(), 9);
        for (text, words) in [
            ("Port x", "hosts.ini:7: x is no value for Port"),
            ("Nonsense x", "hosts.ini:7: unknown option Nonsense"),
            (
                "PubkeyAuthentication no",
                "hosts.ini:7: PubkeyAuthentication is not supported",
            ),
        ] {
            let error = resolve(&[line(text, 7)]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_named_file_has_to_exist() {
        let (folder, env) = home(&[]);
        let path = folder.path().join("missing");
        let error = SshConfig::load_file(&env, &path).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read the configuration file "),
            "{error}"
        );
    }
}
