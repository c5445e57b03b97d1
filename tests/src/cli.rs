//! The `sternline` program, run as a user runs it, with a home directory of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program that this test run has built.
///
/// # Panics
/// When it is not there, because only a part of the workspace was tested.
#[must_use]
pub fn program() -> PathBuf {
    built("sternline").expect("the program is not built: run `cargo build -p sternline-cli` first")
}

/// One of the programs in `examples/`, as this test run has built it.
///
/// # Panics
/// When it is not there, because only a part of the workspace was tested.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    let path = built(&format!("examples/{name}"));
    path.expect("the examples are not built: run `cargo build -p sternline --examples` first")
}

/// Tests stand in `target/debug/deps`, programs one folder above.
fn built(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let mut paths = test.ancestors().map(|folder| folder.join(name));
    paths.find(|path| path.is_file())
}

/// A home directory that only this test knows, empty at first.
#[derive(Debug)]
pub struct Home(tempfile::TempDir);

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty one.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, private and with its folders, and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A program with this home, in this home, with nothing of the caller's environment but `PATH`, which leads to
    /// `sternline` first. No agent, no terminal, no input.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let sternline = self::program();
        let mut path = sternline.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path())
            .env("LC_ALL", "C")
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// `sternline` with these arguments, to be started.
    #[must_use]
    pub fn sternline<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(program());
        command.args(arguments);
        command
    }

    /// Runs `sternline` with these arguments to its end.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        Ended::from(self.sternline(arguments).output().unwrap())
    }
}

/// What a program wrote and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its standard output as text.
    pub stdout: String,
    /// Its standard error as text.
    pub stderr: String,
    /// Its exit status; -1 when a signal ended it.
    pub status: i32,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code().unwrap_or(-1),
        }
    }
}
