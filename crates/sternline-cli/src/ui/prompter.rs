//! Questions to the person at the terminal.

use std::fs::File;
use std::io::{self, Read, Write};

use sternline::Secret;
use sternline::prompt::{Answer, HostKeyQuestion, Prompter, SecretQuestion, SecretSubject};
use sternline::proto::text::escape;
use zeroize::Zeroizing;

use super::status_line::Question;
use super::terminal;

/// Asks on the controlling terminal, wherever standard input and output lead.
#[derive(Debug)]
pub(crate) struct TerminalPrompter;

/// Whether there is a terminal to ask on.
pub(crate) fn can_ask() -> bool {
    open().is_ok()
}

fn open() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

impl Prompter for TerminalPrompter {
    fn trust_host_key<'a>(&'a self, question: &'a HostKeyQuestion) -> Answer<'a, bool> {
        let question = question.clone();
        Box::pin(async move { confirm_host_key(&question, "Connect and record").await })
    }

    fn secret<'a>(&'a self, question: &'a SecretQuestion) -> Answer<'a, Option<Secret>> {
        let question = question.clone();
        Box::pin(async move {
            tokio::select! {
                answer = blocking(move || secret(&question)) => answer,
                () = terminal::keep_changed() => None,
            }
        })
    }
}

/// Asks for a password. `None` when the terminal is gone.
pub(crate) async fn password(question: String) -> Option<Secret> {
    tokio::select! {
        answer = blocking(move || hidden(&question)) => answer,
        () = terminal::keep_changed() => None,
    }
}

fn hidden(question: &str) -> io::Result<Secret> {
    let mut terminal = open()?;
    let _question = Question::begin();
    let hidden = terminal::without_echo(&terminal, question)?;
    let answer = line(&mut terminal)?;
    drop(hidden);
    answer
        .map(|answer| Secret::from(answer.as_str()))
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Asks for a yes or no. No is what a terminal that has gone away says.
pub(crate) async fn agree(question: String) -> bool {
    let ask = move || {
        let mut terminal = open()?;
        let _question = Question::begin();
        loop {
            write!(terminal, "{question}")?;
            match line(&mut terminal)?.as_deref().map(|answer| answer.trim()) {
                Some("yes" | "y") => return Ok(true),
                Some("" | "no" | "n") | None => return Ok(false),
                Some(_) => writeln!(terminal, "Please type yes or no.")?,
            }
        }
    };
    blocking(ask).await.unwrap_or(false)
}

/// Waits for the answer on a thread of its own. `None` when the terminal is gone.
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> io::Result<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(ask).await.ok()?.ok()
}

/// Shows an unknown host key and asks whether to `act`, as in "Record", with yes, no, or the fingerprint as the answer.
pub(crate) async fn confirm_host_key(question: &HostKeyQuestion, act: &'static str) -> bool {
    let question = question.clone();
    blocking(move || trust(&question, act)).await.unwrap_or(false)
}

fn trust(question: &HostKeyQuestion, act: &str) -> io::Result<bool> {
    let host = match (question.port, question.host.contains(':')) {
        (22, _) => escape(&question.host),
        (port, false) => format!("{}:{port}", escape(&question.host)),
        (port, true) => format!("[{}]:{port}", escape(&question.host)),
    };
    let place = match &question.record_path {
        Some(path) => format!("{act} its key in {}", escape(&path.to_string_lossy())),
        None => "Connect without recording its key".to_owned(),
    };
    let mut terminal = open()?;
    let _question = Question::begin();
    writeln!(
        terminal,
        "The host {host} is not known. It offers the key\n  {} {}\n\
         Compare the fingerprint with one from a source you trust.",
        escape(&question.algorithm),
        escape(&question.fingerprint),
    )?;
    loop {
        write!(terminal, "{place}? (yes/no/fingerprint) [no] ")?;
        let Some(answer) = line(&mut terminal)? else {
            return Ok(false);
        };
        match answer.trim() {
            "yes" => return Ok(true),
            "" | "no" => return Ok(false),
            answer if answer == question.fingerprint => return Ok(true),
            answer if answer.starts_with("SHA256:") => {
                writeln!(terminal, "This is not the fingerprint that the host offers.")?;
                return Ok(false);
            }
            _ => writeln!(
                terminal,
                "Please type yes, no, or the fingerprint that you expect."
            )?,
        }
    }
}

fn secret(question: &SecretQuestion) -> io::Result<Secret> {
    let mut terminal = open()?;
    let _question = Question::begin();
    let account = format!("{}@{}", escape(&question.username), escape(&question.host));
    if question.attempt > 1 {
        writeln!(terminal, "That was not accepted, please try again.")?;
    }
    let (text, echo) = match &question.subject {
        SecretSubject::Password => (format!("Password of {account}: "), false),
        SecretSubject::Passphrase(path) => (
            format!("Passphrase of the key {}: ", escape(&path.to_string_lossy())),
            false,
        ),
        SecretSubject::Challenge {
            name,
            instructions,
            prompt,
            echo,
        } => {
            for text in [name, instructions] {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    writeln!(terminal, "{}", escape(line))?;
                }
            }
            // Who asks is said by us: a prompt alone could pretend to be a question of this machine.
            (format!("({account}) {} ", escape(prompt.trim_end())), *echo)
        }
        other => return Err(io::Error::other(format!("unknown question {other:?}"))),
    };
    let hidden = if echo {
        terminal.write_all(text.as_bytes())?;
        None
    } else {
        Some(terminal::without_echo(&terminal, &text)?)
    };
    let answer = line(&mut terminal)?;
    drop(hidden);
    answer
        .map(|answer| Secret::from(answer.as_str()))
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// One line without its end; `None` at the end of the input. The memory is overwritten when it is dropped.
fn line(tty: &mut File) -> io::Result<Option<Zeroizing<String>>> {
    // The size of a line that a terminal collects at most, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    let mut byte = [0_u8];
    loop {
        let read = match tty.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match (read, byte) {
            (0, _) if bytes.is_empty() => return Ok(None),
            (0, _) | (_, [b'\n']) => break,
            (_, [other]) => bytes.push(other),
        }
    }
    // Ctrl-\ gives up, as it does everywhere.
    if bytes.contains(&(terminal::QUIT as u8)) {
        return Ok(None);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Some(Zeroizing::new(text.trim_end_matches('\r').to_owned())))
}
