//! SHA-256 of files on the server, computed there.

use sternline_proto::sftp::StatusCode;

use super::probe::Tools;
use super::script::quoted;
use super::{command, words};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::sftp::Tried;

/// A digest, or `None` where the file has fewer bytes than were asked about.
pub(crate) type Digest = Option<[u8; 32]>;

/// The SHA-256 of the first so many bytes of each file: one answer for each, in order. One command reads them one after
/// another; it is for the caller to ask about so many at once as should wait for one another.
///
/// # Errors
/// When the server has no tool for it, or the command as a whole failed. What is wrong with one file is its own answer.
pub(crate) async fn sha256(
    connection: &Connection,
    tools: &Tools,
    files: &[(&[u8], u64)],
) -> Result<Vec<Result<Digest>>> {
    let attempt = async {
        let output = command::run_script(connection, &script(tools, files)?).await?;
        Ok(answers(&output.stdout, files, &output.complaint()))
    };
    let answers = attempt.await.map_err(|error| connection.locate(error))?;
    Ok(answers
        .into_iter()
        .map(|answer| answer.map_err(|error| connection.locate(error)))
        .collect())
}

/// What the script has written about each file; `ended` is how it ended, for those that it has not got to.
pub(super) fn answers(stdout: &[u8], files: &[(&[u8], u64)], ended: &str) -> Vec<Result<Digest>> {
    let answers = parse(stdout, files).into_iter();
    let answers = files.iter().zip(answers).map(|((path, _), answer)| {
        let tried = Tried::new("compute the SHA-256 of", path);
        match answer {
            Some(Answer::Digest(digest)) => Ok(Some(digest)),
            Some(Answer::Short) => Ok(None),
            Some(Answer::Failed(complaint)) => Err(tried.refused(&words::status(&complaint))),
            None => Err(tried.refused(&words::status(ended.as_bytes()))),
        }
    });
    answers.collect()
}

fn no_tool() -> Error {
    Error::new(
        ErrorKind::RemoteFile(StatusCode::OpUnsupported),
        "the server has no tool that computes a SHA-256",
    )
    .in_phase(Phase::Transfer)
    .with_hint("install sha256sum (coreutils) or openssl there")
}

/// One line for each file: its number, and `digest`, `short` or `failed` with the words.
///
/// A file that has exactly as many bytes as are asked about is given to the tool itself, which is quicker than a pipe.
pub(super) fn script(tools: &Tools, files: &[(&[u8], u64)]) -> Result<Vec<u8>> {
    let Some(tool) = tools.sha256 else {
        return Err(no_tool());
    };
    let (tool, size) = (tool.command(), tools.size_command());
    // dd counts blocks; the odd rest is read a byte at a time, from where the blocks end.
    let first = match tools.head_c {
        true => "head -c \"$2\"",
        false => "{ dd bs=65536 count=$(($2/65536)) 2>/dev/null; dd bs=1 count=$(($2%65536)) 2>/dev/null; }",
    };
    let mut script = format!(
        "say() {{ printf '%s %s ' \"$1\" \"$2\"; printf '%s' \"$3\" | tr '\\n' ' '; echo; }}\n\
         one() {{\n\
         n=$({{ {size} \"$3\"; }} 2>&1) || {{ say \"$1\" failed \"$n\"; return; }}\n\
         [ $n -ge $2 ] || {{ say \"$1\" short ''; return; }}\n\
         r=$({{ {{ if [ $n -eq $2 ]; then {tool}; else {first} | {tool}; fi; }} <\"$3\"; }} 2>&1) \
         && say \"$1\" digest \"$r\" || say \"$1\" failed \"$r\"\n\
         }}\n"
    )
    .into_bytes();
    for (number, (path, length)) in files.iter().enumerate() {
        script.extend_from_slice(format!("one {number} {length} ").as_bytes());
        script.extend_from_slice(&quoted(path)?);
        script.push(b'\n');
    }
    Ok(script)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Digest([u8; 32]),
    Short,
    Failed(Vec<u8>),
}

fn parse(stdout: &[u8], files: &[(&[u8], u64)]) -> Vec<Option<Answer>> {
    let mut answers = vec![None; files.len()];
    for line in stdout.split(|&byte| byte == b'\n') {
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let number = words
            .next()
            .and_then(|number| std::str::from_utf8(number).ok()?.parse::<usize>().ok());
        let (Some(slot), Some(what)) = (number.and_then(|number| answers.get_mut(number)), words.next())
        else {
            continue;
        };
        let rest = words.next().unwrap_or_default();
        *slot = match what {
            b"digest" => Some(match digest(rest) {
                Some(digest) => Answer::Digest(digest),
                None => Answer::Failed(rest.to_vec()),
            }),
            b"short" => Some(Answer::Short),
            b"failed" => Some(Answer::Failed(rest.to_vec())),
            _ => None,
        };
    }
    answers
}

/// The first word of the tool's output that is a SHA-256.
fn digest(output: &[u8]) -> Option<[u8; 32]> {
    output.split(|&byte| byte == b' ').find_map(|word| {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(word).ok()?;
        bytes.try_into().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Sha256Tool, Stat};
    use super::*;
    use sha2::Digest as _;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use sternline_proto::text::escape_bytes;

    fn sum(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    /// The answers of this machine's shells to the script.
    fn asked(shell: &[&str], tools: &Tools, files: &[(&[u8], u64)]) -> Vec<Option<Answer>> {
        let (program, arguments) = shell.split_first().unwrap();
        let output = std::process::Command::new(program)
            .args(arguments)
            .arg("-c")
            .arg(std::ffi::OsStr::from_bytes(&script(tools, files).unwrap()))
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", escape_bytes(&output.stderr));
        parse(&output.stdout, files)
    }

    #[test]
    fn any_name_and_any_part_is_hashed_whatever_tools_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let contents = vec![7; 200_001];
        let mut paths: Vec<Vec<u8>> = Vec::new();
        for name in [&b"it's"[..], b"a\nb", b"-rf", b"caf\xe9 *", b"$(x)~"] {
            let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
            fs::write(&path, &contents).unwrap();
            paths.push(path.as_os_str().as_bytes().to_vec());
        }
        let missing = folder.path().join("missing").as_os_str().as_bytes().to_vec();
        let mut files: Vec<(&[u8], u64)> = Vec::new();
        let mut right = Vec::new();
        for (path, length) in paths.iter().zip([200_001_u64, 131_072, 65_537, 5, 0]) {
            files.push((path, length));
            right.push(Some(Answer::Digest(sum(&contents[..length as usize]))));
        }
        files.push((&paths[0], 200_002));
        right.push(Some(Answer::Short));
        files.push((&missing, 1));
        for shell in [&["sh"][..], &["bash"], &["busybox", "sh"]] {
            for tool in [Sha256Tool::Sha256sum, Sha256Tool::Openssl] {
                for (stat, head_c) in [(Some(Stat::Gnu), true), (None, false)] {
                    let tools = Tools {
                        sha256: Some(tool),
                        stat,
                        head_c,
                        ..Tools::default()
                    };
                    let mut answers = asked(shell, &tools, &files);
                    let Some(Some(Answer::Failed(complaint))) = answers.pop() else {
                        panic!("a missing file was hashed");
                    };
                    assert_eq!(
                        words::status(&complaint).code,
                        StatusCode::NoSuchFile,
                        "{}",
                        escape_bytes(&complaint)
                    );
                    assert_eq!(answers, right, "{shell:?} {tool:?} {stat:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_with_a_nul_byte_is_refused() {
        let tools = Tools {
            sha256: Some(Sha256Tool::Sha256sum),
            ..Tools::default()
        };
        let error = script(&tools, &[(b"a\0b", 1)]).unwrap_err();
        assert!(error.to_string().starts_with("a\\x00b: "), "{error}");
    }

    #[test]
    fn answers_that_make_no_sense_are_none() {
        let files: [(&[u8], u64); 2] = [(b"a", 1), (b"b", 1)];
        assert_eq!(
            parse(b"x\n7 short \n0 what \n\n1 digest 12ab\n", &files),
            [None, Some(Answer::Failed(b"12ab".to_vec()))]
        );
    }
}
