//! `config.toml`, and the profile that is meant.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sternline::config::Env;
use sternline::proto::sandbox::{BUNDLED, ExecutorConfig, SandboxConfig};
use sternline::proto::text::escape;
use sternline::sandbox::{LoadProfile, SandboxProfile};

use crate::ui::Failure;

/// What `config.toml` says, and where it is.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    pub(super) config: SandboxConfig,
    /// The directory of the file: relative profiles start there.
    folder: Option<PathBuf>,
}

impl Configuration {
    /// Reads `config.toml`, if there is one.
    pub(super) fn load() -> Result<Self, Failure> {
        match path(std::env::var_os("XDG_CONFIG_HOME"), Env::system().home.as_deref()) {
            Some(path) => Self::from_file(&path),
            None => Ok(Self::default()),
        }
    }

    fn from_file(path: &Path) -> Result<Self, Failure> {
        let shown = escape(&path.to_string_lossy());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::usage(format!("cannot read {shown}: {error}"))
                    .with_hint("mend or remove the file"));
            }
        };
        let config = SandboxConfig::from_toml(&text).map_err(|error| {
            Failure::usage(format!("{shown}: {error}"))
                .with_hint("correct the file; docs/sandbox.md lists its keys")
        })?;
        Ok(Self {
            config,
            folder: path.parent().map(Path::to_owned),
        })
    }

    /// The profile that is meant: that of the command line, else the executor's, else that of the file, else `minimal`.
    pub(super) fn profile(
        &self,
        given: Option<&str>,
        executor: Option<&ExecutorConfig>,
    ) -> Result<SandboxProfile, Failure> {
        if let Some(name) = given {
            return load(name, None);
        }
        let configured = executor
            .and_then(ExecutorConfig::profile)
            .or(self.config.profile.as_deref());
        load(configured.unwrap_or("minimal"), self.folder.as_deref())
    }
}

/// What the XDG Base Directory Specification says for configuration.
fn path(configured: Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    // A relative path there counts for nothing.
    let folder = configured
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(home?.join(".config")))?;
    Some(folder.join("sternline").join("config.toml"))
}

/// A bundled profile, or one from a file, which is written like a path.
fn load(name: &str, folder: Option<&Path>) -> Result<SandboxProfile, Failure> {
    if BUNDLED.contains(&name) {
        return SandboxProfile::bundled(name).map_err(|error| Failure::usage(error.to_string()));
    }
    let is_file =
        name.contains(std::path::is_separator) || name.ends_with(".json") || name.ends_with(".toml");
    if !is_file {
        return Err(Failure::usage(format!(
            "there is no bundled profile {}: there are {}",
            escape(name),
            BUNDLED.join(", ")
        ))
        .with_hint("write a file with a / or its extension, as in ./mine.json"));
    }
    let path = match folder {
        Some(folder) if !name.starts_with('~') => folder.join(name),
        _ => PathBuf::from(name),
    };
    SandboxProfile::load(path).map_err(|error| {
        let hint = error.hint().to_owned();
        Failure::usage(error.to_string()).with_hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_where_configuration_is_kept() {
        let home = Some(Path::new("/home/ann"));
        let default = "/home/ann/.config/sternline/config.toml";
        for (configured, expected) in [
            (None, default),
            (Some("/etc/ann"), "/etc/ann/sternline/config.toml"),
            (Some("relative"), default),
            (Some(""), default),
        ] {
            assert_eq!(
                path(configured.map(OsString::from), home),
                Some(PathBuf::from(expected))
            );
        }
        assert_eq!(path(None, None), None);
    }

    #[test]
    fn what_is_named_first_counts_and_files_start_where_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("mine.toml", "name = 'mine'\nallowed_commands = ['ls']\n");
        write(
            "config.toml",
            "sandbox.profile = 'mine.toml'\n[executor.a]\ntype = 'local'\nprofile = 'readonly'\n[executor.b]\ntype = 'local'\n",
        );
        let file = Configuration::from_file(&folder.path().join("config.toml")).unwrap();
        let named = |given, executor: Option<&str>| {
            let executor = executor.map(|name| &file.config.executors[name]);
            file.profile(given, executor)
                .map(|profile| profile.name().to_owned())
        };
        assert_eq!(named(Some("systemd"), Some("a")).unwrap(), "systemd");
        assert_eq!(named(None, Some("a")).unwrap(), "readonly");
        assert_eq!(named(None, Some("b")).unwrap(), "mine");
        assert_eq!(named(None, None).unwrap(), "mine");
        assert_eq!(
            Configuration::default().profile(None, None).unwrap().name(),
            "minimal"
        );
        assert!(
            named(Some("mine"), None)
                .unwrap_err()
                .headline()
                .contains("there is no bundled profile mine")
        );
        let none = Configuration::from_file(&folder.path().join("none.toml")).unwrap();
        assert_eq!(none.config, SandboxConfig::default());
        write("config.toml", "[sandbox]\nprofil = 'x'\n");
        let error = Configuration::from_file(&folder.path().join("config.toml")).unwrap_err();
        assert!(
            error
                .headline()
                .ends_with("sandbox.profil: there is no such key; is profile meant?")
        );
    }
}
