//! Operations on the files of a server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::files::Direction;
use sternline_proto::sftp::{Attributes, StatusCode};
use sternline_proto::text::escape_bytes;

use super::hash;
use super::lines::{Lines, Origin};
use super::open_file::{RemoteReading, RemoteWriting};
use super::replace::Replacement;
use super::small::{self, Masks};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::place::meta::{Change, Entry, How, Kind, Meta, Shortcut};
use crate::transfer::sftp::Sftp;
use crate::transfer::shell;

/// From this round trip on small files are sent together: 64 of them at once wait for it two or three times each, and a
/// stream not at all. On a short way SFTP was faster (10,000 files of 4 KiB in 0.42 s against 0.50), but half as fast for
/// files that are received (1.4 s against 0.68).
const LONG_WAY: Duration = Duration::from_millis(5);

/// The files of a server. Clones share the connection and its SFTP channels.
///
/// On a supervised connection every operation whose connection was lost is tried again on the next one. What the lost one
/// may have done already then counts as done: a directory that is there, a name that is gone.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFiles {
    lines: Arc<Lines>,
    masks: Arc<Masks>,
    host: Arc<str>,
}

impl RemoteFiles {
    pub(crate) async fn connect(origin: Origin) -> Result<Self> {
        let lines = Lines::open(origin).await?;
        Ok(Self {
            host: lines.current().sftp().connection().host().into(),
            lines: Arc::new(lines),
            masks: Arc::default(),
        })
    }

    /// Whether there may be another connection if the present one is lost.
    pub(crate) fn go_on(&self) -> bool {
        self.lines.go_on()
    }

    /// By the server's shell where there is one: what is read always, what is written over a long way.
    pub(crate) async fn shortcut(&self, direction: Direction) -> Option<Shortcut> {
        let line = self.lines.current();
        if direction == Direction::Upload && line.sftp().round_trip() < LONG_WAY {
            return None;
        }
        let tools = line.tools().await.ok().flatten()?;
        Some(Shortcut {
            connection: line.sftp().connection().clone(),
            tar: tools.tar?,
        })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) async fn given_up_commands_end(&self) {
        let line = self.lines.current();
        line.sftp().connection().sessions().dropped_are_ended().await;
    }

    /// Does something, and again on the next connection where one was lost; it is told then that it may have been done.
    pub(super) async fn again<T, F>(&self, work: impl Fn(Sftp, bool) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut line = self.lines.current();
        let mut again = false;
        loop {
            match work(line.sftp().clone(), again).await {
                Err(error) => line = self.lines.after(&line, error).await?,
                done => return done,
            }
            again = true;
        }
    }

    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.again(|sftp, _| async move { found(sftp.stat(path).await) })
            .await
    }

    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.again(|sftp, _| async move { found(sftp.lstat(path).await) })
            .await
    }

    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        self.again(|sftp, _| async move { list(&sftp, path).await }).await
    }

    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.again(|sftp, _| async move { sftp.real_path(path).await })
            .await
    }

    pub(crate) async fn home_of(&self, user: &[u8]) -> Result<Vec<u8>> {
        self.again(|sftp, _| async move { sftp.expand_path(user).await })
            .await
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.again(|sftp, _| async move { sftp.read_link(path).await })
            .await
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        self.again(|sftp, again| async move {
            match sftp.symlink(target, link).await {
                Err(error) if again && is_refusal(&error) => match sftp.read_link(link).await {
                    Ok(leads_to) if leads_to == target => Ok(()),
                    Err(lost) if !is_refusal(&lost) => Err(lost),
                    _ => Err(error),
                },
                done => done,
            }
        })
        .await
    }

    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        self.again(|sftp, again| async move {
            match sftp.mkdir(path, Some(mode)).await {
                Ok(()) => Ok(true),
                // Servers have no word of their own for "it is there already".
                Err(error) if is_refusal(&error) => match found(sftp.stat(path).await) {
                    // After a lost answer nobody knows who has made it. That it was us is all but certain.
                    Ok(Some(meta)) if meta.kind == Kind::Directory => Ok(again),
                    Err(lost) if !is_refusal(&lost) => Err(lost),
                    _ => Err(error),
                },
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        let replacement = Replacement::new(from, to)?;
        let go_on = self.lines.go_on();
        let replacement = &replacement;
        self.again(|sftp, again| async move { replacement.make(&sftp, go_on, again).await })
            .await
    }

    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        self.again(|sftp, _| async move { gone(sftp.remove(path).await) })
            .await
    }

    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        self.again(|sftp, again| async move {
            match sftp.rmdir(path).await {
                done if again => gone(done),
                done => done,
            }
        })
        .await
    }

    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        self.again(
            |sftp, _| async move { in_order(change, |attributes| sftp.set_stat(path, attributes)).await },
        )
        .await
    }

    pub(crate) async fn change_link(&self, path: &[u8], change: Change) -> Result<()> {
        // A link has no mode.
        let change = Change { mode: None, ..change };
        self.again(|sftp, _| async move {
            if !sftp.has_lsetstat() {
                return Ok(());
            }
            in_order(change, |attributes| sftp.set_link_stat(path, attributes)).await
        })
        .await
    }

    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        hash::sha256(&self.lines, path, length).await
    }

    pub(crate) async fn open(&self, path: &[u8], size: u64) -> Result<RemoteReading> {
        RemoteReading::open(&self.lines, path, size).await
    }

    pub(crate) async fn create(&self, path: &[u8], how: How, size: u64) -> Result<RemoteWriting> {
        RemoteWriting::open(&self.lines, path, how, size).await
    }

    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        self.again(|sftp, _| async move { small::read(&sftp, path, length).await })
            .await
    }

    pub(crate) async fn write_small(
        &self,
        path: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        let new = small::NewFile {
            path,
            mode,
            data,
            change,
            fsync,
        };
        let new = &new;
        self.again(|sftp, again| async move { new.write(&sftp, &self.masks, again).await })
            .await
    }

    pub(crate) fn prepare(&self, direction: Direction, size: u64) {
        self.lines.prepare(direction, size);
    }

    /// As far as the server's shell can tell.
    pub(crate) async fn extended_acls(&self, root: &[u8]) -> HashSet<Vec<u8>> {
        let line = self.lines.current();
        match line.tools().await {
            Ok(Some(tools)) if tools.acl => {}
            _ => return HashSet::new(),
        }
        match shell::extended_acls(line.sftp().connection(), root).await {
            Ok(paths) => paths.into_iter().collect(),
            Err(error) => {
                tracing::debug!(%error, "access control lists are not looked at");
                HashSet::new()
            }
        }
    }

    pub(crate) async fn keep_acl(&self, existing: &[u8], new: &[u8]) -> Result<()> {
        shell::keep_acl(self.lines.current().sftp().connection(), existing, new).await
    }

    pub(crate) fn chunk(&self) -> usize {
        self.lines.current().chunk()
    }
}

/// How much memory the entries of one directory may take, about: some two million of them. Only a server that means harm
/// goes on for ever.
const LISTED: usize = 512 * 1024 * 1024;

/// What an entry takes beside its name.
const ENTRY: usize = 200;

/// From this length on sftp-server leaves out, without a word, what it cannot look at: its paths end at 4096 bytes, and a
/// name may have 255.
const TOO_LONG: usize = 4096 - 255 - 1;

async fn list(sftp: &Sftp, path: &[u8]) -> Result<Vec<Result<Entry>>> {
    if path.len() >= TOO_LONG {
        return Err(refused(
            sftp,
            format!(
                "cannot list {}: servers leave entries out where paths are so long",
                escape_bytes(path)
            ),
            "begin further down in the tree, or at a path from the home directory",
        ));
    }
    let mut listing = sftp.list(path).await?;
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    let mut room = LISTED;
    while let Some(entry) = listing.next().await {
        let takes = ENTRY + 2 * entry.as_ref().map_or(ENTRY, |entry| entry.name.len());
        room = room.checked_sub(takes).ok_or_else(|| endless(sftp, path))?;
        let entry = match entry {
            Ok(entry) if names.insert(entry.name.clone()) => Ok(Entry {
                name: entry.name,
                meta: Meta::from_attributes(&entry.attributes),
            }),
            Ok(entry) => Err(listed_twice(sftp, path, &entry.name)),
            Err(error) if *error.kind() == ErrorKind::RemoteFile(StatusCode::BadMessage) => Err(error),
            Err(error) => return Err(error),
        };
        entries.push(entry);
    }
    Ok(entries)
}

fn endless(sftp: &Sftp, directory: &[u8]) -> Error {
    refused(
        sftp,
        format!(
            "the server lists more entries of {} than there is room for",
            escape_bytes(directory)
        ),
        "look at that directory on the server: if it does not hold millions of files, the server is broken or hostile",
    )
}

fn refused(sftp: &Sftp, message: String, hint: &str) -> Error {
    let error = Error::new(ErrorKind::RemoteFile(StatusCode::Failure), message);
    let error = error.in_phase(Phase::Transfer).with_sent(SendState::Ran);
    sftp.connection().locate(error.with_hint(hint))
}

fn listed_twice(sftp: &Sftp, directory: &[u8], name: &[u8]) -> Error {
    let (directory, name) = (escape_bytes(directory), escape_bytes(name));
    let error = Error::new(
        ErrorKind::RemoteFile(StatusCode::BadMessage),
        format!("the server lists an entry of {directory} twice: {name}"),
    );
    let error = error.in_phase(Phase::Transfer).with_sent(SendState::Ran);
    sftp.connection().locate(
        error.with_hint(
            "look at that directory again: it is changing, or the server is broken, or it is hostile",
        ),
    )
}

/// Sends the requests of a change together, in their order. An owner that may not be set stays.
pub(super) async fn in_order<F>(change: Change, set: impl Fn(Attributes) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let set = |attributes: Option<Attributes>| async {
        match attributes.map(&set) {
            Some(setting) => setting.await,
            None => Ok(()),
        }
    };
    let [owner, rest] = change.steps();
    let (owner, rest) = tokio::join!(biased; set(owner), set(rest));
    match owner {
        Err(error) if !is_refusal(&error) => Err(error),
        _ => rest,
    }
}

/// Whether the server has said no, other than where there was no answer.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RemoteFile(_))
}

pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RemoteFile(StatusCode::NoSuchFile))
}

pub(super) fn gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if is_missing(&error) => Ok(()),
        done => done,
    }
}

pub(super) fn found(attributes: Result<Attributes>) -> Result<Option<Meta>> {
    match attributes {
        Ok(attributes) => Ok(Some(Meta::from_attributes(&attributes))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
