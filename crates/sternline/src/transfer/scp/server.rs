//! A server's `scp`, and how it is started.

use sternline_proto::quoting::quote;
use sternline_proto::text::escape_bytes;

use super::dialog::Dialog;
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// What the server's `scp` is told beside the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// Directories as well (`-r`).
    pub(crate) recursive: bool,
    /// Modes whatever the umask, and times (`-p`).
    pub(crate) preserve: bool,
    /// The target has to be a directory (`-d`).
    pub(crate) directory: bool,
}

/// A server with `scp`, as far as anybody knows.
#[derive(Debug, Clone)]
pub(crate) struct ScpServer {
    connection: Connection,
    /// Whether a POSIX shell reads the command line, so that paths can be quoted.
    has_shell: bool,
    /// Why nothing better is used, for the message when this fails as well.
    instead_of: Option<String>,
}

impl ScpServer {
    pub(crate) fn new(connection: Connection, has_shell: bool, instead_of: Option<String>) -> Self {
        Self {
            connection,
            has_shell,
            instead_of,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Has the server receive (`scp -t`).
    pub(crate) async fn sink(&self, target: &[u8], how: How) -> Result<Dialog> {
        self.start("-t", target, how).await
    }

    /// Has the server send (`scp -f`).
    pub(crate) async fn source(&self, path: &[u8], how: How) -> Result<Dialog> {
        self.start("-f", path, how).await
    }

    async fn start(&self, side: &str, path: &[u8], how: How) -> Result<Dialog> {
        let started = async {
            let line = command_line(side, path, how, self.has_shell)?;
            Dialog::start(&self.connection, &line, self.instead_of.clone()).await
        };
        started.await.map_err(|error| self.connection.locate(error))
    }
}

/// The command line, as OpenSSH's `scp -O` writes it. Where nobody is known to take quotes off, a path that needs some is
/// refused: what would arrive is another path, or two.
fn command_line(side: &str, path: &[u8], how: How, has_shell: bool) -> Result<Vec<u8>> {
    let quoted = quote(path).map_err(|error| invalid(path, &error.to_string()))?;
    if !has_shell && quoted != path {
        return Err(invalid(
            path,
            "the server has only scp and no shell, so a path can have no other characters than letters, digits and _@%+:,./-",
        )
        .with_hint("choose another path on the server, or enable SFTP there"));
    }
    let mut line = b"scp".to_vec();
    for (wanted, option) in [
        (how.recursive, " -r"),
        (how.preserve, " -p"),
        (how.directory, " -d"),
    ] {
        if wanted {
            line.extend_from_slice(option.as_bytes());
        }
    }
    line.push(b' ');
    line.extend_from_slice(side.as_bytes());
    // Only where it is needed, for an appliance may not know it.
    line.extend_from_slice(if path.starts_with(b"-") { b" -- " } else { b" " });
    line.extend_from_slice(&quoted);
    Ok(line)
}

fn invalid(path: &[u8], why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{}: {why}", escape_bytes(path))).in_phase(Phase::Transfer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_what_scp_sends() {
        let all = How {
            recursive: true,
            preserve: true,
            directory: true,
        };
        for (path, how, has_shell, line) in [
            (
                &b"/etc/startup.cfg"[..],
                How::default(),
                false,
                &b"scp -t /etc/startup.cfg"[..],
            ),
            (b"flash:/a.bin", How::default(), false, b"scp -t flash:/a.bin"),
            (b"dir", all, true, b"scp -r -p -d -t dir"),
            (b"a b'c", How::default(), true, b"scp -t 'a b'\\''c'"),
            (b"-x", How::default(), true, b"scp -t -- -x"),
            (b"~/x", How::default(), true, b"scp -t '~/x'"),
        ] {
            assert_eq!(command_line("-t", path, how, has_shell).unwrap(), line);
        }
    }

    #[test]
    fn a_path_that_needs_a_shell_is_refused_where_there_is_none() {
        for path in [&b"a b"[..], b"~", b"*", b"$(x)", b"a;b", b"caf\xe9", b"", b"if"] {
            let error = command_line("-f", path, How::default(), false).unwrap_err();
            assert!(error.to_string().contains("only scp and no shell"), "{error}");
        }
        assert!(command_line("-f", b"a\0b", How::default(), true).is_err());
    }
}
