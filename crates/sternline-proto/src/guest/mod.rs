//! Commands for the guests of a virtual machine monitor: the lines that start them in a POSIX shell, PowerShell or
//! cmd.exe, what PowerShell writes about itself, and the files and scripts that hold a guest's variables.

mod clixml;
mod environment;
mod error;
mod powershell;
mod shell;

pub use clixml::without_clixml;
pub use environment::{LARGEST_FILE, Variables, check_settable, check_variable, parse_file, render_file};
pub use error::GuestError;
pub use powershell::{MANAGED_KEYS, parse_variables, read_script, script_input, script_line, write_script};
pub use shell::{MARK, ShellKind, ShellMode, is_unread, probe_line, wrap};
