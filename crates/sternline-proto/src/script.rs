//! Running a script of this machine on a server, with nothing left behind there.
//!
//! The script travels as the command's standard input, so that it stands in no process list. A small shell text puts it
//! into a private file, checks that it arrived whole, opens it and removes its name before its interpreter begins: a
//! connection that is lost half-way runs no half script, and one that is lost later leaves no file.

use std::fmt::Write as _;

use thiserror::Error;

use crate::quoting::{QuoteError, quote};

/// Who runs a script that does not say so.
const SHELL: &[u8] = b"/bin/sh";

/// The longest first line that is looked at; Linux takes 256 bytes.
const LONGEST_LINE: usize = 1024;

/// The program that a script names in its first line, and the one argument that may stand behind it (execve(2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program: a path.
    pub program: Vec<u8>,
    /// All that stands behind it, as one word.
    pub argument: Option<Vec<u8>>,
}

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// There is nothing to run.
    #[error("the script is empty")]
    Empty,
    /// It holds a NUL byte and names no interpreter.
    #[error("this is no script: it has a NUL byte, and no #! line that names who can read it")]
    Binary,
    /// `#!` is followed by nothing, or by too much.
    #[error("the #! line names no program that can be run")]
    NoProgram,
    /// The interpreter has a NUL byte in its name.
    #[error("the #! line cannot be used: {0}")]
    Nul(#[from] QuoteError),
}

/// Reads a script's first line; `/bin/sh` where it has no `#!`.
///
/// # Errors
/// When it is empty, no text, or has a `#!` without a program.
pub fn interpreter(script: &[u8]) -> Result<Interpreter, ScriptError> {
    if script.trim_ascii().is_empty() {
        return Err(ScriptError::Empty);
    }
    let Some(rest) = script.strip_prefix(b"#!") else {
        if script.contains(&0) {
            return Err(ScriptError::Binary);
        }
        return Ok(Interpreter {
            program: SHELL.to_vec(),
            argument: None,
        });
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.trim_ascii();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (program, argument) = line.split_at(end);
    let argument = argument.trim_ascii();
    if program.is_empty() || program.starts_with(b"-") || line.len() > LONGEST_LINE {
        return Err(ScriptError::NoProgram);
    }
    Ok(Interpreter {
        program: program.to_vec(),
        argument: (!argument.is_empty()).then(|| argument.to_vec()),
    })
}

/// The shell text that runs a script of `length` bytes, which it reads from its standard input: to be given to `sh -c`,
/// with the script's arguments behind it. The script itself has an empty standard input.
///
/// `random` makes the file's name one that nobody can have taken; as long as the file has a name only its owner can open
/// it. The text exits with status 126 when it cannot run the script, and says why on standard error.
///
/// # Errors
/// When the interpreter has a NUL byte in its name.
pub fn run_text(interpreter: &Interpreter, length: usize, random: [u8; 16]) -> Result<Vec<u8>, ScriptError> {
    let mut name = String::from(".sternline-");
    for byte in random {
        let _ = write!(name, "{byte:02x}");
    }
    let mut run = quote(&interpreter.program)?;
    if let Some(argument) = &interpreter.argument {
        run.push(b' ');
        run.extend(quote(argument)?);
    }
    // Where the link is lost nobody reads what is said, and saying it ends the shell on the spot: so the file goes first.
    // The descriptor is opened while the file still has a name, and the interpreter then opens it by its number. Where
    // that does not work the file has to keep its name until the script has ended. All of it is one line, which other
    // login shells than POSIX ones can hand on as well.
    let mut text = format!(
        "fail() {{ [ -z \"$f\" ] || rm -f \"$f\"; echo \"sternline: $1\" >&2; exit 126; }}; \
         for d in \"${{TMPDIR:-/tmp}}\" /tmp /var/tmp \"$HOME\"; do \
         f=$d/{name}; (umask 077; set -C; : >\"$f\") 2>/dev/null && break; f=; done; \
         [ -n \"$f\" ] || fail \"there is no directory that the script can be put into\"; \
         trap 'rm -f \"$f\"' EXIT; trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM; \
         cat >\"$f\" || fail \"the script cannot be written to $f\"; \
         [ \"$(($(wc -c <\"$f\")))\" = {length} ] || fail \"the script did not arrive whole, and was not run\"; \
         exec 3<\"$f\" </dev/null; \
         if [ -r /dev/fd/3 ]; then rm -f \"$f\"; trap - EXIT HUP INT TERM; exec "
    )
    .into_bytes();
    text.extend_from_slice(&run);
    // ksh and its kin close what `exec` has opened unless it is handed on.
    text.extend_from_slice(b" /dev/fd/3 \"$@\" 3<&3; fi; ");
    text.extend_from_slice(&run);
    text.extend_from_slice(b" \"$f\" \"$@\"");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_line_names_the_interpreter_as_the_kernel_reads_it() {
        for (script, program, argument) in [
            ("echo hi\n", "/bin/sh", None),
            ("# a comment\n#!/bin/bash\n", "/bin/sh", None),
            ("#!/bin/bash\necho hi", "/bin/bash", None),
            ("#! /bin/bash -eu \n", "/bin/bash", Some("-eu")),
            (
                "#!/usr/bin/env -S python3 -u\n",
                "/usr/bin/env",
                Some("-S python3 -u"),
            ),
            (
                "#!/usr/bin/env\tpython3\r\nprint()",
                "/usr/bin/env",
                Some("python3"),
            ),
            ("#!/usr/bin/python3", "/usr/bin/python3", None),
        ] {
            let found = interpreter(script.as_bytes()).unwrap();
            assert_eq!(found.program, program.as_bytes(), "{script}");
            assert_eq!(found.argument.as_deref(), argument.map(str::as_bytes), "{script}");
        }
        // What follows the first line may be anything.
        assert!(interpreter(b"#!/usr/bin/env python3\n\0\x01").is_ok());
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for (script, error) in [
            (&b""[..], ScriptError::Empty),
            (b" \n\t", ScriptError::Empty),
            (b"\x7fELF\0", ScriptError::Binary),
            (b"#!", ScriptError::NoProgram),
            (b"#!  \necho", ScriptError::NoProgram),
            (b"#!-c\n", ScriptError::NoProgram),
        ] {
            assert_eq!(interpreter(script), Err(error));
        }
        let endless = [b"#!/".to_vec(), vec![b'x'; LONGEST_LINE]].concat();
        assert_eq!(interpreter(&endless), Err(ScriptError::NoProgram));
        let nul = interpreter(b"#!/bin/\0sh\n").unwrap();
        assert!(matches!(run_text(&nul, 1, [0; 16]), Err(ScriptError::Nul(_))));
    }

    #[test]
    fn the_text_quotes_what_the_script_names_and_holds_nothing_of_the_script() {
        let found = interpreter(b"#!/opt/it's here/run -x y\nsecret").unwrap();
        let text = String::from_utf8(run_text(&found, 33, [0xab; 16]).unwrap()).unwrap();
        assert!(
            text.contains(r#"exec '/opt/it'\''s' 'here/run -x y' /dev/fd/3 "$@" 3<&3; fi;"#),
            "{text}"
        );
        assert!(text.contains(".sternline-abababababababababababababababab") && text.contains("= 33 ]"));
        assert!(!text.contains("secret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_the_program_is_a_part_of_them(
            script in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'#'), Just(b'!'), Just(b' '), Just(b'\n')], 0..64),
            marked: bool,
        ) {
            let script = if marked { [b"#!", script.as_slice()].concat() } else { script };
            if let Ok(found) = interpreter(&script) {
                let inside = script.windows(found.program.len()).any(|part| part == found.program);
                prop_assert!(inside || found.program == SHELL);
                let _ = run_text(&found, script.len(), [0; 16]);
            }
        }
    }
}
