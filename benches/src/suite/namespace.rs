//! A network and a table of processes of its own, where root may make them: all of 127.0.0.0/8 reaches one server there that
//! nobody else does, and nothing that a peer leaves behind outlives the suite.

use std::error::Error;
use std::process::{Command, ExitCode};

/// Set for the suite inside its namespaces.
const VARIABLE: &str = "STERNLINE_BENCHES_NAMESPACE";

/// Whether this process is the one inside.
pub(super) fn is_own() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Runs this program again inside, with the same arguments, and returns how it ended; `None` where there can be no
/// namespaces.
pub(super) fn enter(arguments: &[String]) -> Result<Option<ExitCode>, Box<dyn Error>> {
    // Signals reach the program only because it is not the first process of its namespace: the shell stays.
    let inside = |script: &str| {
        // What is inside ends with whoever waits for it, whatever ends that.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", script, "sh"]);
        command
    };
    let up = "export PATH=\"$PATH:/usr/sbin:/sbin\"; ip link set lo up";
    if !inside(up).status().is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let status = inside(&format!("{up} && \"$@\"; exit $?"))
        .arg(std::env::current_exe()?)
        .args(arguments)
        .env(VARIABLE, "1")
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}
