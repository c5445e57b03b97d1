//! The arguments for ssh that Ansible has variables for.

use super::error::Problem;
use super::words;

/// The settings that arguments make, as lines of ssh_config(5), in their order.
///
/// # Errors
/// The first argument that is not among `-o`, `-J`, `-p`, `-l` and `-i`.
pub(super) fn lines(name: &str, text: &str) -> Result<Vec<String>, Problem> {
    let words = words::split(text, false).map_err(|reason| Problem::Syntax {
        reason: format!("{name}: {reason}"),
    })?;
    let mut words = words.into_iter();
    let mut lines = Vec::new();
    while let Some(word) = words.next() {
        let refused = |argument: &str| Problem::Argument {
            name: name.to_owned(),
            argument: argument.to_owned(),
        };
        let mut letters = word.chars();
        let letter = match (letters.next(), letters.next()) {
            (Some('-'), Some(letter)) if "oJpli".contains(letter) => letter,
            _ => return Err(refused(&word)),
        };
        let value = match letters.as_str() {
            "" => words.next().ok_or_else(|| refused(&word))?,
            value => value.to_owned(),
        };
        lines.push(match letter {
            'J' => line("ProxyJump", &value),
            'p' => line("Port", &value),
            'l' => line("User", &value),
            'i' => line("IdentityFile", &value),
            _ => option(name, &value)?,
        });
    }
    Ok(lines)
}

/// A value of `-o`, if it is one that has its place there.
pub(super) fn option(name: &str, value: &str) -> Result<String, Problem> {
    let keyword = keyword(value);
    match ["host", "match", "include", ""].contains(&keyword.as_str()) {
        true => Err(Problem::Argument {
            name: name.to_owned(),
            argument: format!("-o {value}"),
        }),
        false => Ok(value.to_owned()),
    }
}

/// The word that a line begins with, in lower case.
pub(super) fn keyword(line: &str) -> String {
    let line = line.trim_start_matches([' ', '\t', '=', '"']);
    let end = line.find([' ', '\t', '=', '"']).unwrap_or(line.len());
    line.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// A line of ssh_config whose value may hold anything.
pub(super) fn line(keyword: &str, value: &str) -> String {
    format!(
        "{keyword} \"{}\"",
        value.replace('\\', "\\\\").replace('"', "\\\"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_lines_of_ssh_config() {
        for (text, expected) in [
            ("", &[][..]),
            ("-o Port=22 -oUser=bob", &["Port=22", "User=bob"]),
            (
                "-J bastion -p 22 -lbob -i '~/my key'",
                &[
                    "ProxyJump \"bastion\"",
                    "Port \"22\"",
                    "User \"bob\"",
                    "IdentityFile \"~/my key\"",
                ],
            ),
            (
                "-o ProxyCommand=\"ssh -W %h:%p 'b'\"",
                &["ProxyCommand=ssh -W %h:%p 'b'"],
            ),
            ("-o 'ConnectTimeout 5'", &["ConnectTimeout 5"]),
        ] {
            assert_eq!(lines("x", text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (text, words) in [
            ("-A", "x has the argument -A, which is not supported"),
            ("-F /etc/x", "the argument -F"),
            ("-o", "the argument -o"),
            ("-o 'Include /etc/x'", "the argument -o Include /etc/x"),
            ("-o Match=all", "the argument -o Match=all"),
            ("-o ''", "the argument -o "),
            ("bastion", "the argument bastion"),
            ("--", "the argument --"),
            ("-o '", "x: a quote is not closed"),
        ] {
            let problem = lines("x", text).unwrap_err().to_string();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }
}
