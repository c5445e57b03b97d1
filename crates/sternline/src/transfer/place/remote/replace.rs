//! Renaming to a name that may be taken.

use std::sync::OnceLock;

use sternline_proto::files::{PARTIAL_RANDOM, partial_name};
use sternline_proto::sftp::Extension;
use sternline_proto::text::escape_bytes;

use super::files::{found, is_missing, is_refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::meta::{Kind, Meta};
use crate::transfer::sftp::Sftp;

/// A file that gets another name, in place of what has it already.
///
/// That is one step where the server offers `posix-rename@openssh.com`. Elsewhere what has the name is moved aside first,
/// and for a moment nothing has it.
pub(super) struct Replacement<'a> {
    from: &'a [u8],
    to: &'a [u8],
    /// Where what has the name waits, on a server that replaces nothing.
    aside: Vec<u8>,
    /// What is to be renamed, for a look at whether a lost answer was a yes.
    renamed: OnceLock<Meta>,
}

impl<'a> Replacement<'a> {
    pub(super) fn new(from: &'a [u8], to: &'a [u8]) -> Result<Self> {
        let mut random = [0; PARTIAL_RANDOM];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Local, "the system gives no random numbers").with_source_text(&error)
        })?;
        let name = to.rsplit(|byte| *byte == b'/').next().unwrap_or(to);
        let folder = to.strip_suffix(name).unwrap_or_default();
        Ok(Self {
            from,
            to,
            aside: [folder, &partial_name(name, &random)].concat(),
            renamed: OnceLock::new(),
        })
    }

    /// `go_on`: there may be another try, and then `again` is true.
    pub(super) async fn make(&self, sftp: &Sftp, go_on: bool, again: bool) -> Result<()> {
        let renaming = sftp.rename(self.from, self.to);
        let renamed = if go_on && !again {
            let (before, renamed) = tokio::join!(sftp.lstat(self.from), renaming);
            if let Ok(before) = before {
                let _ = self.renamed.set(Meta::from_attributes(&before));
            }
            renamed
        } else {
            renaming.await
        };
        let by_hand = !sftp.offers(Extension::POSIX_RENAME);
        let error = match renamed {
            Ok(()) if again && by_hand => return self.clean(sftp).await,
            Err(error) if is_refusal(&error) => error,
            done => return done,
        };
        if again && is_missing(&error) && self.is_done(sftp).await? {
            return if by_hand { self.clean(sftp).await } else { Ok(()) };
        }
        if !by_hand {
            return Err(error);
        }
        match looked_at(sftp, self.to).await? {
            Some(meta) if meta.kind != Kind::Directory => {}
            // An earlier try may have moved it aside and got no further.
            None if again => return Err(self.restore(sftp, error).await),
            _ => return Err(error),
        }
        match sftp.rename(self.to, &self.aside).await {
            Err(refused) if is_refusal(&refused) => return Err(error),
            moved => moved?,
        }
        match sftp.rename(self.from, self.to).await {
            Ok(()) => self.clean(sftp).await,
            Err(error) if is_refusal(&error) => Err(self.restore(sftp, error).await),
            Err(lost) => Err(lost),
        }
    }

    /// Whether an earlier try has renamed it, whose answer was lost.
    async fn is_done(&self, sftp: &Sftp) -> Result<bool> {
        if looked_at(sftp, self.from).await?.is_some() {
            return Ok(false);
        }
        let there = looked_at(sftp, self.to).await?;
        Ok(there.is_some_and(|there| match self.renamed.get() {
            Some(ours) if ours.kind == Kind::File => {
                (there.kind, there.size, there.times.map(|times| times.mtime))
                    == (ours.kind, ours.size, ours.times.map(|times| times.mtime))
            }
            _ => true,
        }))
    }

    /// Removes what was replaced.
    async fn clean(&self, sftp: &Sftp) -> Result<()> {
        match sftp.remove(&self.aside).await {
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) if is_refusal(&error) => {
                tracing::warn!(%error, "what was replaced is still there under a temporary name");
                Ok(())
            }
            done => done,
        }
    }

    /// Moves back what was moved aside. Gives the error to tell.
    async fn restore(&self, sftp: &Sftp, error: Error) -> Error {
        match sftp.rename(&self.aside, self.to).await {
            Ok(()) => error,
            Err(gone) if is_missing(&gone) => error,
            Err(refused) if is_refusal(&refused) => {
                let (to, aside) = (escape_bytes(self.to), escape_bytes(&self.aside));
                error
                    .within(&format!(
                        "what {to} was before is whole, but is now called {aside} and could not be moved back"
                    ))
                    .with_hint(format!("rename {aside} to {to} on the server"))
            }
            Err(lost) => lost,
        }
    }
}

/// What is there itself. A refusal to look is taken for nothing.
async fn looked_at(sftp: &Sftp, path: &[u8]) -> Result<Option<Meta>> {
    match found(sftp.lstat(path).await) {
        Err(error) if is_refusal(&error) => Ok(None),
        looked => looked,
    }
}
