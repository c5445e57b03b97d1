//! What the server's shell is, and which of the usual tools there are.

use std::time::Duration;

use bytes::Bytes;
use sternline_proto::text::escape_bytes;
use tokio::time::{sleep, timeout};

use super::command::{self, Exit, Output};
use crate::connection::Connection;
use crate::error::Result;

/// What can be done through the server's shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemoteShell {
    /// A POSIX shell runs what it is given.
    Posix(Tools),
    /// There is none, for this reason: a fragment for a message, escaped.
    None(String),
}

/// Which tools there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) tar: Option<Tar>,
    /// The command that gives the SHA-256 of its standard input, in hexadecimal somewhere in its output.
    pub(crate) sha256: Option<Sha256Tool>,
    pub(crate) stat: Option<Stat>,
    /// `scp` is there, for its old protocol.
    pub(crate) scp: bool,
    /// `getfacl` and `setfacl` are there.
    pub(crate) acl: bool,
    /// `head -c` counts bytes.
    pub(crate) head_c: bool,
    /// `mv -T` never moves into a directory.
    pub(crate) mv_t: bool,
    /// `readlink -f` follows every link of a path.
    pub(crate) readlink_f: bool,
    pub(crate) truncate: bool,
}

impl Tools {
    /// The command that tells the size of the file behind it, links followed. The file is opened, or looked at.
    pub(super) fn size_command(&self) -> &'static str {
        match self.stat {
            Some(Stat::Gnu) => "stat -L -c %s --",
            Some(Stat::Bsd) => "stat -L -f %z --",
            None => "wc -c <",
        }
    }
}

/// Which tar it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tar {
    Gnu,
    /// libarchive's.
    Bsd,
    Busybox,
    Other,
}

/// What gives a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sha256Tool {
    Sha256sum,
    Shasum,
    Sha256,
    Openssl,
}

impl Sha256Tool {
    /// The command, for standard input.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Sha256sum => "sha256sum",
            Self::Shasum => "shasum -a 256",
            Self::Sha256 => "sha256 -q",
            Self::Openssl => "openssl dgst -sha256",
        }
    }
}

/// How `stat` is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stat {
    /// `stat -c`, also busybox's.
    Gnu,
    /// `stat -f`.
    Bsd,
}

/// How long the answer may take. A command line of an appliance may wait for ever for somebody to type.
const LIMIT: Duration = Duration::from_secs(15);

/// How long to wait before asking once more where the session was closed without a word: Dropbear does that when the program
/// of another session ends.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// Asks what the shell is. One short command, which has no input and changes nothing.
///
/// A shell that is something else, or nothing at all, is an answer too. It is for the caller to keep the answer for as
/// long as the connection lives.
///
/// # Errors
/// When the connection is lost, or there is no session for it.
pub(crate) async fn probe(connection: &Connection) -> Result<RemoteShell> {
    for pause in PAUSES {
        if let Some(shell) = ask(connection).await? {
            return Ok(shell);
        }
        sleep(pause).await;
    }
    Ok(RemoteShell::None(
        "what runs there ends without a word".to_owned(),
    ))
}

/// `None` where the session was closed without a word.
async fn ask(connection: &Connection) -> Result<Option<RemoteShell>> {
    match timeout(LIMIT, command::run(connection, LINE.as_bytes(), Bytes::new())).await {
        Ok(Ok(output))
            if output.exit == Exit::Unknown && output.stdout.is_empty() && output.stderr.is_empty() =>
        {
            Ok(None)
        }
        Ok(Ok(output)) => Ok(Some(parse(&output))),
        // A server that runs no commands at all is as good as one that runs others.
        Ok(Err(error)) if !connection.is_connected() || error.kind().is_connection() => Err(error),
        Ok(Err(error)) => Ok(Some(RemoteShell::None(error.to_string()))),
        Err(_) => Ok(Some(RemoteShell::None(format!(
            "what runs there did not end within {} s when it was given a command",
            LIMIT.as_secs()
        )))),
    }
}

/// What is asked. It reads the same to every shell that may stand in front of `sh`: see [`command`]. The marks are
/// computed, so that a line that is only echoed, in a complaint for example, is not taken for an answer.
const LINE: &str = concat!(
    "exec sh -c '",
    "LC_ALL=C; export LC_ALL; h() { command -v \"$1\" >/dev/null 2>&1; }; ",
    "q() { \"$@\" </dev/null 2>/dev/null; }; ",
    "echo; echo sternline-$((6*7))-begin; ",
    "h tar && echo \"tar $(q tar --version | head -n 1)\"; ",
    "for t in sha256sum \"shasum -a 256\" \"sha256 -q\" \"openssl dgst -sha256\"; do ",
    "case $(q $t) in *e3b0c44298fc1c149afbf4c8996fb924*) echo \"sha256 $t\"; break;; esac; done; ",
    "case $(q stat -c %f /) in 4???) echo stat-c;; *) case $(q stat -f %p /) in 4????) echo stat-f;; esac;; esac; ",
    "h scp && echo scp; h getfacl && h setfacl && echo acl; ",
    "case $(echo abc | head -c 2 2>/dev/null) in ab) echo head-c;; esac; ",
    "case $(mv --help 2>&1 </dev/null) in *-T*) echo mv-T;; esac; ",
    "case $(q readlink -f /) in /) echo readlink-f;; esac; ",
    "h truncate && echo truncate; h dd && echo dd; ",
    "echo sternline-$((6*7))-end'",
);

fn parse(output: &Output) -> RemoteShell {
    let lines: Vec<&[u8]> = output.stdout.split(|&byte| byte == b'\n').collect();
    let mark = |mark: &[u8]| lines.iter().position(|line| line.trim_ascii() == mark);
    let framed = mark(b"sternline-42-begin")
        .zip(mark(b"sternline-42-end"))
        .and_then(|(begin, end)| lines.get(begin + 1..end));
    match framed {
        // Everything else is started by means of it.
        Some(answers) if !answers.contains(&&b"dd"[..]) => {
            RemoteShell::None("it has a POSIX shell, but no `dd`".to_owned())
        }
        Some(answers) => RemoteShell::Posix(tools(answers)),
        None => RemoteShell::None(described(output)),
    }
}

fn tools(answers: &[&[u8]]) -> Tools {
    let mut tools = Tools::default();
    for answer in answers {
        match *answer {
            b"stat-c" => tools.stat = Some(Stat::Gnu),
            b"stat-f" => tools.stat = Some(Stat::Bsd),
            b"scp" => tools.scp = true,
            b"acl" => tools.acl = true,
            b"head-c" => tools.head_c = true,
            b"mv-T" => tools.mv_t = true,
            b"readlink-f" => tools.readlink_f = true,
            b"truncate" => tools.truncate = true,
            b"sha256 sha256sum" => tools.sha256 = Some(Sha256Tool::Sha256sum),
            b"sha256 shasum -a 256" => tools.sha256 = Some(Sha256Tool::Shasum),
            b"sha256 sha256 -q" => tools.sha256 = Some(Sha256Tool::Sha256),
            b"sha256 openssl dgst -sha256" => tools.sha256 = Some(Sha256Tool::Openssl),
            other => {
                if let Some(version) = other.strip_prefix(b"tar ") {
                    tools.tar = Some(which_tar(version));
                }
            }
        }
    }
    tools
}

fn which_tar(version: &[u8]) -> Tar {
    let says = |word: &[u8]| version.windows(word.len()).any(|window| window == word);
    if says(b"GNU tar") {
        Tar::Gnu
    } else if says(b"bsdtar") {
        Tar::Bsd
    } else if says(b"busybox") || says(b"BusyBox") {
        Tar::Busybox
    } else {
        Tar::Other
    }
}

/// What else it is, in its own words.
fn described(output: &Output) -> String {
    const SHOWN: usize = 120;
    let words = [&output.stderr[..], &output.stdout[..]]
        .into_iter()
        .flat_map(|text| text.split(|&byte| byte == b'\n'))
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty());
    let ended = match &output.exit {
        Exit::Unknown => "it gave no exit status".to_owned(),
        exit => exit.to_string(),
    };
    match words {
        Some(words) => format!(
            "its command line is no POSIX shell ({ended}): {}",
            escape_bytes(words.get(..SHOWN).unwrap_or(words))
        ),
        None => format!("it runs something else than the given command ({ended})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn output(stdout: &[u8], stderr: &str, status: u32) -> Output {
        Output {
            exit: Exit::Status(status),
            stdout: Bytes::copy_from_slice(stdout),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn the_answer_is_found_among_what_start_up_files_write() {
        let text = b"Welcome!\nhalf a line\nsternline-42-begin\ntar tar (GNU tar) 1.34\nsha256 sha256sum\nstat-c\nscp\n\
                     head-c\nmv-T\nreadlink-f\ntruncate\ndd\nsternline-42-end\nbye\n";
        assert_eq!(
            parse(&output(text, "mesg: ttyname failed\n", 0)),
            RemoteShell::Posix(Tools {
                tar: Some(Tar::Gnu),
                sha256: Some(Sha256Tool::Sha256sum),
                stat: Some(Stat::Gnu),
                scp: true,
                acl: false,
                head_c: true,
                mv_t: true,
                readlink_f: true,
                truncate: true,
            })
        );
    }

    #[test]
    fn what_is_no_posix_shell_is_named_by_its_own_words() {
        let echoed = format!("% Invalid input: {LINE}\n");
        for (stdout, stderr, status, reason) in [
            (
                &b""[..],
                "'exec' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n",
                1,
                "its command line is no POSIX shell (exit status 1): 'exec' is not recognized as an internal or \
                 external command,",
            ),
            (
                b"",
                "rbash: line 1: exec: restricted\n",
                126,
                "its command line is no POSIX shell (exit status 126): rbash: line 1: exec: restricted",
            ),
            (
                echoed.as_bytes(),
                "",
                0,
                "its command line is no POSIX shell (exit status 0): % Invalid input: exec sh -c",
            ),
            (
                b"",
                "",
                0,
                "it runs something else than the given command (exit status 0)",
            ),
            (
                b"sternline-42-end\nsternline-42-begin\n",
                "",
                0,
                "its command line",
            ),
            (
                b"sternline-42-begin\nscp\nsternline-42-end\n",
                "",
                0,
                "it has a POSIX shell, but no `dd`",
            ),
            (
                b"\x1b[2J",
                "",
                0,
                "its command line is no POSIX shell (exit status 0): \\x1b[2J",
            ),
        ] {
            match parse(&output(stdout, stderr, status)) {
                RemoteShell::None(found) => assert!(found.starts_with(reason), "{found}"),
                posix @ RemoteShell::Posix(_) => panic!("{posix:?}"),
            }
        }
    }

    #[test]
    fn every_shell_of_this_machine_runs_the_question_the_same_way() {
        let mut answers = Vec::new();
        for login in [
            &["sh"][..],
            &["bash"],
            &["dash"],
            &["busybox", "sh"],
            &["mksh"],
            &["zsh"],
            &["tcsh"],
            &["fish"],
        ] {
            let (shell, arguments) = login.split_first().unwrap();
            let Ok(ran) = Command::new(shell)
                .args(arguments)
                .args(["-c", LINE])
                .stdin(Stdio::null())
                .output()
            else {
                continue;
            };
            answers.push(parse(&output(
                &ran.stdout,
                &String::from_utf8_lossy(&ran.stderr),
                0,
            )));
        }
        let first = answers.first().unwrap();
        assert!(matches!(first, RemoteShell::Posix(_)), "{first:?}");
        assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
    }

    #[test]
    fn tars_are_told_apart() {
        for (version, tar) in [
            (&b"tar (GNU tar) 1.34"[..], Tar::Gnu),
            (b"bsdtar 3.6.2 - libarchive 3.6.2", Tar::Bsd),
            (b"tar (busybox) 1.35.0", Tar::Busybox),
            (b"", Tar::Other),
        ] {
            assert_eq!(which_tar(version), tar);
        }
    }
}
