//! Access control lists beyond the mode, which neither SFTP nor tar carries: getfacl(1), setfacl(1).

use super::command::{self, Exit, Output};
use super::script::quoted;
use super::words;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::transfer::sftp::Tried;

/// Which files have an access control list that says more than their mode: `root` itself, and what is below it where it
/// is a directory. Symbolic links are not followed. One command for all of them.
///
/// The paths begin with `root` as it was given, in no order. None where there is no `root`. What may not be looked at is
/// left out.
///
/// # Errors
/// When the command cannot be run; the caller has seen in [`Tools`](super::Tools) that it is there.
pub(crate) async fn extended_acls(connection: &Connection, root: &[u8]) -> Result<Vec<Vec<u8>>> {
    let attempt = async {
        let mut script = b"getfacl -RPspn -- ".to_vec();
        let word = quoted(root)?;
        script.extend_from_slice(&word);
        let output = command::run_script(connection, &script).await?;
        match output.exit {
            // 1: some of the files could not be read, or there are none.
            Exit::Status(0 | 1) => Ok(listed(&output.stdout)),
            _ => Err(failed("list the access control lists below", root, &output)),
        }
    };
    attempt.await.map_err(|error| connection.locate(error))
}

/// Gives a file the access control list of another one: its mode is then that one's as well.
///
/// # Errors
/// When one of them is not there, or may not be read or changed.
pub(crate) async fn keep_acl(connection: &Connection, existing: &[u8], new: &[u8]) -> Result<()> {
    let attempt = async {
        // In two steps, so that the first one's failure does not look like an empty list.
        let mut script = b"a=$(getfacl -pn -- ".to_vec();
        script.extend_from_slice(&quoted(existing)?);
        script.extend_from_slice(b") && printf '%s\\n' \"$a\" | setfacl --set-file=- -- ");
        script.extend_from_slice(&quoted(new)?);
        let output = command::run_script(connection, &script).await?;
        match output.exit.is_success() {
            true => Ok(()),
            false => Err(failed("keep the access control list of", existing, &output)),
        }
    };
    attempt.await.map_err(|error| connection.locate(error))
}

fn failed(what: &'static str, path: &[u8], output: &Output) -> Error {
    let said = match output.stderr.trim_ascii() {
        [] => output.exit.to_string().into_bytes(),
        said => said.to_vec(),
    };
    Tried::new(what, path).refused(&words::status(&said))
}

/// The files that the output of getfacl is about.
fn listed(stdout: &[u8]) -> Vec<Vec<u8>> {
    stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"# file: "))
        .map(unescaped)
        .collect()
}

/// A name as getfacl shows it: with a backslash in front of a backslash, or of three octal digits.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|digits| byte == b'\\' && digits.iter().all(|digit| matches!(digit, b'0'..=b'7')))
            .and_then(|digits| {
                let value = digits
                    .iter()
                    .fold(0_u32, |value, digit| value << 3 | u32::from(digit & 7));
                u8::try_from(value).ok()
            });
        let (value, length) = match (byte, octal, after.first()) {
            (_, Some(value), _) => (value, 4),
            (b'\\', None, Some(b'\\')) => (b'\\', 2),
            _ => (byte, 1),
        };
        out.push(value);
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_listing_are_named_exactly() {
        let listing = b"# file: /t/a b\n# owner: 0\n# group: 0\nuser::rw-\nuser:1:rw-\nmask::rw-\n\n\
                        # file: ./-e\nuser::rw-\n\n# file: c\\012d\\\\x\xe9\\9\\477\nuser::rw-\n";
        assert_eq!(
            listed(listing),
            [
                b"/t/a b".to_vec(),
                b"./-e".to_vec(),
                b"c\nd\\x\xe9\\9\\477".to_vec()
            ]
        );
        assert!(listed(b"").is_empty());
    }

    #[test]
    fn a_failure_names_the_file_and_the_reason() {
        let output = Output {
            exit: Exit::Status(1),
            stdout: bytes::Bytes::new(),
            stderr: b"setfacl: x: Operation not permitted\n".to_vec(),
        };
        let error = failed("keep the access control list of", b"x", &output);
        assert!(
            error
                .to_string()
                .starts_with("cannot keep the access control list of x: permission denied")
        );
    }
}
