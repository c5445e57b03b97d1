//! OpenSSH's client configuration as it lies on the disk: which files, who may have written them, and what they say
//! about a host.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sternline_proto::ssh_config::{self, ConfigError, ConfigFile, Options, Query, RootFile, Sourced};
use sternline_proto::text::escape;
use thiserror::Error;

use super::glob::glob;
use super::{Env, paths, platform};

/// The configuration files of ssh(1), read once for any number of hosts. Included files are read when they are first met.
/// Clones share them.
#[derive(Debug, Clone)]
pub struct SshConfig {
    files: Arc<[RootFile]>,
    env: Arc<Env>,
    included: Arc<Mutex<Included>>,
}

/// The files that each pattern of an `Include` fits, or why they cannot be used.
type Included = HashMap<String, Result<Arc<[ConfigFile]>, String>>;

/// A configuration file that cannot be used.
#[derive(Debug, Error)]
#[error("cannot read the configuration file {}: {}", escape(&path.to_string_lossy()), source)]
pub struct ConfigFileError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Whether it matters who may write to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writers {
    Checked,
    Anybody,
}

impl SshConfig {
    /// No file at all, as with `ssh -F none`.
    #[must_use]
    pub fn empty(env: &Env) -> Self {
        Self::of(env, Vec::new())
    }

    /// The user's `~/.ssh/config`, then the system's `ssh_config`, as far as they exist. Reads from the disk, and so
    /// blocks.
    ///
    /// # Errors
    /// When a file exists but cannot be read, is not UTF-8, or, as with ssh, is the user's and somebody else could have
    /// written it.
    pub fn load(env: &Env) -> Result<Self, ConfigFileError> {
        let user = paths::ssh_dir(env).map(|dir| (dir.join("config"), dir, Writers::Checked));
        let system = platform::system_ssh_dir(env);
        let system = (system.join("ssh_config"), system, Writers::Anybody);
        let mut files = Vec::new();
        for (path, include_directory, writers) in user.into_iter().chain([system]) {
            match root(&path, &include_directory, writers) {
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                other => files.push(other?),
            }
        }
        Ok(Self::of(env, files))
    }

    /// Only this file, as with `ssh -F FILE`: whoever wrote it, for it was named. Relative includes in it are looked for in
    /// `~/.ssh`.
    ///
    /// # Errors
    /// When the file cannot be read, or is not UTF-8.
    pub fn load_file(env: &Env, path: &Path) -> Result<Self, ConfigFileError> {
        let include_directory = paths::ssh_dir(env).unwrap_or_default();
        Ok(Self::of(
            env,
            vec![root(path, &include_directory, Writers::Anybody)?],
        ))
    }

    fn of(env: &Env, files: Vec<RootFile>) -> Self {
        Self {
            files: files.into(),
            env: Arc::new(env.clone()),
            included: Arc::default(),
        }
    }

    /// What `options` (the values of `-o`) and the files say about a host, as it was named. `user` and `port` are
    /// those of the command line. Blocks where a file is included for the first time.
    ///
    /// # Errors
    /// The first line that ssh would refuse, or that applies to the host and cannot be obeyed; and an included file that
    /// cannot be used.
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
        ssh_config::resolve(&query, self)
    }
}

impl ssh_config::Env for SshConfig {
    fn home(&self) -> Option<String> {
        Some(self.env.home.as_ref()?.to_str()?.to_owned())
    }

    fn user(&self) -> Option<String> {
        self.env.user.clone()
    }

    fn user_id(&self) -> Option<u32> {
        platform::user_id()
    }

    fn local_host(&self) -> Option<String> {
        self.env.local_host.clone()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.env.vars.get(name).cloned()
    }

    fn include(&self, pattern: &str) -> Result<Arc<[ConfigFile]>, String> {
        let mut included = self.included.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = included.get(pattern) {
            return files.clone();
        }
        let files = read_included(pattern);
        included.insert(pattern.to_owned(), files.clone());
        files
    }
}

fn root(path: &Path, include_directory: &Path, writers: Writers) -> Result<RootFile, ConfigFileError> {
    let text = read(path, writers).map_err(|source| ConfigFileError {
        path: path.to_owned(),
        source,
    })?;
    Ok(RootFile {
        file: ConfigFile::parse(&path.to_string_lossy(), &text),
        include_directory: include_directory.to_string_lossy().into_owned(),
    })
}

/// Whoever includes them, ssh minds who may write to them.
fn read_included(pattern: &str) -> Result<Arc<[ConfigFile]>, String> {
    let mut files = Vec::new();
    for path in glob(pattern) {
        match read(&path, Writers::Checked) {
            Ok(text) => files.push(ConfigFile::parse(&path.to_string_lossy(), &text)),
            // A link to nowhere, and a directory that a pattern fits, are passed over by ssh too.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
                ) => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(files.into())
}

fn read(path: &Path, writers: Writers) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    if writers == Writers::Checked {
        let metadata = file.metadata()?;
        if let Some(who) = platform::others_may_write(&metadata) {
            let text = format!("{who}; make it yours alone, as with `chmod go-w`");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
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
                "KnownHostsCommand x",
                "hosts.ini:7: KnownHostsCommand is not supported",
            ),
        ] {
            let error = resolve(&[line(text, 7)]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn included_files_are_read_once_and_clones_share_them() {
        let (folder, env) = home(&[("config", "Include inc\n"), ("inc", "Port 2222\n")]);
        let config = SshConfig::load(&env).unwrap();
        let port = |config: &SshConfig| {
            config
                .resolve("web", None, None, &[])
                .unwrap()
                .port
                .unwrap()
                .value
        };
        assert_eq!(port(&config), 2222);
        std::fs::write(folder.path().join(".ssh/inc"), "Port 1\n").unwrap();
        assert_eq!(port(&config.clone()), 2222);
        assert_eq!(port(&SshConfig::load(&env).unwrap()), 1);
    }

    #[test]
    fn a_directory_and_a_link_to_nowhere_are_passed_over_among_included_files() {
        let (folder, env) = home(&[
            ("config", "Include conf.d/*\n"),
            ("conf.d/dir/x", "Port 1\n"),
            ("conf.d/z", "Port 2222\n"),
        ]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("/nonexistent", folder.path().join(".ssh/conf.d/link")).unwrap();
        let options = SshConfig::load(&env)
            .unwrap()
            .resolve("web", None, None, &[])
            .unwrap();
        assert_eq!(options.port.unwrap().value, 2222, "{}", folder.path().display());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_write_to_is_refused_unless_it_was_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, env) = home(&[("config", "Include inc\n"), ("inc", "Port 2222\n")]);
        let path = |name: &str| folder.path().join(".ssh").join(name);
        let mode = |name: &str, mode: u32| {
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("config", 0o646);
        let error = SshConfig::load(&env).unwrap_err().to_string();
        assert!(error.contains("anybody may write to it (mode 646)"), "{error}");
        let resolve = || {
            SshConfig::load_file(&env, &path("config"))
                .unwrap()
                .resolve("web", None, None, &[])
        };
        assert_eq!(resolve().unwrap().port.unwrap().value, 2222);
        mode("inc", 0o602);
        let error = resolve().unwrap_err().to_string();
        let expected = format!(
            "{}:1: cannot include {}: ",
            path("config").display(),
            path("inc").display()
        );
        assert!(
            error.starts_with(&expected) && error.contains("(mode 602)"),
            "{error}"
        );
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
