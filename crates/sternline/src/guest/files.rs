//! Moving single files to and from a guest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sternline_proto::text::escape;

use super::client::GuestClient;
use crate::config::paths::permission_bits;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::Transfer;

/// How long a file that is being moved may stand still.
const STALLED: Duration = Duration::from_secs(30);

impl GuestClient {
    /// Copies a file of this machine to the guest, with its permissions. A remote path that is a directory gets it
    /// under its own name; `~/` is the home directory, and so is where a relative path begins. Directories above it
    /// are made.
    ///
    /// The file is written beside its target and renamed: nobody ever sees half of it. How long connecting may take is
    /// `connect_timeout`; a transfer that moves nothing for 30 seconds is given up.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty remote path and for a local one that does not exist, or is a pipe or device;
    /// else why it could not be copied.
    pub async fn put_file(&self, local: impl AsRef<Path>, remote: impl AsRef<str>) -> Result<()> {
        let (local, remote) = (local.as_ref(), remote.as_ref());
        check(remote)?;
        let shown = escape(&local.display().to_string());
        let metadata = tokio::fs::metadata(local)
            .await
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::new(ErrorKind::Invalid, format!("local_path does not exist: {shown}"))
                }
                kind => Error::new(
                    ErrorKind::LocalFile(kind),
                    format!("cannot look at {shown}: {error}"),
                ),
            })?;
        // One that is no file may have no end, and to open a pipe that nobody writes to has none either.
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("local_path is no file: {shown}"),
            ));
        }
        let mut transfer = Transfer::upload(local, remote).progress_timeout(STALLED);
        if let Some(mode) = permission_bits(&metadata) {
            transfer = transfer.mode(mode & 0o777);
        }
        let connection = self.connection(self.settings().connect_timeout).await?;
        connection.transfer(transfer).await.success()?;
        Ok(())
    }

    /// Copies a file of the guest to this machine, and says where it is now. Its permissions are those of the guest's
    /// file less the umask here, and never lend rights; those of a file that is replaced stay. A local path that is a
    /// directory gets it under its own name. Directories above it are made.
    ///
    /// The file is written beside its target and renamed: where the guest has no such file, or copying fails, a local
    /// file stays as it was.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty remote path; else why it could not be copied.
    pub async fn get_file(&self, remote: impl AsRef<str>, local: impl AsRef<Path>) -> Result<PathBuf> {
        let (remote, local) = (remote.as_ref(), local.as_ref());
        check(remote)?;
        // One that does not exist yet is made where its name ends as that of a directory.
        let is_directory = local.as_os_str().as_encoded_bytes().ends_with(b"/")
            || tokio::fs::metadata(local).await.is_ok_and(|found| found.is_dir());
        let transfer = Transfer::download(remote, local).progress_timeout(STALLED);
        let connection = self.connection(self.settings().connect_timeout).await?;
        connection.transfer(transfer).await.success()?;
        let name = remote
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        Ok(match is_directory {
            true => local.join(name),
            false => local.to_owned(),
        })
    }
}

fn check(remote: &str) -> Result<()> {
    match remote.trim().is_empty() {
        true => Err(Error::new(ErrorKind::Invalid, "remote_path cannot be empty")),
        false => Ok(()),
    }
}
