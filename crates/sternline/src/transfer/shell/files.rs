//! The files of a server that has a POSIX shell, and no SFTP.

use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::quoting::quote;

use super::change::{FULL, KEEP_ACL, SYNC, change_commands};
use super::probe::{Stat, Tools};
use super::reading::ShellReading;
use super::script::{printf_format, script, touch_time};
use super::server::Server;
use super::servers::Servers;
use super::sha256::{self, sha256};
use super::writing::ShellWriting;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Change, How, Kind, Origin, Shortcut};
use crate::transfer::renewal::was_lost;
use crate::transfer::sftp::Tried;

/// How much of a file is read or written at once. What has fewer bytes is written by the shell itself.
const CHUNK: usize = 64 * 1024;

/// Of files up to here the shell that stays computes the SHA-256; a larger one has a session of its own, so that nobody
/// waits for it.
const HASHED_IN_PASSING: u64 = 4 * 1024 * 1024;

/// What the shell makes new files with.
const PRIVATE: u32 = 0o600;

/// The files of a server, by means of its shell. Clones share the connection and the shell.
///
/// On a supervised connection every operation whose connection was lost is tried again on the next one, as far as nothing
/// is lost with it: what was being written to a file through a stream of its own is written anew by whoever has it.
#[derive(Debug, Clone)]
pub(crate) struct ShellFiles(Arc<Servers>);

impl ShellFiles {
    /// Starts a shell on the server; `tools` is what [`probe`](super::probe) has found there.
    pub(crate) async fn connect(origin: Origin, connection: Connection, tools: Tools) -> Result<Self> {
        Ok(Self(Arc::new(Servers::start(origin, connection, tools).await?)))
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.0
    }

    /// Whether there may be another connection if the present one is lost.
    pub(crate) fn go_on(&self) -> bool {
        self.0.go_on()
    }

    /// The shell of this moment.
    pub(crate) fn server(&self) -> Arc<Server> {
        self.0.current()
    }

    /// Waits for the next shell where that one was lost with this error, which is given back otherwise.
    pub(crate) async fn wait_for_next(&self, server: &Arc<Server>, error: Error) -> Result<()> {
        self.0.after(server, error).await.map(drop)
    }

    /// One by one, a file costs several processes there. A stream has a session of its own.
    pub(crate) fn shortcut(&self) -> Option<Shortcut> {
        let server = self.0.current();
        if server.is_narrow() {
            return None;
        }
        Some(Shortcut {
            connection: server.connection.clone(),
            tar: server.tools.tar?,
        })
    }

    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn chunk(&self) -> usize {
        CHUNK
    }

    pub(crate) async fn home_of(&self, user: &[u8]) -> Result<Vec<u8>> {
        let tried = Tried::new("expand", user);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let unknown = || tried.because(Error::new(ErrorKind::Invalid, "there is no such user"));
        match user {
            // Without quotes, so that the shell expands it.
            [b'~', first, rest @ ..] if first.is_ascii_alphanumeric() && rest.iter().all(is_name) => {}
            _ => return Err(unknown()),
        }
        let answer = self.0.ask("expand", user, [b"printf %s ", user].concat()).await?;
        if answer.first() == Some(&b'/') {
            Ok(answer.to_vec())
        } else {
            Err(unknown())
        }
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
        let whole = &whole;
        self.0
            .again(|server, again| async move {
                let made = server.ask("make the symbolic link", link, whole.clone()).await;
                match made {
                    // The one that was lost has made it.
                    Err(error) if again && !was_lost(&server.connection, &error) => {
                        match server.read_link(link).await {
                            Ok(found) if found == target => Ok(()),
                            Err(lost) if was_lost(&server.connection, &lost) => Err(lost),
                            _ => Err(error),
                        }
                    }
                    made => made.map(drop),
                }
            })
            .await
    }

    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        self.0
            .again(|server, again| async move {
                let mode = mode & !server.umask();
                let script = script(&format!("mkdir -m {mode:04o} -- @1"), &[path])?;
                let failed = match server.ask("make the directory", path, script).await {
                    Ok(_) => return Ok(true),
                    Err(error) => error,
                };
                match server.look(path, true).await {
                    // The one that was lost has made it.
                    Ok(Some(meta)) if meta.kind == Kind::Directory => Ok(again),
                    Err(lost) if was_lost(&server.connection, &lost) => Err(lost),
                    _ => Err(failed),
                }
            })
            .await
    }

    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.0
            .again(|server, again| async move {
                let keep = match (server.tools.acl, server.tools.stat) {
                    (true, Some(Stat::Gnu)) => KEEP_ACL,
                    _ => "",
                };
                let rename = match server.tools.mv_t {
                    true => "mv -fT -- @1 @2",
                    false => "if [ -d @2 ]; then echo 'Is a directory'; false; else mv -f -- @1 @2; fi",
                };
                let whole = match again {
                    false => [keep, rename].concat(),
                    true => format!(
                        "if [ -e @1 ] || [ -L @1 ]; then {keep}{rename}; else ls -d -- @2 >/dev/null; fi"
                    ),
                };
                let script = script(&whole, &[from, to])?;
                server.ask("replace", to, script).await.map(drop)
            })
            .await
    }

    pub(crate) async fn given_up_commands_end(&self) {
        self.0.current().connection.sessions().dropped_are_ended().await;
    }

    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        let script = script("rm -f -- @1", &[path])?;
        self.0.ask("remove", path, script).await.map(drop)
    }

    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        self.0
            .again(|server, again| async move {
                let gone = if again { "[ ! -e @1 ] || " } else { "" };
                let script = script(&format!("{gone}rmdir -- @1"), &[path])?;
                server.ask("remove the directory", path, script).await.map(drop)
            })
            .await
    }

    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        self.0
            .again(|server, _| async move { server.change(path, change).await })
            .await
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
        if self.0.current().tools.sha256.is_none() {
            return self.hash_here(path, length).await;
        }
        self.0
            .again(|server, _| async move { hash_there(&server, path, length).await })
            .await
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
                self.0
                    .again(|server, again| async move {
                        // The one that was lost may have made it: it is nobody else's, for its name is random.
                        let anew = if again { "rm -f -- @1; " } else { "" };
                        let script = match mode & !server.umask() {
                            PRIVATE => script(&format!("{anew}true >@1"), &[path])?,
                            mode => script(&format!("{anew}true >@1 && chmod {mode:04o} @1"), &[path])?,
                        };
                        server.ask("open", path, script).await
                    })
                    .await?;
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
        Ok(ShellWriting::new(self.0.current(), path, how))
    }

    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        if !self.0.current().tools.head_c {
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
        let mut write = b"printf ".to_vec();
        write.extend(printf_format(&data));
        write.extend(script(&format!(" >>@1 || {{ {FULL}; }}"), &[path])?);
        let write = &write;
        self.0
            .again(|server, again| async move {
                let mode = mode & !server.umask();
                let change = Change {
                    mode: change.mode.or((mode != PRIVATE).then_some(mode)),
                    ..change
                };
                // What the lost one has left of it is nobody else's.
                let anew = if again { "rm -f -- @1; " } else { "" };
                let mut whole = script(&format!("{anew}if true >@1; then {{ "), &[path])?;
                whole.extend(write);
                for command in change_commands(change) {
                    whole.extend(b" && ");
                    whole.extend(script(&command, &[path])?);
                }
                if fsync {
                    whole.extend(script(&format!(" && {SYNC}"), &[path])?);
                }
                whole.extend(script("; } || { rm -f -- @1; false; }; else false; fi", &[path])?);
                server.ask("write", path, whole).await.map(drop)
            })
            .await
    }
}

async fn hash_there(server: &Server, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
    let Server {
        connection, tools, ..
    } = server;
    if length > HASHED_IN_PASSING && !server.is_narrow() {
        let _permit = server.streams.acquire().await;
        let mut answers = sha256(connection, tools, &[(path, length)]).await?;
        return answers.pop().unwrap_or(Ok(None));
    }
    let files = [(path, length)];
    let answer = server
        .ask("compute the SHA-256 of", path, sha256::script(tools, &files)?)
        .await?;
    let mut answers = sha256::answers(&answer, &files, "no answer");
    let answer = answers.pop().unwrap_or(Ok(None));
    answer.map_err(|error| connection.locate(error))
}
