//! What is there: files and directories described, links followed.

use sternline_proto::sftp::StatusCode;

use super::files::ShellFiles;
use super::script::{quoted, script};
use super::server::Server;
use super::{stat, words};
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Entry, Kind, Meta};
use crate::transfer::sftp::Tried;

/// How many files one command describes.
const BATCH: usize = 200;

impl ShellFiles {
    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.servers()
            .again(|server, _| async move { server.look(path, true).await })
            .await
    }

    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.servers()
            .again(|server, _| async move { server.look(path, false).await })
            .await
    }

    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        self.servers()
            .again(|server, _| async move { server.list(path).await })
            .await
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.servers()
            .again(|server, _| async move { server.read_link(path).await })
            .await
    }

    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.servers()
            .again(|server, _| async move { server.real_path(path).await })
            .await
    }
}

impl Server {
    async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        // The shell finds the names itself: no tool writes every name so that it can be told from the next everywhere.
        const NAMES: &str = "if [ -d @1 ] && [ -r @1 ] && [ -x @1 ]; then (cd @1 && for f in * .[!.]* ..?*; do \
                             if [ -e \"$f\" ] || [ -L \"$f\" ]; then printf '%s\\000' \"$f\"; fi; done); \
                             elif [ -d @1 ]; then echo 'Permission denied'; false; \
                             else ls -d -- @2; false; fi";
        let inside = [path, b"/."].concat();
        let answer = self.ask("list", path, script(NAMES, &[path, &inside])?).await?;
        let mut names: Vec<&[u8]> = answer.split(|&byte| byte == 0).collect();
        names.pop();
        let mut entries = Vec::with_capacity(names.len());
        for batch in names.chunks(BATCH) {
            entries.extend(self.describe(path, batch).await?);
        }
        Ok(entries)
    }

    async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        const WHAT: &str = "find the real path of";
        /// As many links as Linux follows.
        const LINKS: usize = 40;
        if self.tools.readlink_f {
            let answer = self
                .ask(WHAT, path, script("readlink -f -- @1", &[path])?)
                .await?;
            return Ok(without_newline(&answer));
        }
        let mut found = path.to_vec();
        for _ in 0..LINKS {
            let meta = self.look(&found, false).await?;
            if meta.is_some_and(|meta| meta.kind == Kind::Symlink) {
                let to = self.read_link(&found).await?;
                found = match (to.first(), split(&found)) {
                    (Some(b'/'), _) => to,
                    (_, (above, _)) => [above, b"/", &to].concat(),
                };
                continue;
            }
            // Whatever is not a link is a directory, or lies in one.
            let (above, name) = split(&found);
            let template = "if [ -d @1 ]; then cd -P @1 && pwd -P; else cd -P @2 && printf '%s/%s\\n' \"$(pwd -P)\" @3; fi";
            let inside = script(&format!("({template})"), &[&found, above, name])?;
            return Ok(without_newline(&self.ask(WHAT, path, inside).await?));
        }
        let error = Error::new(
            ErrorKind::RemoteFile(StatusCode::Other(21)),
            "too many symbolic links",
        );
        Err(self.connection.locate(Tried::new(WHAT, path).because(error)))
    }

    pub(super) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        let answer = self
            .ask("read the link", path, script("readlink -- @1", &[path])?)
            .await?;
        Ok(without_newline(&answer))
    }

    pub(super) async fn look(&self, path: &[u8], follow: bool) -> Result<Option<Meta>> {
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
}

/// The directory that a path is in, and its last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        None => (b".", path),
        Some(at) => (
            path.get(..at).filter(|above| !above.is_empty()).unwrap_or(b"/"),
            path.get(at + 1..).unwrap_or_default(),
        ),
    }
}

/// What a tool has written on one line, which may have lines of its own.
pub(super) fn without_newline(answer: &[u8]) -> Vec<u8> {
    answer.strip_suffix(b"\n").unwrap_or(answer).to_vec()
}

fn entry(name: &[u8], meta: Meta) -> Entry {
    Entry {
        name: name.to_vec(),
        meta,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        for (path, above, name) in [
            (&b"a/b/c"[..], &b"a/b"[..], &b"c"[..]),
            (b"/a", b"/", b"a"),
            (b"a", b".", b"a"),
            (b"a/", b"a", b""),
        ] {
            assert_eq!(split(path), (above, name));
        }
    }
}
