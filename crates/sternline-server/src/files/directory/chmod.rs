//! Setting the mode of what has a name in a directory, never of what a symbolic link points to.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;

/// Linux has no such call before 6.6. A descriptor that was opened without following says which file it is, and its entry
/// in `/proc` leads to that file and nowhere else (proc_pid_fd(5)), whoever may read it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn chmod(dir: &OwnedFd, name: &[u8], mode: Mode) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{FileType, OFlags, fstat, openat};

    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Symlink {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(rustix::fs::chmod(
        format!("/proc/self/fd/{}", file.as_raw_fd()),
        mode,
    )?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn chmod(dir: &OwnedFd, name: &[u8], mode: Mode) -> io::Result<()> {
    use rustix::fs::{AtFlags, chmodat};

    Ok(chmodat(dir, name, mode, AtFlags::SYMLINK_NOFOLLOW)?)
}
