//! Files of this program that what it starts would have open too: bubblewrap hands on whatever it gets.
//!
//! Our own are closed by the kernel when another program begins; those that this program was started with, or that other
//! libraries have opened, may not be.

use std::fmt::Write as _;
use std::path::Path;

use tokio::process::Command;

/// The beginning of `/bin/sh -c`, with none of them open; the text is the next argument.
pub(super) fn shell() -> Command {
    let inherited = inherited();
    if !inherited.is_empty() {
        return closing(&inherited);
    }
    let mut command = Command::new("/bin/sh");
    command.arg("-c");
    command
}

/// The numbers of the descriptors that are handed on, but for the first three.
fn inherited() -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc/self/fdinfo") else {
        return Vec::new();
    };
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        // One that is closed meanwhile is handed on to nobody.
        let info = std::fs::read_to_string(entry.path()).ok()?;
        (number > 2 && !is_closed_on_exec(&info)).then_some(number)
    };
    all.filter_map(number).collect()
}

/// Whether `flags`, in octal, hold O_CLOEXEC; see proc(5).
fn is_closed_on_exec(info: &str) -> bool {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & O_CLOEXEC != 0)
}

/// A shell that closes them, and then becomes `/bin/sh -c` with what is its next argument.
///
/// dash can close none above 9, and ends with an error then; where it is `/bin/sh` there is bash as well.
fn closing(numbers: &[u32]) -> Command {
    let shell = match Path::new("/bin/bash").exists() {
        true => "/bin/bash",
        false => "/bin/sh",
    };
    let mut text = "exec".to_owned();
    for number in numbers {
        let _ = write!(text, " {number}<&-");
    }
    text.push_str("; exec /bin/sh -c \"$0\"");
    let mut command = Command::new(shell);
    command.arg("-c").arg(text);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_by_the_kernel_is_told_from_what_is_not() {
        for (info, expected) in [
            ("pos:\t0\nflags:\t02100000\nmnt_id:\t9\n", true),
            ("pos:\t0\nflags:\t0100002\n", false),
            ("", false),
            ("flags:\tx\n", false),
        ] {
            assert_eq!(is_closed_on_exec(info), expected, "{info}");
        }
    }
}
