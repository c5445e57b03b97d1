//! The peers that have to be installed: Python's into a virtual environment of our own, Debian's unpacked into a folder.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Python peers and their versions, for the tests as well.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/test-requirements.txt");

/// What is installed.
pub(super) struct Peers {
    /// The interpreter that has the Python peers. Their programs stand beside it.
    pub(super) python: PathBuf,
}

/// Where everything is kept between sessions.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers")
}

/// Installs what is not there yet, if that is allowed.
///
/// # Errors
/// When an installation fails. That a peer is missing is no error.
pub(super) fn peers(install: bool) -> Result<Peers, Box<dyn Error>> {
    if install && pssh().is_none() {
        // Debian is not everywhere; the suite goes on without.
        let _ = unpack_pssh();
    }
    if let Some(python) = std::env::var_os("STERNLINE_TEST_PYTHON") {
        return Ok(Peers {
            python: python.into(),
        });
    }
    let environment = folder().join("venv");
    let python = environment.join("bin/python");
    if install {
        install_python(&environment, &python)?;
    }
    Ok(Peers {
        python: if python.exists() { python } else { "python3".into() },
    })
}

fn install_python(environment: &Path, python: &Path) -> Result<(), Box<dyn Error>> {
    let installed = environment.join("installed.txt");
    let wanted = fs::read(REQUIREMENTS)?;
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    }
    succeed(
        Command::new(python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(REQUIREMENTS),
    )?;
    fs::write(installed, wanted)?;
    Ok(())
}

/// Debian's packages of pssh, unpacked and not installed.
fn unpack_pssh() -> Result<(), Box<dyn Error>> {
    let packages = tempfile::tempdir()?;
    succeed(
        Command::new("apt-get")
            .args(["-qq", "download", "pssh", "python3-psshlib"])
            // That root downloads into a folder of its own is worth a warning to it.
            .stderr(Stdio::null())
            .current_dir(packages.path()),
    )?;
    fs::create_dir_all(folder())?;
    for package in fs::read_dir(packages.path())? {
        let into = folder().join("pssh");
        succeed(Command::new("dpkg-deb").arg("-x").arg(package?.path()).arg(into))?;
    }
    Ok(())
}

/// pssh, which Debian calls parallel-ssh: the system's, or the one that was unpacked.
fn pssh() -> Option<Command> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let system = std::env::split_paths(&paths)
        .map(|folder| folder.join("parallel-ssh"))
        .find(|path| path.is_file());
    if let Some(path) = system {
        return Some(Command::new(path));
    }
    let root = folder().join("pssh/usr");
    let (program, library) = (
        root.join("bin/parallel-ssh"),
        root.join("lib/python3/dist-packages"),
    );
    (program.is_file() && library.is_dir()).then(|| {
        let mut command = Command::new("python3");
        command.arg(program).env("PYTHONPATH", library);
        command
    })
}

/// A command of pssh without arguments; `None` where there is none.
pub(crate) fn parallel_ssh_of_debian() -> Option<Command> {
    pssh()
}

fn succeed(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = quiet.status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{} ended with {status}", command.get_program().display()).into()),
    }
}
