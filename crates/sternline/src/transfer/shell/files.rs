//! The files of a server that has a POSIX shell, and no SFTP.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::quoting::quote;
use sternline_proto::sftp::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::command::{Exit, RemoteCommand};
use super::probe::{Stat, Tools};
use super::reading::ShellReading;
use super::script::{printf_format, quoted, script, touch_time};
use super::session::{Answer, Session};
use super::sha256::{self, sha256};
use super::writing::ShellWriting;
use super::{stat, words};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Change, Entry, How, Kind, Meta, Shortcut};
use crate::transfer::sftp::Tried;

/// How many files are read or written at once. Each takes a session of the connection's budget, which is ten as a rule and
/// has to do for both ends of a transfer between two places of one server.
const STREAMS: usize = 3;

/// How much of a file is read or written at once. What has fewer bytes is written by the shell itself.
const CHUNK: usize = 64 * 1024;

/// How many files one command describes.
const BATCH: usize = 200;

/// Of files up to here the shell that stays computes the SHA-256; a larger one has a session of its own, so that nobody
/// waits for it.
const HASHED_IN_PASSING: u64 = 4 * 1024 * 1024;

/// What the shell makes new files with.
const PRIVATE: u32 = 0o600;

/// The files of a server, by means of its shell. Clones share the connection and the shell.
#[derive(Debug, Clone)]
pub(crate) struct ShellFiles(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) connection: Connection,
    pub(super) tools: Tools,
    session: Session,
    pub(super) streams: Arc<Semaphore>,
}

impl ShellFiles {
    /// Starts a shell on the server; `tools` is what [`probe`](super::probe) has found there.
    pub(crate) async fn connect(connection: Connection, tools: Tools) -> Result<Self> {
        let session = Session::start(&connection).await;
        let session = session.map_err(|error| connection.locate(error.within("cannot start a shell")))?;
        Ok(Self(Arc::new(Inner {
            connection,
            tools,
            session,
            streams: Arc::new(Semaphore::new(STREAMS)),
        })))
    }

    /// One by one, a file costs several processes there.
    pub(crate) fn shortcut(&self) -> Option<Shortcut> {
        Some(Shortcut {
            connection: self.0.connection.clone(),
            tar: self.0.tools.tar?,
        })
    }

    pub(crate) fn host(&self) -> &str {
        self.0.connection.host()
    }

    pub(crate) fn chunk(&self) -> usize {
        CHUNK
    }

    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.0.look(path, true).await
    }

    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.0.look(path, false).await
    }

    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        // The shell finds the names itself: no tool writes every name so that it can be told from the next everywhere.
        const NAMES: &str = "if [ -d @1 ] && [ -r @1 ] && [ -x @1 ]; then (cd @1 && for f in * .[!.]* ..?*; do \
                             if [ -e \"$f\" ] || [ -L \"$f\" ]; then printf '%s\\000' \"$f\"; fi; done); \
                             elif [ -d @1 ]; then echo 'Permission denied'; false; \
                             else ls -d -- @2; false; fi";
        let inside = [path, b"/."].concat();
        let answer = self.0.ask("list", path, script(NAMES, &[path, &inside])?).await?;
        let mut names: Vec<&[u8]> = answer.split(|&byte| byte == 0).collect();
        names.pop();
        let mut entries = Vec::with_capacity(names.len());
        for batch in names.chunks(BATCH) {
            entries.extend(self.0.describe(path, batch).await?);
        }
        Ok(entries)
    }

    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        let template = match self.0.tools.readlink_f {
            true => "readlink -f -- @1",
            false => "(cd @1 && pwd -P)",
        };
        let script = script(template, &[path])?;
        let answer = self.0.ask("find the real path of", path, script).await?;
        Ok(answer.strip_suffix(b"\n").unwrap_or(&answer).to_vec())
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        let script = script("readlink -- @1", &[path])?;
        let answer = self.0.ask("read the link", path, script).await?;
        Ok(answer.strip_suffix(b"\n").unwrap_or(&answer).to_vec())
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        // The text of a link is no path of this place: it gets no `./` in front.
        let text = quote(target).map_err(|error| {
            Tried::new("make the symbolic link", link)
                .because(Error::new(ErrorKind::Invalid, error.to_string()))
        })?;
        // Into a directory of that name it would be made inside.
        let mut whole = script(
            "if [ -e @1 ] || [ -L @1 ]; then echo 'File exists'; false; else ln -s -- ",
            &[link],
        )?;
        whole.extend(text);
        whole.extend(script(" @1; fi", &[link])?);
        self.0.ask("make the symbolic link", link, whole).await.map(drop)
    }

    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        let mode = mode & !self.0.session.umask();
        let script = script(&format!("mkdir -m {mode:04o} -- @1"), &[path])?;
        let failed = match self.0.ask("make the directory", path, script).await {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        match self.stat(path).await {
            Ok(Some(meta)) if meta.kind == Kind::Directory => Ok(false),
            _ => Err(failed),
        }
    }

    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        let tools = &self.0.tools;
        let keep = match (tools.acl, tools.stat) {
            (true, Some(Stat::Gnu)) => KEEP_ACL,
            _ => "",
        };
        let template = match tools.mv_t {
            true => "mv -fT -- @1 @2",
            false => "if [ -d @2 ]; then echo 'Is a directory'; false; else mv -f -- @1 @2; fi",
        };
        let script = script(&[keep, template].concat(), &[from, to])?;
        self.0.ask("replace", to, script).await.map(drop)
    }

    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        let script = script("rm -f -- @1", &[path])?;
        self.0.ask("remove", path, script).await.map(drop)
    }

    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        let script = script("rmdir -- @1", &[path])?;
        self.0.ask("remove the directory", path, script).await.map(drop)
    }

    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        self.0.change(path, change).await
    }

    pub(crate) async fn change_link(&self, path: &[u8], change: Change) -> Result<()> {
        let mut commands = Vec::new();
        if let Some(owner) = change.owner {
            commands.push(format!("chown -h {}:{} @1", owner.uid, owner.gid));
        }
        if let Some(times) = change.times {
            commands.push(format!("TZ=UTC0 touch -c -h -t {} @1", touch_time(times.mtime)));
        }
        if commands.is_empty() {
            return Ok(());
        }
        // Some cannot do it for a link itself, and nothing hangs on it.
        commands.push("true".to_owned());
        let script = script(&commands.join("; "), &[path])?;
        self.0.ask("set the times of", path, script).await.map(drop)
    }

    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        let Inner {
            connection, tools, ..
        } = &*self.0;
        if tools.sha256.is_none() {
            return self.hash_here(path, length).await;
        }
        if length > HASHED_IN_PASSING {
            let _permit = self.0.streams.acquire().await;
            let mut answers = sha256(connection, tools, &[(path, length)]).await?;
            return answers.pop().unwrap_or(Ok(None));
        }
        let files = [(path, length)];
        let answer = self
            .0
            .ask("compute the SHA-256 of", path, sha256::script(tools, &files)?)
            .await?;
        let mut answers = sha256::answers(&answer, &files, "no answer");
        let answer = answers.pop().unwrap_or(Ok(None));
        answer.map_err(|error| connection.locate(error))
    }

    /// By reading it, where nothing on the server computes it.
    async fn hash_here(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        use sha2::Digest as _;
        let reading = self.open(path, length).await?;
        let mut digest = sha2::Sha256::new();
        let mut have = 0;
        while have < length {
            let part = usize::try_from(length - have).unwrap_or(CHUNK).min(CHUNK);
            let data = reading.read_at(have, part).await?;
            if data.is_empty() {
                return Ok(None);
            }
            have += data.len() as u64;
            digest.update(&data);
        }
        Ok(Some(digest.finalize().into()))
    }

    pub(crate) async fn open(&self, path: &[u8], size: u64) -> Result<ShellReading> {
        Ok(ShellReading::new(self.clone(), path, size))
    }

    pub(crate) async fn create(&self, path: &[u8], how: How, _size: u64) -> Result<ShellWriting> {
        match how {
            How::New(mode) => {
                let script = match mode & !self.0.session.umask() {
                    PRIVATE => script("true >@1", &[path])?,
                    mode => script(&format!("true >@1 && chmod {mode:04o} @1"), &[path])?,
                };
                self.0.ask("open", path, script).await?;
            }
            How::Continue => {
                let script = script(
                    "if [ -e @1 ]; then true >>@1; else echo 'No such file'; false; fi",
                    &[path],
                )?;
                self.0.ask("open", path, script).await?;
            }
            // To open a pipe or a device once more than needed may end whatever is at its other end.
            How::InPlace => {}
        }
        Ok(ShellWriting::new(self.clone(), path, how))
    }

    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        if !self.0.tools.head_c {
            return self.open(path, length as u64).await?.read_at(0, length).await;
        }
        let script = script(&format!("head -c {length} -- @1"), &[path])?;
        self.0.ask("read", path, script).await
    }

    pub(crate) async fn write_small(
        &self,
        path: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        let mut commands = b"printf ".to_vec();
        commands.extend(printf_format(&data));
        commands.extend(script(&format!(" >>@1 || {{ {FULL}; }}"), &[path])?);
        let mode = mode & !self.0.session.umask();
        let change = Change {
            mode: change.mode.or((mode != PRIVATE).then_some(mode)),
            ..change
        };
        for command in change_commands(change) {
            commands.extend(b" && ");
            commands.extend(script(&command, &[path])?);
        }
        if fsync {
            commands.extend(script(&format!(" && {SYNC}"), &[path])?);
        }
        let mut whole = script("if true >@1; then { ", &[path])?;
        whole.extend(commands);
        whole.extend(script("; } || { rm -f -- @1; false; }; else false; fi", &[path])?);
        self.0.ask("write", path, whole).await.map(drop)
    }
}

fn entry(name: &[u8], meta: Meta) -> Entry {
    Entry {
        name: name.to_vec(),
        meta,
    }
}

/// Says why a shell could not write, for some do not: another tool meets the same.
const FULL: &str = "dd if=/dev/zero bs=65536 count=2 2>&1 >>@1 | head -n 1; false";

/// Has a file take over the access control list of the one that it replaces, beside its own mode. Where there is none this
/// costs nothing but a look.
const KEEP_ACL: &str = "if [ -f @2 ] && a=$(getfacl -spn -- @2 2>/dev/null) && [ -n \"$a\" ]; then \
                        m=$(stat -c %a -- @1) && printf '%s\\n' \"$a\" | setfacl --set-file=- -- @1 && chmod $m @1; fi; ";

/// Some can put one file on stable storage, all of them everything.
pub(super) const SYNC: &str = "{ sync @1 2>/dev/null || sync; }";

/// What changes a file, each a template with one path. An owner that may not be set stays as it is.
pub(super) fn change_commands(change: Change) -> Vec<String> {
    let mut commands = Vec::new();
    if let Some(owner) = change.owner {
        commands.push(format!(
            "{{ chown {}:{} @1 2>/dev/null || true; }}",
            owner.uid, owner.gid
        ));
    }
    // After the owner, for that takes some bits away.
    if let Some(mode) = change.mode {
        commands.push(format!("chmod {mode:04o} @1"));
    }
    if let Some(times) = change.times {
        let touch = |what: &str, time| format!("TZ=UTC0 touch -c {what}-t {} @1", touch_time(time));
        commands.push(match times.atime == times.mtime {
            true => touch("", times.mtime),
            // A tool that cannot set one alone sets both.
            false => format!(
                "{{ {} 2>/dev/null && {} || {}; }}",
                touch("-a ", times.atime),
                touch("-m ", times.mtime),
                touch("", times.mtime)
            ),
        });
    }
    commands
}

impl Inner {
    /// Has a script obeyed that is about this path.
    pub(super) async fn ask(&self, what: &'static str, path: &[u8], script: Vec<u8>) -> Result<Bytes> {
        let answer = self.try_ask(what, path, script).await?;
        match answer.status {
            0 => Ok(answer.output),
            status => Err(self.refused(what, path, status, &answer.output)),
        }
    }

    async fn try_ask(&self, what: &'static str, path: &[u8], script: Vec<u8>) -> Result<Answer> {
        let answer = self.session.ask(script).await;
        answer.map_err(|error| self.connection.locate(Tried::new(what, path).because(error)))
    }

    fn refused(&self, what: &'static str, path: &[u8], status: u32, said: &[u8]) -> Error {
        let said = match said.trim_ascii() {
            [] => format!("exit status {status}").into_bytes(),
            // A tool may have written much before it failed.
            said => said
                .get(said.len().saturating_sub(400)..)
                .unwrap_or(said)
                .to_vec(),
        };
        self.connection
            .locate(Tried::new(what, path).refused(&words::status(&said)))
    }

    async fn look(&self, path: &[u8], follow: bool) -> Result<Option<Meta>> {
        let tool = stat::command(self.tools.stat, follow);
        let answer = self
            .try_ask("look at", path, script(&format!("{tool} @1"), &[path])?)
            .await?;
        self.seen(path, answer.status, &answer.output)
    }

    /// What the tool said about one file.
    fn seen(&self, path: &[u8], status: u32, said: &[u8]) -> Result<Option<Meta>> {
        let line = said.split(|&byte| byte == b'\n').next().unwrap_or_default();
        match stat::parse(self.tools.stat, line) {
            Some(meta) if status == 0 => Ok(Some(meta)),
            _ => match words::status(said).code {
                // A file where a directory would have to be is nothing as well.
                StatusCode::NoSuchFile | StatusCode::Other(19) => Ok(None),
                _ => Err(self.refused("look at", path, status, said)),
            },
        }
    }

    /// The entries of these names.
    async fn describe(&self, directory: &[u8], names: &[&[u8]]) -> Result<Vec<Result<Entry>>> {
        let tool = stat::command(self.tools.stat, false);
        let mut words = Vec::new();
        for name in names {
            words.push(b' ');
            words.extend(quoted(name)?);
        }
        // ls sorts, and shows names, which may have lines.
        if self.tools.stat.is_some() {
            let mut line = script(&format!("(cd @1 && {tool}"), &[directory])?;
            line.extend_from_slice(&words);
            line.push(b')');
            let answer = self.try_ask("list", directory, line).await?;
            let lines = answer.output.trim_ascii_end().split(|&byte| byte == b'\n');
            let metas: Option<Vec<Meta>> = lines.map(|line| stat::parse(self.tools.stat, line)).collect();
            if let Some(metas) = metas.filter(|metas| metas.len() == names.len()) {
                let entries = names.iter().zip(metas);
                return Ok(entries.map(|(name, meta)| Ok(entry(name, meta))).collect());
            }
        }
        // Something has vanished meanwhile, or cannot be described: each gets an answer of its own then.
        let mut each = script("(cd @1 && for f in", &[directory])?;
        each.extend_from_slice(&words);
        let tail = format!("; do {tool} \"$f\"; printf '\\000%s\\000' $?; done)");
        each.extend_from_slice(tail.as_bytes());
        let answer = self.ask("list", directory, each).await?;
        let answers: Vec<&[u8]> = answer.split(|&byte| byte == 0).collect();
        let mut entries = Vec::new();
        for (name, answer) in names.iter().zip(answers.chunks_exact(2)) {
            let [said, status] = answer else { continue };
            let path = [directory, b"/", name].concat();
            let status = if *status == b"0" { 0 } else { 1 };
            match self.seen(&path, status, said) {
                Ok(Some(meta)) => entries.push(Ok(entry(name, meta))),
                Ok(None) => {}
                Err(error) => entries.push(Err(error)),
            }
        }
        Ok(entries)
    }

    pub(super) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        let commands = change_commands(change);
        if commands.is_empty() {
            return Ok(());
        }
        let script = script(&commands.join(" && "), &[path])?;
        self.ask("set mode and times of", path, script).await.map(drop)
    }
}

impl ShellFiles {
    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

/// A script with a session of its own, through which a file's content goes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) command: RemoteCommand,
    _permit: OwnedSemaphorePermit,
}

impl Inner {
    pub(super) async fn start_stream(
        &self,
        what: &'static str,
        path: &[u8],
        script: &[u8],
    ) -> Result<Box<Stream>> {
        let permit = Arc::clone(&self.streams).acquire_owned().await;
        let permit = permit.map_err(|_| Error::new(ErrorKind::Local, "the place is closed"))?;
        let mut starting = pin!(RemoteCommand::start_script(&self.connection, script));
        let command = loop {
            match timeout(self.connection.sessions().open_limit(), &mut starting).await {
                Ok(started) => break started,
                // Others may use the connection for as long as they like; but the shell of this place never ends.
                Err(_) if self.connection.command_limit() <= 1 => {
                    break Err(Error::new(
                        ErrorKind::Channel,
                        "the server allows one session on a connection, and moving files through its shell needs two",
                    )
                    .with_hint("raise MaxSessions in its sshd_config, or enable its SFTP subsystem"));
                }
                Err(_) => {}
            }
        };
        match command {
            // In a box, because open files are moved about.
            Ok(command) => Ok(Box::new(Stream {
                command,
                _permit: permit,
            })),
            Err(error) => Err(self.connection.locate(Tried::new(what, path).because(error))),
        }
    }

    /// What a stream's command said when it failed.
    pub(super) fn failed(&self, what: &'static str, path: &[u8], exit: &Exit, stderr: &[u8]) -> Error {
        let said = match stderr.trim_ascii() {
            [] => exit.to_string().into_bytes(),
            said => said.to_vec(),
        };
        self.connection
            .locate(Tried::new(what, path).refused(&words::status(&said)))
    }
}
