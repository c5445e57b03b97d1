//! Operations on paths.

use sternline_proto::sftp::{Attributes, Extended, Extension, FileSystem, OpenFlags, Request};

use super::failure::Tried;
use super::file::RemoteFile;
use super::handle::Sftp;
use super::listing::Listing;
use crate::error::Result;

impl Sftp {
    /// Opens a directory to read its entries, in no particular order.
    ///
    /// # Errors
    /// When it cannot be opened. What goes wrong later is an item of the listing.
    ///
    /// ```no_run
    /// # async fn example(sftp: &sternline::Sftp) -> sternline::Result<()> {
    /// let mut listing = sftp.list("/var/log").await?;
    /// while let Some(entry) = listing.next().await {
    ///     let entry = entry?;
    ///     println!("{} {:?}", String::from_utf8_lossy(&entry.name), entry.attributes.size);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list(&self, path: impl AsRef<[u8]>) -> Result<Listing> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("list", &path).suspecting("it may be a file and no directory");
        let handle = self
            .opened(tried, Request::OpenDir { path: path.clone() })
            .await?;
        Ok(Listing::new(self.clone(), path, handle))
    }

    /// The attributes of a file or directory; those of what it points to, if it is a symbolic link.
    ///
    /// # Errors
    /// When there is none, or it may not be looked at.
    pub async fn stat(&self, path: impl AsRef<[u8]>) -> Result<Attributes> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("look at", &path);
        self.attributes(tried, Request::Stat { path: path.clone() }).await
    }

    /// The same, and of a symbolic link itself.
    ///
    /// # Errors
    /// As [`Sftp::stat`].
    pub async fn lstat(&self, path: impl AsRef<[u8]>) -> Result<Attributes> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("look at", &path);
        self.attributes(tried, Request::LStat { path: path.clone() })
            .await
    }

    /// Sets those attributes that are given; symbolic links are followed. A size truncates the file, or extends it by zero
    /// bytes.
    ///
    /// # Errors
    /// When one of them cannot be set; others may have been.
    pub async fn set_stat(&self, path: impl AsRef<[u8]>, attributes: Attributes) -> Result<()> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("set attributes of", &path);
        let request = Request::SetStat {
            path: path.clone(),
            attributes,
        };
        self.done(tried, request).await
    }

    /// As [`Sftp::set_stat`], of a symbolic link itself (`lsetstat@openssh.com`).
    pub(in crate::transfer) async fn set_link_stat(&self, path: &[u8], attributes: Attributes) -> Result<()> {
        let path = self.checked(path)?;
        let tried = Tried::new("set attributes of", &path);
        self.require(tried, Extension::LSETSTAT)?;
        let request = Extended::LSetStat {
            path: path.clone(),
            attributes,
        };
        self.done(tried, Request::Extended(request)).await
    }

    pub(in crate::transfer) fn has_lsetstat(&self) -> bool {
        self.offers(Extension::LSETSTAT)
    }

    /// Sets the permission bits, such as `0o640`; symbolic links are followed.
    ///
    /// # Errors
    /// As [`Sftp::set_stat`].
    pub async fn chmod(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        self.set_stat(path, mode_only(Some(mode))).await
    }

    /// Makes a directory, with these permission bits less the server's umask; without any, with those that the server
    /// chooses.
    ///
    /// # Errors
    /// When it cannot be made, or something has that name already.
    pub async fn mkdir(&self, path: impl AsRef<[u8]>, mode: Option<u32>) -> Result<()> {
        let path = self.checked(path.as_ref())?;
        let tried =
            Tried::new("make the directory", &path).suspecting("something may have that name already");
        let request = Request::MkDir {
            path: path.clone(),
            attributes: mode_only(mode),
        };
        self.done(tried, request).await
    }

    /// Removes a file, or a symbolic link itself.
    ///
    /// # Errors
    /// When it cannot be removed, or is a directory.
    pub async fn remove(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("remove", &path).suspecting("it may be a directory");
        self.done(tried, Request::Remove { path: path.clone() }).await
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// When it cannot be removed, is not empty, or is no directory.
    pub async fn rmdir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = self.checked(path.as_ref())?;
        let tried =
            Tried::new("remove the directory", &path).suspecting("it may not be empty, or be no directory");
        self.done(tried, Request::RmDir { path: path.clone() }).await
    }

    /// Renames. What has the new name is replaced in one step, as POSIX has it, where the server offers that
    /// (`posix-rename@openssh.com`); elsewhere a name that is taken is an error.
    ///
    /// # Errors
    /// When it cannot be renamed; the two names may lie on different file systems.
    pub async fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        let (from, to) = (self.checked(from.as_ref())?, self.checked(to.as_ref())?);
        let (old, new) = (from.clone(), to.clone());
        let tried = Tried::new("rename", &old).and("to", &new);
        if self.offers(Extension::POSIX_RENAME) {
            let tried = tried
                .suspecting("the two may lie on different file systems, or the new name be a directory's");
            let request = Request::Extended(Extended::PosixRename { from, to });
            self.done(tried, request).await
        } else {
            let tried = tried.suspecting("the new name may be taken, and this server replaces nothing");
            self.done(tried, Request::Rename { from, to }).await
        }
    }

    /// Makes a symbolic link that points to `target`, as it is written: a relative one begins at the link's directory.
    ///
    /// # Errors
    /// When it cannot be made, or something has that name already.
    pub async fn symlink(&self, target: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Result<()> {
        let (target, link) = (self.checked(target.as_ref())?, self.checked(link.as_ref())?);
        let (to, at) = (target.clone(), link.clone());
        let tried = Tried::new("make the symbolic link", &at)
            .and("to", &to)
            .suspecting("something may have that name already");
        // The draft's order, which is the reverse of nearly everybody's, is what asyncssh's server expects of all but
        // OpenSSH's clients and paramiko's.
        let of_the_draft = self.connection().server_identification().contains("AsyncSSH");
        let request = if of_the_draft {
            Request::SymLink {
                target: link,
                link: target,
            }
        } else {
            Request::SymLink { target, link }
        };
        self.done(tried, request).await
    }

    /// Where a symbolic link points to, as it is written.
    ///
    /// # Errors
    /// When it cannot be read, or is no symbolic link.
    pub async fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("read the link", &path).suspecting("it may be no symbolic link");
        self.path(tried, Request::ReadLink { path: path.clone() }).await
    }

    /// The path made absolute and free of symbolic links. `.` gives the directory in which relative paths begin.
    ///
    /// # Errors
    /// When there is no such directory; OpenSSH's server allows the last part to be missing.
    pub async fn real_path(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("find the real path of", &path);
        self.path(tried, Request::RealPath { path: path.clone() }).await
    }

    /// As [`Sftp::real_path`], with `~` and `~user` at the beginning expanded to home directories
    /// (`expand-path@openssh.com`).
    ///
    /// # Errors
    /// As [`Sftp::real_path`]; where the server does not offer it, for a path that begins with `~`.
    pub async fn expand_path(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let path = self.checked(path.as_ref())?;
        if !path.starts_with(b"~") {
            return self.real_path(path).await;
        }
        let tried = Tried::new("expand", &path).suspecting("there may be no such user");
        self.require(tried, Extension::EXPAND_PATH)?;
        let request = Request::Extended(Extended::ExpandPath { path: path.clone() });
        self.path(tried, request).await
    }

    /// What is known of the file system that holds a path: its size, and what is free (`statvfs@openssh.com`).
    ///
    /// # Errors
    /// When there is no such path, or the server does not offer it.
    pub async fn statvfs(&self, path: impl AsRef<[u8]>) -> Result<FileSystem> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("look at the file system of", &path);
        self.require(tried, Extension::STATVFS)?;
        let request = Extended::StatVfs { path: path.clone() };
        let body = self.extended(tried, request).await?;
        FileSystem::decode(body).map_err(|_| self.locate(tried.odd_answer()))
    }

    /// Gives a file a further name (`hardlink@openssh.com`).
    ///
    /// # Errors
    /// When it cannot be linked, something has that name already, or the server does not offer it.
    pub async fn hardlink(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        let (from, to) = (self.checked(from.as_ref())?, self.checked(to.as_ref())?);
        let (old, new) = (from.clone(), to.clone());
        let tried = Tried::new("link", &old)
            .and("as", &new)
            .suspecting("the name may be taken, or lie on another file system");
        self.require(tried, Extension::HARDLINK)?;
        self.done(tried, Request::Extended(Extended::HardLink { from, to }))
            .await
    }

    /// Opens a file. One that is made gets these permission bits less the server's umask; without any, those that the
    /// server chooses, usually `0o666` less the umask.
    ///
    /// Cancel-safe: a file that opens too late is closed again.
    ///
    /// # Errors
    /// When it cannot be opened.
    ///
    /// ```no_run
    /// # async fn example(sftp: &sternline::Sftp) -> sternline::Result<()> {
    /// use sternline::transfer::OpenFlags;
    ///
    /// let new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    /// let file = sftp.open("notes.txt", new, Some(0o600)).await?;
    /// file.write_at(0, "remember the milk\n").await?;
    /// file.close().await?;
    ///
    /// let file = sftp.open("notes.txt", OpenFlags::READ, None).await?;
    /// assert_eq!(file.read_at(13, 4).await?, "milk");
    /// # Ok(()) }
    /// ```
    pub async fn open(
        &self,
        path: impl AsRef<[u8]>,
        flags: OpenFlags,
        mode: Option<u32>,
    ) -> Result<RemoteFile> {
        let path = self.checked(path.as_ref())?;
        let tried = Tried::new("open", &path).suspecting(if flags.contains(OpenFlags::EXCLUSIVE) {
            "there may be such a file already"
        } else {
            "it may be a directory, or too many files may be open"
        });
        let request = Request::Open {
            path: path.clone(),
            flags,
            attributes: mode_only(mode),
        };
        let handle = self.opened(tried, request).await?;
        Ok(RemoteFile::new(self.clone(), path, handle))
    }
}

fn mode_only(mode: Option<u32>) -> Attributes {
    Attributes {
        permissions: mode,
        ..Attributes::default()
    }
}
