//! Profiles from files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sternline_proto::sandbox::SandboxProfile;
use sternline_proto::text::escape;

use crate::config::Env;
use crate::config::paths::expand_path;
use crate::error::{Error, ErrorKind, Result};

/// The largest file that is read: no profile and no filter is nearly as long.
const LARGEST: u64 = 1 << 20;

/// Adds `load` to [`SandboxProfile`], which itself knows of no files.
///
/// ```no_run
/// use sternline::sandbox::{LoadProfile, SandboxProfile};
///
/// # fn example() -> sternline::Result<()> {
/// let profile = SandboxProfile::load("minimal.json")?;
/// # Ok(()) }
/// ```
pub trait LoadProfile: Sized {
    /// Reads a profile from a file of this machine: TOML where the name ends in `.toml`, JSON otherwise; a leading `~` is the home
    /// directory. The compiled filter that `seccomp_profile` names is read too. Reads from the disk, and so blocks.
    ///
    /// # Errors
    /// [`ErrorKind::LocalFile`] when a file cannot be read, and [`ErrorKind::Invalid`] when it is no profile, or one that is
    /// refused.
    fn load(path: impl AsRef<Path>) -> Result<Self>;
}

impl LoadProfile for SandboxProfile {
    fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = match path.starts_with("~") {
            true => expand_path(&Env::system(), path)
                .map_err(|problem| Error::new(ErrorKind::Invalid, problem.to_string()))?,
            false => path.to_owned(),
        };
        let shown = escape(&path.to_string_lossy());
        let wrong = |reason: String| {
            Error::new(
                ErrorKind::Invalid,
                format!("the sandbox profile {shown} cannot be used: {reason}"),
            )
            .with_hint("correct the file: the documentation of sandboxes lists all keys")
        };
        let text = String::from_utf8(read(&path, "the sandbox profile")?)
            .map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        // Absolute, so that what stands beside it is found from everywhere.
        let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let folder = absolute.parent();
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let profile = match is_toml {
            true => Self::from_toml(&text, folder),
            false => Self::from_json(&text, folder),
        };
        let profile = profile.map_err(|error| wrong(error.to_string()))?;
        let Some(filter) = profile.seccomp().file_to_load() else {
            return Ok(profile);
        };
        let program = read(filter, "the seccomp filter")?;
        profile
            .with_seccomp_program(program)
            .map_err(|error| wrong(error.to_string()))
    }
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    let shown = escape(&path.to_string_lossy());
    let failed = |error: std::io::Error| {
        Error::new(
            ErrorKind::LocalFile(error.kind()),
            format!("cannot read {what} {shown}: {error}"),
        )
    };
    let mut bytes = Vec::new();
    // A device may never come to its end, and a pipe without a writer cannot even be opened.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{what} {shown} is not a regular file"),
        ));
    }
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(Error::new(
            ErrorKind::Invalid,
            format!("{what} {shown} is larger than {LARGEST} bytes"),
        )),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_json_and_from_toml_with_the_filter_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let json = file(
            "a.json",
            b"\xef\xbb\xbf{ \"name\": \"a\", \"allowed_commands\": [\"ls\"] }",
        );
        assert_eq!(SandboxProfile::load(json).unwrap().name(), "a");
        let toml = file(
            "b.toml",
            b"name = 'b'\nallowed_commands = ['ls']\nseccomp_profile = 'allow.bpf'\n",
        );
        let error = SandboxProfile::load(&toml).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::LocalFile(std::io::ErrorKind::NotFound));
        assert!(error.to_string().contains("the seccomp filter") && error.to_string().contains("allow.bpf"));
        // One instruction: return SECCOMP_RET_ALLOW.
        file("allow.bpf", &[0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]);
        assert_eq!(
            SandboxProfile::load(&toml).unwrap().seccomp().file_to_load(),
            None
        );
        file("allow.bpf", b"odd");
        assert_eq!(
            SandboxProfile::load(&toml).unwrap_err().kind(),
            &ErrorKind::Invalid
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.json");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (told, telling) = std::sync::mpsc::channel();
        std::thread::spawn(move || drop(told.send(SandboxProfile::load(pipe))));
        let error = telling
            .recv_timeout(std::time::Duration::from_secs(20))
            .unwrap()
            .unwrap_err();
        assert!(error.to_string().ends_with("is not a regular file"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = SandboxProfile::load(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("is not a regular file"), "{error}");
        let error = SandboxProfile::load(folder.path().join("none.json")).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::LocalFile(std::io::ErrorKind::NotFound));
        let typo = folder.path().join("typo.json");
        std::fs::write(&typo, r#"{ "name": "x", "allowed_comands": ["ls"] }"#).unwrap();
        let error = SandboxProfile::load(&typo).unwrap_err();
        assert!(
            error.to_string().contains("typo.json") && error.to_string().contains("allowed_comands"),
            "{error}"
        );
    }
}
