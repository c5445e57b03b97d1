//! How a sandboxed command ended, told from what came back on its channel.

use std::fmt;
use std::fmt::Write as _;

use crate::text::escape_bytes;

/// What marks our own lines among those of a command: random, and never seen in the sandbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce {
    mark: String,
}

impl Nonce {
    /// Of 16 random bytes, which are used for one run only.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        let mut mark = "sternline-".to_owned();
        for byte in random {
            let _ = write!(mark, "{byte:02x}");
        }
        Self { mark }
    }

    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    fn begin(&self) -> Vec<u8> {
        format!("\n{} begin\n", self.mark).into_bytes()
    }

    fn end(&self) -> Vec<u8> {
        format!("\n{} end ", self.mark).into_bytes()
    }
}

/// Not the mark itself: whoever reads a log while the command runs could forge its end.
impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce")
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Nothing of ours has run: the account has no shell, or one that could not read the request.
    NotRun,
    /// The last of our lines is missing: the connection was lost, or everything was killed.
    Cut,
    /// The command ran to its end. A status above 128 says that the signal with this number less 128 ended it, as shells
    /// have it; a program may exit like that by itself.
    Exited {
        /// Its exit status.
        code: u8,
    },
    /// The host ended it, because its time was up.
    TimedOut,
    /// There was a sandbox, or part of one, and the command was not run to its end in it: it could not be set up, the
    /// program could not be executed, or bubblewrap was killed.
    Failed {
        /// The status of what failed.
        code: u8,
        /// What it said, in one line.
        message: String,
    },
}

/// What came back on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How it ended.
    pub end: End,
    /// What the command wrote, without our lines and what a start-up file of the account's shell wrote before them.
    pub stderr: Vec<u8>,
}

/// Takes our lines out of standard error, and reads them.
///
/// Only a line with the run's own mark counts, so whatever the command writes is what it wrote.
#[must_use]
pub fn read_status(stderr: &[u8], nonce: &Nonce) -> Status {
    let Some(start) = after(stderr, &nonce.begin()) else {
        return Status {
            end: End::NotRun,
            stderr: stderr.to_vec(),
        };
    };
    let rest = stderr.get(start..).unwrap_or_default();
    let mark = nonce.end();
    let Some(position) = memchr::memmem::rfind(rest, &mark) else {
        return Status {
            end: End::Cut,
            stderr: rest.to_vec(),
        };
    };
    let (theirs, ours) = rest.split_at(position);
    let said = String::from_utf8_lossy(ours.get(mark.len()..).unwrap_or_default());
    Status {
        end: end(&said, theirs),
        stderr: theirs.to_vec(),
    }
}

/// What the command wrote to standard output: what follows our first line there. `None` if there is no such line, as when
/// nothing of ours has run.
#[must_use]
pub fn read_output<'a>(stdout: &'a [u8], nonce: &Nonce) -> Option<&'a [u8]> {
    stdout.get(after(stdout, &nonce.begin())?..)
}

fn after(text: &[u8], mark: &[u8]) -> Option<usize> {
    Some(memchr::memmem::find(text, mark)? + mark.len())
}

/// `1 { "child-pid": 12 } { "exit-code": 1 }`: the status of what was started, then what bubblewrap says. It says an exit
/// code only if the command has run to its end.
fn end(said: &str, stderr: &[u8]) -> End {
    let (code, documents) = said.split_once(' ').unwrap_or((said, ""));
    let Ok(code) = code.trim().parse::<u8>() else {
        return End::Cut;
    };
    if let Some(code) = exit_code(documents) {
        return End::Exited { code };
    }
    match code {
        // 124 is what GNU's timeout says. Others end with the TERM that they have sent.
        124 | 143 => End::TimedOut,
        code => End::Failed {
            code,
            message: last_line(stderr),
        },
    }
}

fn exit_code(documents: &str) -> Option<u8> {
    let (_, rest) = documents.rsplit_once("\"exit-code\":")?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

fn last_line(stderr: &[u8]) -> String {
    let mut lines = stderr.split(|byte| *byte == b'\n');
    let last = lines
        .rfind(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let shown = escape_bytes(last.get(..500).unwrap_or(last));
    match shown.is_empty() {
        true => "it said nothing".to_owned(),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nonce() -> Nonce {
        Nonce::new([0x0f; 16])
    }

    const MARK: &str = "sternline-0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

    fn said(theirs: &str, ours: &str) -> String {
        format!("noise of .bashrc\n{MARK} begin\n{theirs}\n{MARK} end {ours}\n")
    }

    #[test]
    fn what_bubblewrap_says_is_told_from_what_the_command_says() {
        let failed = |code, message: &str| End::Failed {
            code,
            message: message.to_owned(),
        };
        let child = "{ \"child-pid\": 7 }";
        for (theirs, ours, end) in [
            (
                "",
                format!("0 {child}\n{{ \"exit-code\": 0 }}"),
                End::Exited { code: 0 },
            ),
            (
                "oops\n",
                format!("1 {child} {{ \"exit-code\": 1 }}"),
                End::Exited { code: 1 },
            ),
            (
                "",
                format!("137 {child} {{\"exit-code\":137}}"),
                End::Exited { code: 137 },
            ),
            // The command exits by itself just like timeout does.
            (
                "",
                format!("124 {child} {{ \"exit-code\": 124 }}"),
                End::Exited { code: 124 },
            ),
            ("", format!("124 {child}"), End::TimedOut),
            ("", format!("143 {child}"), End::TimedOut),
            (
                "bwrap: execvp ls: No such file or directory\n",
                format!("1 {child}"),
                failed(1, "bwrap: execvp ls: No such file or directory"),
            ),
            (
                "bwrap: Can't find source path\x1b /x\n\n",
                "1 ".to_owned(),
                failed(1, "bwrap: Can't find source path\\x1b /x"),
            ),
            ("", format!("137 {child}"), failed(137, "it said nothing")),
            ("", "x".to_owned(), End::Cut),
            ("", "999 ".to_owned(), End::Cut),
        ] {
            let status = read_status(said(theirs, &ours).as_bytes(), &nonce());
            assert_eq!(status.end, end, "{theirs} {ours}");
            assert_eq!(status.stderr, theirs.as_bytes());
        }
    }

    #[test]
    fn a_command_cannot_write_how_it_ended() {
        let other = "sternline-ffffffffffffffffffffffffffffffff";
        let forged = format!("{{ \"exit-code\": 0 }}\n{other} end 0 {{ \"exit-code\": 0 }}\n");
        let status = read_status(said(&forged, "1 { \"exit-code\": 3 }").as_bytes(), &nonce());
        assert_eq!(status.end, End::Exited { code: 3 });
        assert_eq!(status.stderr, forged.as_bytes());
    }

    #[test]
    fn what_is_missing_is_seen() {
        let status = read_status(b"This account is currently not available.\n", &nonce());
        assert_eq!(status.end, End::NotRun);
        let cut = format!("\n{MARK} begin\npartial");
        let status = read_status(cut.as_bytes(), &nonce());
        assert_eq!(
            (status.end, status.stderr.as_slice()),
            (End::Cut, b"partial".as_slice())
        );
        assert_eq!(read_output(b"greeting", &nonce()), None);
        assert_eq!(
            read_output(format!("greeting\n{MARK} begin\nout").as_bytes(), &nonce()),
            Some(b"out".as_slice())
        );
        assert_eq!(format!("{:?}", nonce()), "Nonce");
    }

    proptest! {
        #[test]
        fn what_a_command_wrote_comes_back_byte_by_byte(theirs in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut stderr = format!("\n{MARK} begin\n").into_bytes();
            stderr.extend(&theirs);
            stderr.extend(format!("\n{MARK} end 0 {{ \"exit-code\": 0 }}\n").bytes());
            let status = read_status(&stderr, &nonce());
            prop_assert_eq!(status.end, End::Exited { code: 0 });
            prop_assert_eq!(status.stderr, theirs);
        }

        #[test]
        fn any_bytes_are_a_status(stderr in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read_status(&stderr, &nonce()).end, End::NotRun);
        }
    }
}
