//! The file that a POSIX guest's variables stand in, which login shells read.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::error::GuestError;
use super::powershell::MANAGED_KEYS;
use super::shell::quote_always;

/// Variables by their names. The values are overwritten when they are dropped.
pub type Variables = BTreeMap<String, Zeroizing<String>>;

/// Whether a variable may be set: its name is a letter or `_` followed by letters, digits and `_`, and its value
/// holds no NUL byte and is at most 128 KiB long with its name.
///
/// # Errors
/// What is wrong with the name or the value.
pub fn check_variable(name: &str, value: &str) -> Result<(), GuestError> {
    check_name(name)?;
    if value.contains('\0') {
        return Err(GuestError::VariableValue {
            name: name.to_owned(),
            problem: "holds a NUL byte",
        });
    }
    if name.len() + value.len() + 2 > LONGEST {
        return Err(GuestError::VariableValue {
            name: name.to_owned(),
            problem: "is longer than 128 KiB with its name: no program could be started with it",
        });
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), GuestError> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let name_owned = || name.to_owned();
    if !starts
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(GuestError::VariableName { name: name_owned() });
    }
    if name == MANAGED_KEYS {
        return Err(GuestError::ReservedName { name: name_owned() });
    }
    Ok(())
}

/// Whether somebody may set a variable of this name: bash keeps some for itself. As sh it would not even read on after
/// one of them, neither the file nor what was to be run.
///
/// # Errors
/// If it is one of those.
pub fn check_settable(name: &str) -> Result<(), GuestError> {
    const READ_ONLY: [&str; 6] = ["BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"];
    match READ_ONLY.contains(&name) {
        true => Err(GuestError::ReadOnly {
            name: name.to_owned(),
        }),
        false => Ok(()),
    }
}

/// How long a variable may be, with its name, the `=` and the zero behind it: Linux starts no program with a longer one,
/// so no login shell would be of any use.
const LONGEST: usize = 128 * 1024;

/// How long the file may be, in bytes. Linux starts no program with so many variables either, and a guest may have put
/// anything there.
pub const LARGEST_FILE: usize = 2 * 1024 * 1024;

const HEAD: &str =
    "#!/bin/sh\n# Variables set by Sternline. Change them with it: what else is written here gets lost.\n";

/// The file's text: one `export NAME='value'` for each variable, in the order of the names. A value may have several
/// lines.
///
/// # Errors
/// As [`check_variable`].
///
/// ```
/// use sternline_proto::guest::{Variables, parse_file, render_file};
///
/// let variables = Variables::from([("MOTD".to_owned(), "it's\ntwo lines".to_owned().into())]);
/// let text = render_file(&variables)?;
/// assert!(text.ends_with("export MOTD='it'\"'\"'s\ntwo lines'\n"));
/// assert_eq!(parse_file(&text)?, variables);
/// # Ok::<(), sternline_proto::guest::GuestError>(())
/// ```
pub fn render_file(variables: &Variables) -> Result<Zeroizing<String>, GuestError> {
    // In the worst case every byte of a value becomes five; growing would leave a copy behind.
    let values: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len() * 5 + 16)
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + values));
    text.push_str(HEAD);
    for (name, value) in variables {
        check_variable(name, value)?;
        text.push_str("export ");
        text.push_str(name);
        text.push('=');
        text.push_str(&Zeroizing::new(quote_always(value)));
        text.push('\n');
    }
    Ok(text)
}

/// Reads what [`render_file`] has written. Blank lines and comments between the variables are passed over, and a file
/// of nothing else is as good as none.
///
/// # Errors
/// When the file holds anything else, for to write it anew would lose that.
pub fn parse_file(text: &str) -> Result<Variables, GuestError> {
    let mut variables = Variables::new();
    let mut rest = text;
    let line_of = |rest: &str| {
        let read = text.len() - rest.len();
        1 + text.get(..read).unwrap_or_default().matches('\n').count()
    };
    while !rest.is_empty() {
        let wrong = |what| GuestError::File {
            line: line_of(rest),
            what,
        };
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim().is_empty() || line.starts_with('#') {
            rest = after;
            continue;
        }
        let assignment = line
            .strip_prefix("export ")
            .ok_or_else(|| wrong("it begins with something else than `export`"))?;
        let (name, _) = assignment.split_once('=').ok_or_else(|| wrong("it has no `=`"))?;
        check_name(name).map_err(|_| wrong("its name is no variable's"))?;
        let word = rest.get("export ".len() + name.len() + 1..).unwrap_or_default();
        let (value, after) = word_of(word).ok_or_else(|| wrong("its value is not quoted as it should be"))?;
        variables.insert(name.to_owned(), value);
        rest = after;
    }
    Ok(variables)
}

/// A quoted word and what follows its line; `None` if the shell would do anything else than take it literally.
fn word_of(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..)?;
        let (part, after) = match c {
            '\n' => {
                rest = after;
                break;
            }
            '\'' => after.split_once('\'')?,
            '"' => {
                let (inside, after) = after.split_once('"')?;
                if inside.contains(['$', '`', '\\']) {
                    return None;
                }
                (inside, after)
            }
            c if plain(c) => rest.split_at(rest.find(|c| !plain(c)).unwrap_or(rest.len())),
            _ => return None,
        };
        parts.push(part);
        rest = after;
    }
    // Just as long as it is: growing would leave a copy behind, and a guest may have written very many.
    let mut value = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| value.push_str(part));
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned())))
            .collect()
    }

    #[test]
    fn the_file_is_sorted_and_quoted_and_a_file_of_none_is_two_comments() {
        let text = render_file(&variables(&[("B", "two words"), ("A", "x"), ("E", "")])).unwrap();
        assert_eq!(
            text.strip_prefix(HEAD),
            Some("export A='x'\nexport B='two words'\nexport E=''\n")
        );
        assert_eq!(*render_file(&Variables::new()).unwrap(), HEAD);
        assert!(parse_file(HEAD).unwrap().is_empty());
        assert!(parse_file("").unwrap().is_empty());
    }

    #[test]
    fn a_name_that_is_none_and_a_nul_are_refused() {
        for name in ["", "1A", "A-B", "A B", "A\n", "Ä", "A=", MANAGED_KEYS] {
            assert!(render_file(&variables(&[(name, "x")])).is_err(), "{name:?}");
        }
        assert!(render_file(&variables(&[("A", "x\0y")])).is_err());
        check_variable("_a1", "x\ny'\"$(z)").unwrap();
        assert!(
            check_settable("UID").is_err(),
            "bash as sh reads no further than that"
        );
        check_settable("UIDS").unwrap();
        let long = "x".repeat(LONGEST);
        assert!(check_variable("A", &long[3..]).is_ok());
        assert!(check_variable("A", &long[2..]).is_err());
    }

    #[test]
    fn what_somebody_else_wrote_is_an_error_that_names_its_line() {
        for (text, line) in [
            ("PATH=$PATH:/x\n", 1),
            ("export A=x\nexport B=$HOME\n", 2),
            ("export A='x\ny'\n\nexport B=\"$(id)\"\n", 4),
            ("export A='open\n", 1),
            ("# ok\nexport A=x; id\n", 2),
            ("export A-B=x\n", 1),
            ("export A\n", 1),
        ] {
            match parse_file(text) {
                Err(GuestError::File { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_value_never_becomes_a_variable_of_its_own() {
        let sly = variables(&[("A", "x\nexport GHOST=boo\n"), ("B", "'; export GHOST=boo; '")]);
        let read = parse_file(&render_file(&sly).unwrap()).unwrap();
        assert_eq!(read, sly);
        assert!(!read.contains_key("GHOST"));
    }

    #[test]
    fn a_value_takes_no_more_memory_than_it_is_long() {
        let text = "export A='x'\"y\"z\n".to_owned() + &"# more\n".repeat(1000);
        let read = parse_file(&text).unwrap();
        assert_eq!(read["A"].as_str(), "xyz");
        assert!(read["A"].capacity() < 100, "{}", read["A"].capacity());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            pairs in prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,5}", "[^\u{0}]{0,30}|['\"\\\\$`\n #=]{0,12}", 0..6)
        ) {
            let written: Variables = pairs.into_iter().map(|(name, value)| (name, value.into())).collect();
            prop_assert_eq!(parse_file(&render_file(&written).unwrap()).unwrap(), written);
        }

        #[test]
        fn no_file_is_too_strange(text in any::<String>()) {
            let _ = parse_file(&text);
        }
    }
}
