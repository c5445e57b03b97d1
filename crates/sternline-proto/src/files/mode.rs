//! Permission bits as chmod(1) writes them.

use std::str::FromStr;

use thiserror::Error;

use crate::text::escape;

/// All bits that a mode can hold: permissions, set-user-ID, set-group-ID and the sticky bit.
const ALL: u32 = 0o7777;
const SET_USER_AND_GROUP_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;

/// A mode as chmod(1) takes it, to be set on a file: numeric, or symbolic and then relative to what the file has.
///
/// Numeric modes are octal, as `644`, `0644` or `0o644`. Symbolic ones are comma-separated clauses such as `u=rw,go=r`,
/// `+x`, `a+rX`, `g=u` or `u+s`, with the meaning that POSIX gives them. As with GNU's chmod, a directory keeps its
/// set-user-ID and set-group-ID bits unless the mode names them, or has five octal digits.
///
/// ```
/// use sternline_proto::files::Mode;
///
/// assert_eq!("0644".parse::<Mode>()?.apply(0o777, false, 0), 0o644);
/// assert_eq!("u=rw,go=r".parse::<Mode>()?.apply(0o777, false, 0), 0o644);
/// assert_eq!("+x".parse::<Mode>()?.apply(0o644, false, 0o022), 0o755);
/// # Ok::<(), sternline_proto::files::ModeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// The bits that belong to those whom the clause names; 0 where it names nobody.
    who: u32,
    operator: Operator,
    value: Value,
    /// Of the set-ID bits, those that the mode names, and so changes on directories as well.
    named: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// These bits, and execution where it makes sense if there was an `X`.
    Bits { bits: u32, conditional_execute: bool },
    /// What the user (6), the group (3) or the others (0) may: the place of their bits.
    Copy(u32),
}

impl Mode {
    /// These permission bits exactly. Bits of other kinds are ignored.
    #[must_use]
    pub fn exactly(bits: u32) -> Self {
        Self::numeric(bits & ALL, ALL)
    }

    fn numeric(bits: u32, named: u32) -> Self {
        Self {
            steps: vec![Step {
                who: ALL,
                operator: Operator::Set,
                value: Value::Bits {
                    bits,
                    conditional_execute: false,
                },
                named,
            }],
        }
    }

    /// The bits that a file gets which has `existing` now. `umask` matters only to clauses that name nobody, such as
    /// `+w`.
    #[must_use]
    pub fn apply(&self, existing: u32, is_directory: bool, umask: u32) -> u32 {
        let apply = |mode, step: &Step| step.apply(mode, is_directory, umask);
        self.steps.iter().fold(existing & ALL, apply)
    }
}

impl Step {
    fn apply(&self, mode: u32, is_directory: bool, umask: u32) -> u32 {
        let value = match self.value {
            Value::Bits {
                bits,
                conditional_execute,
            } => {
                let executes = conditional_execute && (is_directory || mode & 0o111 != 0);
                bits | if executes { 0o111 } else { 0 }
            }
            // Three bits, given to everybody whom the clause names.
            Value::Copy(place) => ((mode >> place) & 7) * 0o111,
        };
        let kept = if is_directory {
            SET_USER_AND_GROUP_ID & !self.named
        } else {
            0
        };
        let affected = if self.who == 0 { !umask } else { self.who };
        let value = value & affected & ALL & !kept;
        match self.operator {
            Operator::Add => mode | value,
            Operator::Remove => mode & !value,
            Operator::Set => {
                let others = if self.who == 0 { 0 } else { !self.who };
                mode & (others | kept) | value
            }
        }
    }
}

/// Why a text is no mode.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the mode {} {problem}: write an octal number such as 0644, or clauses such as u=rw,go=r", escape(.text))]
pub struct ModeError {
    /// The mode as given.
    pub text: String,
    /// What is wrong with it.
    pub problem: ModeProblem,
}

/// What is wrong with the text of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModeProblem {
    /// Nothing at all, or a clause of nothing.
    #[error("has nothing where a clause should be")]
    Empty,
    /// A number that is not octal or has bits that are no permissions.
    #[error("is no octal number up to 7777")]
    Number,
    /// A clause without `+`, `-` or `=`.
    #[error("lacks a +, - or = where one should be")]
    Operator,
    /// Something else than a permission after the operator.
    #[error("has the character '{}', which is no permission", escape(&.0.to_string()))]
    Permission(char),
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let mode = if text.starts_with(|c: char| c.is_ascii_digit()) {
            parse_number(text)
        } else {
            parse_clauses(text)
        };
        mode.map_err(|problem| ModeError {
            text: text.to_owned(),
            problem,
        })
    }
}

fn parse_number(text: &str) -> Result<Mode, ModeProblem> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    // The standard library would take a sign as well.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(digits, 8) {
        Ok(bits) if is_number && bits <= ALL => {
            let named = if digits.len() > 4 { ALL } else { bits };
            Ok(Mode::numeric(bits, named))
        }
        _ => Err(ModeProblem::Number),
    }
}

fn parse_clauses(text: &str) -> Result<Mode, ModeProblem> {
    let mut steps = Vec::new();
    for clause in text.split(',') {
        let names_somebody = |c: char| "ugoa".contains(c);
        let actions = clause.trim_start_matches(names_somebody);
        let who = clause
            .chars()
            .take_while(|c| names_somebody(*c))
            .fold(0, |who, c| who | bits_of(c));
        if clause.is_empty() {
            return Err(ModeProblem::Empty);
        }
        let mut rest = actions;
        loop {
            let (step, after) = parse_action(who, rest)?;
            steps.push(step);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(Mode { steps })
}

/// One operator and the permissions after it.
fn parse_action(who: u32, text: &str) -> Result<(Step, &str), ModeProblem> {
    let mut chars = text.chars();
    let operator = match chars.next() {
        Some('+') => Operator::Add,
        Some('-') => Operator::Remove,
        Some('=') => Operator::Set,
        _ => return Err(ModeProblem::Operator),
    };
    let permissions = chars.as_str();
    let end = permissions.find(['+', '-', '=']).unwrap_or(permissions.len());
    let (permissions, after) = permissions.split_at(end);
    let value = match permissions {
        "u" => Value::Copy(6),
        "g" => Value::Copy(3),
        "o" => Value::Copy(0),
        _ => {
            let mut bits = 0;
            for c in permissions.chars() {
                bits |= match c {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    's' => SET_USER_AND_GROUP_ID,
                    't' => STICKY,
                    'X' => 0,
                    other => return Err(ModeProblem::Permission(other)),
                };
            }
            Value::Bits {
                bits,
                conditional_execute: permissions.contains('X'),
            }
        }
    };
    let named = match value {
        Value::Bits { bits, .. } if who == 0 => bits,
        Value::Bits { bits, .. } => bits & who,
        Value::Copy(_) => 0,
    };
    let step = Step {
        who,
        operator,
        value,
        named,
    };
    Ok((step, after))
}

/// The bits that belong to one of the letters of a clause.
fn bits_of(who: char) -> u32 {
    match who {
        'u' => 0o4700,
        'g' => 0o2070,
        'o' => 0o1007,
        _ => ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mode(text: &str) -> Mode {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn modes_mean_what_they_mean_to_chmod() {
        for (text, existing, bits) in [
            ("0644", 0o777, 0o644),
            ("644", 0o777, 0o644),
            ("0o644", 0o777, 0o644),
            ("00644", 0o4777, 0o644),
            ("0", 0o777, 0),
            ("4755", 0, 0o4755),
            ("7777", 0, 0o7777),
            ("u=rw,go=r", 0o777, 0o644),
            ("u+x", 0o644, 0o744),
            ("a+x", 0o644, 0o755),
            ("ugo-w", 0o777, 0o555),
            ("go=", 0o777, 0o700),
            ("u=rwx,g=rx,o=", 0, 0o750),
            ("g=u", 0o740, 0o770),
            ("o=g-w", 0o770, 0o775),
            ("u+r-w", 0o200, 0o400),
            ("a+X", 0o644, 0o644),
            ("a+X", 0o744, 0o755),
            ("u+s,g+s,+t", 0o755, 0o7755),
            ("o+s", 0o755, 0o755),
            ("u=", 0o4755, 0o055),
            ("+w", 0o444, 0o644),
            ("=rw", 0o777, 0o644),
            ("=", 0o777, 0),
            ("u+", 0o644, 0o644),
        ] {
            assert_eq!(
                mode(text).apply(existing, false, 0o022),
                bits,
                "{text} on {existing:o}"
            );
        }
    }

    #[test]
    fn a_directory_keeps_its_set_id_bits_unless_they_are_named() {
        for (text, existing, bits) in [
            ("755", 0o2777, 0o2755),
            ("0755", 0o6777, 0o6755),
            ("00755", 0o2777, 0o755),
            ("2755", 0o4777, 0o6755),
            ("g=rx", 0o2777, 0o2757),
            ("g=srx", 0o777, 0o2757),
            ("g-s", 0o2777, 0o777),
            ("a+X", 0o644, 0o755),
            ("a=rX", 0o3777, 0o2555),
        ] {
            assert_eq!(
                mode(text).apply(existing, true, 0),
                bits,
                "{text} on {existing:o}"
            );
        }
        assert_eq!(Mode::exactly(0o755).apply(0o2777, true, 0), 0o755);
        assert_eq!(Mode::exactly(0o100_644).apply(0, false, 0), 0o644);
    }

    #[test]
    fn what_is_no_mode_is_refused_with_the_text_and_what_is_wrong() {
        use ModeProblem::{Empty, Number, Operator, Permission};
        for (text, problem) in [
            ("", Empty),
            ("u+x,", Empty),
            (",", Empty),
            ("0888", Number),
            ("10000", Number),
            ("0x1ff", Number),
            ("0o", Number),
            ("0o+7", Number),
            ("644 ", Number),
            ("rw", Operator),
            ("u", Operator),
            ("-", Empty),
            ("u+q", Permission('q')),
            ("u=ug", Permission('u')),
            ("rw-r--r--", Operator),
            ("+é", Permission('é')),
            ("+\x1b", Permission('\x1b')),
        ] {
            if text == "-" {
                // chmod takes this for an option; here it removes nothing.
                assert_eq!(mode(text).apply(0o644, false, 0), 0o644);
                continue;
            }
            let error = text.parse::<Mode>().expect_err(text);
            assert_eq!(error.problem, problem, "{text}");
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_at_all_makes_it_panic_or_gives_other_bits(
            text in prop_oneof![any::<String>(), "[ugoa]{0,2}[-+=][rwxXstugo]{0,3}(,[ugoa]?[-+=][rwxXst]{0,3})?", "0?o?[0-9]{0,6}"],
            existing: u32,
            is_directory: bool,
            umask: u32,
        ) {
            if let Ok(mode) = text.parse::<Mode>() {
                prop_assert!(mode.apply(existing, is_directory, umask) <= ALL);
            }
        }

        #[test]
        fn a_numeric_mode_gives_a_file_exactly_its_bits(bits in 0..=ALL, existing in 0..=ALL, umask in 0..=0o777_u32) {
            prop_assert_eq!(mode(&format!("{bits:o}")).apply(existing, false, umask), bits);
            prop_assert_eq!(Mode::exactly(bits).apply(existing, true, umask), bits);
        }
    }
}
